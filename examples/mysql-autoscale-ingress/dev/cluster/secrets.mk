# The Secrets that the pods need, each with its keys.
CLUSTER_SECRETS = placement-database:connection \
    placement-keystone:username,password,memcache_secret_key \
    placement-tls:tls.crt,tls.key:kubernetes.io/tls \
    registry-credentials:.dockerconfigjson:kubernetes.io/dockerconfigjson

.PHONY: secrets
secrets: ## Print commands that create the Secrets, or objects with FORMAT=external-secrets
	@dev/cluster/secrets.sh $(NAMESPACE) "$(FORMAT)" $(CLUSTER_SECRETS)
