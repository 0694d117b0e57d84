# The commands of the project.  Everything they make is in .venv, build and the reports they name.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
EXTRAS = dev,plan,parquet,report,redfish,flow,prove
SHOWN_HOST ?= tests/hosts/96arm-2s4n24cl4c/host.tar.zst
REPORT ?= build/report.html

.PHONY: run test fuzz-flow check fix bench lab docs install clean

run: install
	$(BIN)/virtboost scan
	@echo
	-$(BIN)/virtboost check
	@echo
	-$(BIN)/virtboost check -H $(SHOWN_HOST) --html $(REPORT)

test: install
	tools/test-dependencies
	$(BIN)/python -m pytest -n auto --dist loadgroup

# More than a million packets over ten thousand pipelines.
fuzz-flow: install
	FLOW_PIPELINES=10000 FLOW_PACKETS=200 $(BIN)/python -m pytest -n auto tests/unit/flow/test_composition.py

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/reference.py --check

fix: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	PYTHONPATH=tests $(BIN)/python -m bench

bench-%: install
	PYTHONPATH=tests $(BIN)/python -m bench $*

lab: install
	$(BIN)/python -m lab boot

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	tools/make-venv $(PYTHON) $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

clean:
	rm -rf $(VENV) build

docs: install
	$(BIN)/python tools/reference.py
