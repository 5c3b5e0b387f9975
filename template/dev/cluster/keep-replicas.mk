# A step of `make deploy`. A Placement with SQLite always has one replica and does not need it.
.PHONY: keep-replicas
deploy: keep-replicas
keep-replicas:
	@$(NEED_HELM)
	@dev/cluster/keep-replicas.sh $(NAMESPACE) $(SELECTOR)
