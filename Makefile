# `make run` and `make test` set up everything they need; a second run starts in seconds.
PYTHON := .venv/bin/python
export PYTHONPATH := $(CURDIR):$(CURDIR)/sagemaker
# Hundreds of processes are started here, each of which would compile the project anew.
export PYTHONDONTWRITEBYTECODE :=

PARALLEL := --numprocesses auto

.DEFAULT_GOAL := help
.PHONY: help setup setup-test run test lint charts clean bench chaos fuzz images

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what `make run` needs, once
	@bash services/dev/setup.sh run

setup-test: ## Install what `make test` needs, once
	@bash services/dev/setup.sh test

run: setup ## Run the whole system on http://localhost:8080 (PORT=... for another port)
	@exec $(PYTHON) -m services.dev

test: setup-test lint ## Lint, type-check and run every test but the slow ones
	@$(PYTHON) -m pytest -m "not slow" $(PARALLEL)

lint: setup-test ## Check style and types
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

charts: setup-test ## Check the Helm chart and the other files of deployment alone
	@$(PYTHON) -m pytest -m "not slow" $(PARALLEL) tests/charts

bench: bench-upload bench-chunker bench-cuts bench-pipeline bench-fairness bench-endpoint bench-hotwords bench-load bench-api ## Run every benchmark (about three hours) and write bench/RESULTS.md

bench-%: setup-test ## Run one benchmark: upload, chunker, cuts, pipeline, fairness, endpoint, hotwords, load or api
	@$(PYTHON) -m bench.$*
	@$(PYTHON) -m bench.report

chaos: setup-test ## Kill processes at random, seed after seed (SEEDS=1-10), and write tests/chaos/RESULTS.md
	@$(PYTHON) -m pytest -q -m slow tests/chaos tests/charts; result=$$?; $(PYTHON) -m tests.chaos.table; exit $$result
	@$(PYTHON) -m tests.chaos.gaps
	@$(PYTHON) -m tests.chaos.matrix --seeds "$(or $(SEEDS),1-10)" --model --cluster

fuzz: setup-test ## Send 2,000 damaged and hostile files through the whole system (FILES=...), and write tests/chaos/RESULTS.md
	@$(PYTHON) -m tests.fuzz --files "$(or $(FILES),2000)" --seed "$(or $(SEED),1)"

images: setup-test ## Build every image without Docker (as root; buildah, podman, runc, mmdebstrap) and run a job through them
	@$(PYTHON) -m pytest -q -s -rs -m slow tests/images

clean: ## Remove what set-up and runs have made
	rm -rf .venv .setup .local .mypy_cache .ruff_cache .pytest_cache bench/work *.egg-info
	find tests/chaos/work -mindepth 1 -maxdepth 1 ! -name '*.json' -exec rm -rf {} +
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
