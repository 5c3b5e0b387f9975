# What can be done with the template; `make` alone lists it. CONTRIBUTING.md says more.

# Where the demo's Placement answers on this machine.
PORT ?= 8081
# What it is called: another name than a real deployment's on the same machine.
DEMO ?= placement-demo
# What is answered otherwise there, as in: make demo ANSWERS='database=mysql replicas=2'
ANSWERS ?=
# More for pytest, as in: make test-render PYTEST_ARGS='-k keystone --verbose'
PYTEST_ARGS ?=

# tools/bootstrap writes .cache/env: the tools it found or brought, and the container engine.
WITH_TOOLS = . .cache/env &&
RUN = uv run --frozen --quiet
PYTEST = $(WITH_TOOLS) $(RUN) python -m pytest -p tests.support.tiers --numprocesses auto --dist loadgroup \
    --durations 10 $(PYTEST_ARGS)

SPHINX_ARGS = --builder html --quiet --fail-on-warning --keep-going --fresh-env --doctree-dir .cache/doctrees

.PHONY: help demo demo-down test test-all test-questions test-render test-image test-stack \
    test-template-updates test-tools test-cluster lint docs examples lock clean

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: ## Render the default, build it, start it, test it, and say where it answers
	@tools/bootstrap uv engine base
	@$(WITH_TOOLS) $(RUN) tools/demo $(DEMO) $(PORT) $(ANSWERS)

demo-down: ## Stop the demo and delete its data
	@tools/bootstrap uv engine
	@$(WITH_TOOLS) echo y | $(RUN) $(MAKE) --no-print-directory -C demo clean

test: lint ## Everything that proves the template on one machine
	@tools/bootstrap uv engine base lint charts
	$(PYTEST) --ignore tests/cluster

test-all: lint ## The same with the full cross products, for a schedule
	@tools/bootstrap uv engine base lint charts
	$(PYTEST) --all --ignore tests/cluster

test-cluster: ## Tier 5: the chart on the Kubernetes of KUBECONFIG, which CLUSTER_LOAD gives images
	@tools/bootstrap uv engine base charts
	$(PYTEST) tests/cluster

test-tools: ## What brings the tools, and the demo
	@tools/bootstrap uv engine base
	$(PYTEST) tests/tools

test-questions: ## Tier 1: what may be answered and what is refused
	@tools/bootstrap uv
	$(PYTEST) tests/questions

test-render: ## Tier 2: what is rendered, linted and validated
	@tools/bootstrap uv lint charts
	$(PYTEST) tests/render

test-image: ## Tier 3: the image by itself
	@tools/bootstrap uv engine base
	$(PYTEST) tests/image

test-stack: ## Tier 3: the image with its databases, Keystone, releases and a devstack
	@tools/bootstrap uv engine base
	$(PYTEST) tests/stack

test-template-updates: ## Tier 4: changes of answers, newer versions of the template, and their commands
	@tools/bootstrap uv engine charts
	$(PYTEST) tests/template_updates

lint: ## Every linter, over the template's sources and what is rendered
	@tools/bootstrap uv lint
	@$(WITH_TOOLS) $(RUN) tools/lint

docs: ## Write the generated pages, and build the site in .cache/docs; warnings are errors
	@tools/bootstrap uv
	@$(WITH_TOOLS) $(RUN) python tools/questions.py
	@$(WITH_TOOLS) $(RUN) python tools/reference.py
	@$(WITH_TOOLS) $(RUN) --group docs sphinx-build $(SPHINX_ARGS) docs .cache/docs

examples: ## Write examples/ anew, whose diff shows what a change to the template does
	@tools/bootstrap uv charts
	@$(WITH_TOOLS) $(RUN) tools/examples

lock: ## Renew the locked requirements of every release
	@tools/bootstrap uv
	@$(WITH_TOOLS) $(RUN) tools/lock

clean: ## Remove what was brought and rendered; Debian packages stay, and so does the demo
	rm -rf .cache .venv .mypy_cache .pytest_cache .ruff_cache
