# The Secrets that the pods need, each with its keys.
CLUSTER_SECRETS = placement-database:connection \
    placement-keystone:username,password \
    internal-ca:ca.crt \
    internal-registry:.dockerconfigjson:kubernetes.io/dockerconfigjson

.PHONY: secrets
secrets: ## Print commands that create the Secrets, or objects with FORMAT=external-secrets
	@dev/cluster/secrets.sh $(NAMESPACE) "$(FORMAT)" $(CLUSTER_SECRETS)
