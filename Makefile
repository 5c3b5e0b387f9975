# `make` alone lists the targets. CONTRIBUTING.md describes the tests.

# The demo's port on this machine, its name, and its answers. The name must differ from those of other
# deployments on this machine. Example: make demo ANSWERS='database=mysql replicas=2'
PORT ?= 8081
DEMO ?= placement-demo
ANSWERS ?=
# What `make bench` compares: servers, quick (QUICK=1), or workers.
COMPARE ?= $(if $(QUICK),quick,servers)
# More arguments for pytest. Example: make test-render PYTEST_ARGS='-k keystone --verbose'
PYTEST_ARGS ?=

# tools/bootstrap writes .cache/env, which sets PATH and the container engine.
WITH_TOOLS = . .cache/env &&
RUN = uv run --frozen --quiet
PYTEST = $(WITH_TOOLS) $(RUN) python -m pytest -p tests.support.tiers --numprocesses auto --dist loadgroup \
    $(PYTEST_ARGS)
# The image's commands are read from its entry point.
REFERENCE = $(WITH_TOOLS) PYTHONPATH=template/shared $(RUN) python -m tools.reference
SPHINX = $(WITH_TOOLS) $(RUN) --group docs sphinx-build --builder html --quiet --fail-on-warning \
    --keep-going --fresh-env --doctree-dir .cache/doctrees docs .cache/docs

.PHONY: help demo demo-down bench bench-growth check check-renovate test test-all test-questions test-render \
    test-image test-stack test-template-updates test-tools test-cluster lint docs examples lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' Makefile

demo: ## Render the default repository, build it, start it and test it
	@tools/bootstrap uv engine base
	@$(WITH_TOOLS) $(RUN) tools/demo $(DEMO) $(PORT) $(ANSWERS)

demo-down: ## Stop the demo and delete its data
	@tools/bootstrap uv engine
	@$(WITH_TOOLS) echo y | $(RUN) $(MAKE) --no-print-directory -C demo clean

bench: ## Compare the image with other ways to serve Placement; QUICK=1 compares only its patches
	@tools/bootstrap uv engine base bench
	@$(WITH_TOOLS) PYTHONPATH=template/shared $(RUN) python -m tools.bench $(COMPARE)

bench-growth: ## Measure how the cost of allocation candidates grows with the number of providers
	@tools/bootstrap uv engine base
	@$(WITH_TOOLS) PYTHONPATH=template/shared $(RUN) python -m tools.bench.growth

check: lint ## Run the fast checks: linters, generated pages, the documentation site
	@$(WITH_TOOLS) $(RUN) python -m tools.chart_schema --check
	@$(REFERENCE) --check
	@$(SPHINX)

check-renovate: ## Check renovate.json with Renovate's own validator, from npm
	@tools/check-renovate

test: check ## Run all tests that need only this machine
	@tools/bootstrap uv engine base lint charts skopeo bench
	$(PYTEST) --ignore tests/cluster

test-all: check ## Run the same tests with every combination of parameters, for a schedule
	@tools/bootstrap uv engine base lint charts skopeo bench
	$(PYTEST) --all --ignore tests/cluster

test-questions: ## Test which answers are valid and which are refused
	@tools/bootstrap uv
	$(PYTEST) tests/questions

test-render: ## Test rendered files with linters and schemas
	@tools/bootstrap uv lint charts
	$(PYTEST) tests/render

test-image: ## Test the image
	@tools/bootstrap uv engine base charts skopeo
	$(PYTEST) tests/image

test-stack: ## Test the image with databases, Keystone, releases and a devstack
	@tools/bootstrap uv engine base
	$(PYTEST) tests/stack

test-template-updates: ## Test changes of answers and newer versions of the template
	@tools/bootstrap uv engine charts
	$(PYTEST) tests/template_updates

test-tools: ## Test the programs in tools/ and the demo
	@tools/bootstrap uv engine base bench
	$(PYTEST) tests/tools

test-cluster: ## Test the chart on the cluster of KUBECONFIG; CLUSTER_LOAD loads images
	@tools/bootstrap uv engine base charts skopeo
	@# With more workers, rotations and outages measure this machine instead of Placement.
	$(PYTEST) --numprocesses 2 tests/cluster

lint: ## Run every linter over the sources and over rendered files
	@tools/bootstrap uv lint
	@$(WITH_TOOLS) $(RUN) tools/lint

docs: ## Write the generated pages and build the site in .cache/docs
	@tools/bootstrap uv
	@$(WITH_TOOLS) $(RUN) python -m tools.chart_schema
	@$(REFERENCE)
	@$(SPHINX)

examples: ## Write examples/, whose diff shows the effect of a change
	@tools/bootstrap uv charts
	@$(WITH_TOOLS) $(RUN) python -m tools.examples

lock: ## Update the locked requirements
	@tools/bootstrap uv
	@$(WITH_TOOLS) $(RUN) python -m tools.lock

clean: ## Delete tools and caches; Debian packages and the demo stay
	rm -rf .cache .venv .mypy_cache .pytest_cache .ruff_cache
