# Every command of the project. `make help` lists them.
PYTHON ?= python3
PY := .venv/bin/python

# With DATA=DIRECTORY everything is made from your own files, in a home of its own; SHOP=NAME names
# it, so that the next delivery may lie in another directory.
DATA ?=
SHOP ?=
MAPPING ?=
EVENTS ?= 100000
ifneq ($(SHOP),)
ifneq ($(SHOP),$(filter-out .%,$(notdir $(firstword $(SHOP)))))
$(error SHOP: expected a name without blanks and slashes, not '$(SHOP)')
endif
CUVEE_HOME ?= var/own/$(SHOP)
ifneq ($(abspath $(CUVEE_HOME)),$(abspath var/own/$(SHOP)))
$(error SHOP=$(SHOP) and CUVEE_HOME=$(CUVEE_HOME) name two homes: say one of them)
endif
else ifeq ($(DATA),)
CUVEE_HOME ?= var
else
# Directories of one name are not one store: the number is that of the whole path.
OWN := $(abspath $(DATA))
CUVEE_HOME ?= var/own/$(notdir $(OWN))-$(word 1,$(shell printf %s "$(OWN)" | cksum))
endif
export CUVEE_HOME

# Into the environment of the target. uv takes a third of the time that pip does.
INSTALL = $(@D)/bin/uv pip install --quiet --compile-bytecode --python $(@D)/bin/python
environment = $(PYTHON) -m venv $(1) && $(1)/bin/python -m pip install --quiet --disable-pip-version-check uv

# What to say for the next delivery of a shop.
NEXT = $(if $(SHOP),make run SHOP=$(SHOP),CUVEE_HOME='$(CUVEE_HOME)' make run) DATA=DIRECTORY$(if $(MAPPING), MAPPING='$(MAPPING)')

# Data that break a rule of data quality are held back (exit code 3): what was good last serves on.
OR_HELD := || [ $$? -eq 3 ]

# Who names a shop that is not there made a mistake: nothing is to be made for it.
ifneq ($(DATA)$(SHOP),)
IF_THERE = @test -d "$(CUVEE_HOME)/offline" || { echo "error: there is no shop $(or $(SHOP),of $(DATA)) yet: name its files, make run $(if $(SHOP),SHOP=$(SHOP) )DATA=DIRECTORY" >&2; exit 2; }
endif

.DEFAULT_GOAL := help
.PHONY: help run ready data train serve test lint format loadtest bench growth store drift faults soak peers feast detectors show clean

help: ## List what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ready ## Data, model, service: all that is missing, then serve (DATA=DIR SHOP=NAME: your own files)
	$(PY) -m server

ready: data ## All that serving needs, made where it is missing
	$(PY) -m models train --if-missing
	$(PY) -m features materialize $(OR_HELD)

data: .venv/.train ## Take DATA=DIR [MAPPING=FILE] in, or make the demo store (EVENTS=100000)
ifeq ($(DATA)$(SHOP),)
	$(PY) -m features simulate --if-empty --events $(EVENTS)
else ifneq ($(DATA),)
	$(PY) -m features ingest --data "$(DATA)" $(if $(MAPPING),--mapping "$(MAPPING)") $(OR_HELD)
	@echo "the next delivery of this shop, from any directory: $(NEXT)"
else
	$(IF_THERE)
endif

train: .venv/.train ## Train a model, if there is none of the present data, and bring shoppers online
	$(IF_THERE)
	$(PY) -m models train --if-stale
	$(PY) -m features materialize $(OR_HELD)

serve: .venv/.train ## Serve what is there
	$(IF_THERE)
	$(PY) -m server

# A store of your own can be filled by one process only. tests/conftest.py says in which order files
# come. All cores have a test already: numpy's pools of threads would only spin beside them.
# What tests start is compiled once, whatever the environment says.
test: export PYTHONDONTWRITEBYTECODE =
test: export OMP_NUM_THREADS ?= 1
test: export OPENBLAS_NUM_THREADS ?= 1
test: .venv/.dev ## Run every test, four at a time (ARGS="-k name" for some)
	$(PY) -m pytest $(if $(CUVEE_REDIS_URL),,--numprocesses 4 --dist loadfile --no-loadscope-reorder) $(ARGS)

lint: .venv/.dev ## Check style, types and the Dockerfile
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/hadolint Dockerfile

format: .venv/.dev ## Format the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

loadtest: .venv/.dev ready ## Start the service over a copy, send it shoppers for 20 s, judge what they saw
	$(PY) -m features shoppers --most 1000 > "$(CUVEE_HOME)/shoppers.txt"
	$(PY) -m loadtests run --home "$(CUVEE_HOME)" --shoppers "$(CUVEE_HOME)/shoppers.txt"

bench: .venv/.dev ## Measure a request beside bare handlers (ARGS="--seconds 2 --repeat 1")
	$(PY) -m loadtests.bench $(ARGS)

growth: .venv/.dev ## Measure catalogues of a thousand items to a million, and one and two workers
	$(PY) -m loadtests.growth $(ARGS)

store: .venv/.dev ## Measure the feature store, by turns with Feast where `make feast` installed it
	$(PY) -m loadtests.store $(ARGS)

drift: .venv/.dev ## Measure false alarms and how soon drift is found, beside the naive rule and `make detectors`
	$(PY) -m loadtests.drift $(ARGS)

faults: .venv/.dev ## Break one thing at a time under load, show what shoppers saw (ARGS="--only killed")
	$(PY) -m loadtests.faults $(ARGS)

soak: .venv/.dev ## Load the service for an hour with promotions; does memory grow? (ARGS="--minutes 90")
	$(PY) -m loadtests.soak $(ARGS)

peers: .venv-peers/.made ## Install the servers that `make bench` then measures beside ours

feast: .venv-feast/.made ## Install Feast, which `make store` then measures beside our feature store

detectors: .venv-detectors/.made ## Install the libraries that `make drift` then measures beside our rule

show: .venv/.train ## Show what data and models there are
	$(IF_THERE)
	$(PY) -m features show
	$(PY) -m models list

clean: ## Remove the virtual environment and caches, never data
	rm -rf .venv .venv-peers .venv-feast .venv-detectors .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info

# One virtual environment; each stamp says which extras are in it.
.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or newer is needed; name one with make PYTHON=python3.12" >&2; exit 2; }
	$(call environment,.venv)
	@touch $@

.venv/.train: .venv/.made pyproject.toml
	$(INSTALL) --editable '.[train]'
	@touch $@

.venv/.dev: .venv/.train pyproject.toml
	$(INSTALL) --editable '.[dev]'
	@touch $@

# The benchmark's other servers run our model, but depend on nothing of ours and we on none of them.
.venv-peers/.made: pyproject.toml
	$(call environment,.venv-peers)
	$(INSTALL) --editable '.[peers]'
	@touch $@

# Feast shares nothing with us: neither packages nor what they depend on.
.venv-feast/.made: loadtests/store/requirements.txt
	$(call environment,.venv-feast)
	$(INSTALL) --requirement $<
	@touch $@

# So do libraries that detect drift; they ask for an older numpy than ours.
.venv-detectors/.made: loadtests/drift/requirements.txt
	$(call environment,.venv-detectors)
	$(INSTALL) --requirement $<
	@touch $@
