# The Secrets that the pods need, each with its keys. An environment may name others.
CLUSTER_SECRETS += placement-database:connection
CLUSTER_SECRETS += placement-keystone:username,password,memcache_secret_key
CLUSTER_SECRETS += database-admin:connection
CLUSTER_SECRETS += placement-tls:tls.crt,tls.key:kubernetes.io/tls
CLUSTER_SECRETS += registry-credentials:.dockerconfigjson:kubernetes.io/dockerconfigjson

##@ Cluster
.PHONY: secrets
secrets: ## Print commands that create the Secrets, or objects with FORMAT=external-secrets
	@$(NEED_ENV)
	@$(if $(ENV),$(NEED_HELM))
	@secrets="$(if $(ENV),$$($(TOOLS)/python dev/cluster/environments.py --secrets $(ENV)),$(CLUSTER_SECRETS))" && \
	    dev/cluster/secrets.sh "$(CONTEXT)" $(NAMESPACE) "$(FORMAT)" "$(ENV)" $$secrets
