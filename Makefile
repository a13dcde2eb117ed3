# Everything a newcomer types. `make repro` and `make test` set themselves up first: they get uv, install the locked
# environment into .venv and go. All they need is git, make and Python 3.10 or newer.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup repro test test-fast lint format docs lock mlflow clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED) ## install the locked environment into .venv

repro: $(INSTALLED) ## run the pipeline as far as it is out of date, then show the table
	$(BIN)/dvc repro
	@echo
	@cat metrics/table.md

test: $(INSTALLED) ## run every test: the fast ones on all cores, then whole pipelines one at a time
	$(BIN)/python -m pytest -q -m "not slow" -n auto
	$(BIN)/python -m pytest -q -m slow

test-fast: $(INSTALLED) ## run the tests that take seconds
	$(BIN)/python -m pytest -q -m "not slow" -n auto

lint: $(INSTALLED) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED) ## put the code into the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED) ## build the site into site/ (open site/index.html)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

mlflow: $(INSTALLED) ## compare runs in a browser, at http://127.0.0.1:5000
	@case "$${MLFLOW_TRACKING_URI:-}" in \
	http://*|https://*|databricks*) \
	    echo "MLFLOW_TRACKING_URI names a server, which has the runs and shows them: open $$MLFLOW_TRACKING_URI" ;; \
	*) set -x; $(BIN)/mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" ;; \
	esac

clean: ## remove the environment and the tools' caches; data, models, runs and DVC's cache stay
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis

# --- the environment ---------------------------------------------------------------------------------------

# Finds uv on the PATH or gets it into .tools, with or without Python's venv module (Debian packs it separately).
# Sets the shell variable uv; where that fails, the last line says what to do.
define GET_UV
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
    echo "error: $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing), but Python 3.10 or newer is needed:" \
         "install one and name it, as in 'make PYTHON=python3.12 repro'." >&2; exit 2; }; \
uv=$$(command -v uv || true); \
for have in .tools/bin/uv .tools/uv/bin/uv; do \
    if [ -z "$$uv" ] && [ -x $$have ]; then uv=$$have; fi; \
done; \
if [ -z "$$uv" ]; then \
    echo "Getting uv, the package installer, into .tools"; log=$$(mktemp); \
    if { $(PYTHON) -m venv .tools && .tools/bin/python -m pip install --quiet uv; } >"$$log" 2>&1; then \
        uv=.tools/bin/uv; \
    elif rm -rf .tools && $(PYTHON) -m pip install --quiet --target .tools/uv uv >>"$$log" 2>&1; then \
        uv=.tools/uv/bin/uv; \
    else \
        rm -rf .tools; tail -n 3 "$$log" >&2; rm -f "$$log"; \
        echo "error: uv cannot be installed with $(PYTHON): check the network, or install Python's venv module" \
             "(Debian: apt install python3-venv) or uv itself, then run make again." >&2; exit 2; \
    fi; \
    rm -f "$$log"; \
fi
endef

# DVC starts `python` for a stage and `dvc` for a worker of its queue, by these names. This line, which the environment's
# Python runs at every start, lets them be found beside the program that asks, so that `.venv/bin/dvc ...` works in a
# shell where the environment is not activated.
FIND_SIBLINGS := import os, sys; b = os.path.join(sys.prefix, "bin"); p = os.environ.get("PATH", os.defpath); \
    os.environ["PATH"] = p if p.split(os.pathsep)[0] == b else b + os.pathsep + p

$(INSTALLED): requirements.lock pyproject.toml
	@$(GET_UV); set -e; \
	[ -x $(BIN)/python ] || "$$uv" venv --quiet --no-python-downloads --python "$$(command -v $(PYTHON))" .venv; \
	echo "Installing the locked environment into .venv"; \
	"$$uv" pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock; \
	"$$uv" pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	echo '$(FIND_SIBLINGS)' > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/siblings.pth"; \
	touch $@

lock: ## choose new versions for requirements.lock, within pyproject.toml's limits
	@$(GET_UV); set -e; \
	"$$uv" pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.10 --generate-hashes \
	    --no-emit-index-url --custom-compile-command "make lock" -o requirements.lock
