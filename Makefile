# make install   the environment in .venv, from pinned versions
# make compiled  the gateway's request path as machine code (needs a C compiler)
# make demo      the whole story on real data in about a minute
# make test      everything that must hold before a change lands
# make examples  the text examples, trained on their real data (minutes; skipped where the data is not there)
# make torture   kills, power cuts, full disks and simulated faults, the long forms (power cuts as root)
# make bench     the measurements, quick form

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
JOBS   ?= 3
# What has to hold of the request path, run over its compiled form as well.
REQUESTS := tests/unit/gateway tests/unit/trust tests/contract/test_traffic.py tests/torture/test_hostile_requests.py tests/torture/test_tenants_at_the_gateway.py

# One thread each for numeric libraries, none of them spinning: the tests run side by side.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
export HF_HUB_OFFLINE  ?= 1
export TOKENIZERS_PARALLELISM ?= false
# The tests start hundreds of processes that load the same modules: what is compiled of them is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install compiled demo test lint types floors tests examples torture bench clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Modelhall needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,dev]'
	touch $@

compiled: install
	$(BIN)/python -m modelhall.app.compiled.build

demo: install
	$(BIN)/hall demo

test: lint types floors tests

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

floors: install
	$(BIN)/lint-imports

# Each file stays on one worker, so that tests which share a running hall share one.
tests: install
	$(BIN)/python -m compileall -q src
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder -m 'not slow'

examples: install
	OMP_NUM_THREADS=2 $(BIN)/pytest -m slow tests/unit/stages/test_examples.py

torture: compiled
	$(BIN)/python -m modelhall.app.compiled pytest -m 'not slow' $(REQUESTS)
	MODELHALL_TORTURE=1 $(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --timeout 3000 tests/torture tests/scenario tests/e2e/test_kills.py tests/e2e/test_canaries.py tests/e2e/test_other_machines.py tests/e2e/test_gangs_over_nodes.py tests/e2e/test_ray.py tests/e2e/test_slurm.py tests/e2e/test_hosts_of_a_network.py tests/contract/test_launcher.py

bench: compiled
	for file in bench/*.py; do $(BIN)/python $$file --quick || exit 1; done

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
