# Everything a newcomer types. `make repro` and `make test` set themselves up first: they get uv, install the locked
# environment into .venv and go. All they need is git, make and Python 3.10 or newer.

PYTHON ?= python3
PORT ?= 5000
BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup extra-s3 extra-cluster repro test test-fast test-peers lint format docs dist lock mlflow clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED) ## install the locked environment into .venv

extra-s3 extra-cluster: $(INSTALLED)
	@PYTHON="$(PYTHON)" tools/setup.sh extra $(@:extra-%=%)
extra-s3: ## install what data and files of MLflow in S3 need
extra-cluster: ## install Ray, which spreads films over machines

repro: $(INSTALLED) ## run the pipeline as far as it is out of date, then show the table
	@$(BIN)/python tools/mend.py
	@# DVC removes what a stage made before the stage can refuse its params.
	@$(BIN)/python -c 'from clmot import errors, params; errors.run_as_script(params.load_params)'
	$(BIN)/dvc repro
	@echo
	@cat metrics/table.md

# Where this is set, every test process would rewrite and compile every test file again.
test test-fast: export PYTHONDONTWRITEBYTECODE :=

# One more than there are cores: many tests wait, for servers, locks and deadlines.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

test: $(INSTALLED) ## run every test on all cores, a file at a time on each, the longest files first
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-fast: $(INSTALLED) ## run the tests that take seconds
	$(BIN)/python -m pytest -q -m "not slow" -n auto

test-peers: $(INSTALLED) ## run BoxMOT's and ultralytics' trackers with our embedding on films: FILMS, BOXES, WEIGHTS, RIVAL
	@: $(or $(FILMS),$(error name FILMS, a folder of <benchmark>/<film>; BOXES, WEIGHTS and RIVAL are told in benchmarks/peers.py))
	$(BIN)/python -m benchmarks.peers $(FILMS) --detections $(BOXES) --weights $(WEIGHTS) $(if $(RIVAL),--rival $(RIVAL)) \
		--output benchmarks/results/peers.json --page docs/peers.md

lint: $(INSTALLED) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED) ## put the code into the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED) ## build the site into site/ (open site/index.html)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

dist: $(INSTALLED) ## build the wheel into dist/
	@PYTHON="$(PYTHON)" tools/setup.sh dist

mlflow: $(INSTALLED) ## compare runs in a browser, at http://127.0.0.1:5000 (PORT=5001 for another port)
	@$(BIN)/python -m clmot.reporting.mlflow_server $(PORT)

clean: ## remove the environment and the tools' caches; data, models, runs and DVC's cache stay
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis

lock: ## choose new versions for requirements.lock, within pyproject.toml's limits
	@PYTHON="$(PYTHON)" tools/setup.sh lock

$(INSTALLED): requirements.lock pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" tools/setup.sh
