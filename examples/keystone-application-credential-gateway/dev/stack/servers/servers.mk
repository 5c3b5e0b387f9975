# The servers that Placement needs on this host. Each has a folder here with its Dockerfile.
SERVERS = mariadb memcached keystone
# The names of their passwords. Each password is generated once and kept in .env.
PASSWORDS =
PASSWORDS += DATABASE_ADMIN_PASSWORD
PASSWORDS += DATABASE_PASSWORD
PASSWORDS += KEYSTONE_ADMIN_PASSWORD
PASSWORDS += KEYSTONE_PLACEMENT_PASSWORD
PASSWORDS += KEYSTONE_CREDENTIAL_SECRET
PASSWORDS += MEMCACHE_SECRET_KEY

BUILD_SERVERS = $(SERVERS:%=build-%)
.PHONY: $(BUILD_SERVERS) passwords start-servers

build: $(BUILD_SERVERS)
$(BUILD_SERVERS): build-%:
	$(BUILD) --tag $(IMAGE)-$* dev/stack/servers/$*

up: passwords
passwords:
	@dev/stack/servers/passwords.sh $(PASSWORDS)

upgrade: start-servers
start-servers: $(TOOLS) passwords
	$(COMPOSE) up --detach --no-recreate $(SERVERS)

.PHONY: create-database
up upgrade import-sqlite: create-database
create-database: start-servers
	$(COMPOSE) --profile command run --rm -T create-database

##@ This host
.PHONY: import-sqlite
import-sqlite: ## Copy the data of an earlier SQLite file into the database server
	$(COMPOSE) stop placement
	$(RUN) import-sqlite || { $(COMPOSE) start placement; $(call wait_for,$(HERE)/); exit 1; }
	@$(MAKE) --no-print-directory up
