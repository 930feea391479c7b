# Two commands on a fresh machine: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Files are compiled when they are first imported; most never are.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
export OMP_NUM_THREADS ?= 1
# Audits start processes, and each would compile torch anew: ten seconds instead of one.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types imports check prove prove-ledger bench gallery reproduce clean help

help:  ## show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

demo: $(VENV)/.ready  ## set up, audit the embedded models, write out/demo/report.html
	$(BIN)/titer demo --out out/demo

test: $(VENV)/.tested  ## set up and run all tests
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -rs

check: lint types imports  ## what reviewers run before they read

lint: $(VENV)/.tested  ## formatting and lint
	$(BIN)/ruff format --check src tests benchmarks scripts
	$(BIN)/ruff check src tests benchmarks scripts

types: $(VENV)/.tested  ## strict type checking
	$(BIN)/mypy

imports: $(VENV)/.tested  ## imports run one way
	$(BIN)/lint-imports

prove: $(VENV)/.tested  ## audit four real data sets (TITER_DATA names their folder) and repeat the paper at quick scale
	test -n "$$TITER_DATA" || { echo "TITER_DATA must name the folder of the data sets: see docs/data.md" >&2; exit 2; }
	set -e; for plan in ecg chest-xray chest-anomaly notes; do $(BIN)/titer audit examples/plans/$$plan.yaml --out out/prove/$$plan; done
	$(BIN)/titer reproduce soberano-2025 --scale quick --out out/prove/soberano-2025

prove-ledger: $(VENV)/.tested  ## all proofs of fingerprints, ledger and guard, then the acceptance checks in one table (about two hours)
	$(BIN)/python tests/provenance/acceptance.py

bench: $(VENV)/.tested  ## how long attacks take beside the peers (TITER_DATA names the data sets): benchmarks/speed.json, docs/speed.md
	test -n "$$TITER_DATA" || { echo "TITER_DATA must name the folder of the data sets: see docs/data.md" >&2; exit 2; }
	PYTHON=$(BIN)/python sh benchmarks/install.sh
	cd benchmarks && PYTHONPATH=../src:. ../.venv-peers/bin/python -m speed && PYTHONPATH=. ../$(BIN)/python -m speed.page

gallery: $(VENV)/.tested  ## draw docs/gallery.md anew (TITER_DATA names the data sets)
	test -n "$$TITER_DATA" || { echo "TITER_DATA must name the folder of the data sets: see docs/data.md" >&2; exit 2; }
	cd scripts && PYTHONPATH=. ../$(BIN)/python -m gallery

reproduce: $(VENV)/.ready  ## the paper's experiments at full scale (hours)
	$(BIN)/titer reproduce soberano-2025 --scale full --out out/reproduce

clean:  ## remove everything that was made here
	rm -rf $(VENV) .venv-peers .cache out

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch goes first and by its exact version, so that the build for processors is taken, not that for graphics cards.
$(VENV)/.ready: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) torch==$$(sed -n 's/^torch==//p' constraints.txt)
	$(PIP) --editable '.[audit,images]'
	touch $@

$(VENV)/.tested: $(VENV)/.ready scripts/setup-tests.sh
	$(PIP) --editable '.[all,dev]'
	sh scripts/setup-tests.sh
	touch $@
