# The Keystone of this host, and Placement's registration in it.
KEYSTONE_PORT ?= 5000
KEYSTONE = https://127.0.0.1:$(KEYSTONE_PORT)/v3
export KEYSTONE_PORT
# Registers Placement as the administrator whose login it reads.
REGISTER = $(COMPOSE) run --rm -T -e OS_CLIENT_CONFIG_FILE=/dev/stdin -e OS_CLOUD=admin \
    -e PUBLIC_ENDPOINT=$(HERE) \
    -e INTERNAL_ENDPOINT=http://placement:8778 \
    -e ADMIN_ENDPOINT=http://placement:8778 \
    placement register

##@ This host
.PHONY: token registration

token: $(TOOLS) ## Print an administrator's token, which is valid for one hour
	@dev/stack/keystone/openstack token issue --format value --column id || \
	    { echo 'There is no token: run `make up` first, or set TOKEN.'; exit 1; } >&2

up: registration
registration: $(TOOLS) passwords
	$(COMPOSE) up --detach $(SERVERS)
	@$(call wait_for,$(KEYSTONE)) && \
	    $(TOOLS)/python dev/stack/keystone/write_clouds.py $(KEYSTONE) | $(REGISTER) || \
	    { $(COMPOSE) logs keystone; exit 1; }

$(TOOLS): dev/stack/keystone/requirements.txt
