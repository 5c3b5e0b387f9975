# The Secrets that the pods need, each with its keys.
CLUSTER_SECRETS = placement-database:connection \
    placement-credential:id,secret,memcache_secret_key \
    house-ca:ca.crt

.PHONY: secrets
secrets: ## Print commands that create the Secrets, or objects with FORMAT=external-secrets
	@dev/cluster/secrets.sh $(NAMESPACE) "$(FORMAT)" $(CLUSTER_SECRETS)
