# The commands of the project.  Everything they make is in .venv, build and the reports they name.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
EXTRAS = dev,plan,parquet,report,redfish,flow,prove,net,dask
SHOWN_HOST ?= tests/hosts/96arm-2s4n24cl4c/host.tar.zst
REPORT ?= build/report.html

# The data plane of flow, for the BPF machine: the same objects on x86_64 and aarch64.
CLANG ?= clang
STRIP ?= llvm-strip
BPF_FROM ?= src/virtboost/flow/bpf
BPF_OUT ?= src/virtboost/flow/bpf
BPF_OBJECTS ?= $(BPF_OUT)/xdp.bpf.o $(BPF_OUT)/tc.bpf.o
BPF_HEADERS ?= /usr/include/$(shell uname -m)-linux-gnu
BPF_DEFINES ?=

.PHONY: run test fuzz-flow soak-flow check fix bench lab docs bpf install clean

run: install
	$(BIN)/virtboost scan
	@echo
	-$(BIN)/virtboost check
	@echo
	-$(BIN)/virtboost check -H $(SHOWN_HOST) --html $(REPORT)

test: install
	tools/test-dependencies
	$(MAKE) bpf
	$(BIN)/python -m pytest -n auto --dist loadgroup

# More than a million packets over ten thousand pipelines.
fuzz-flow: install
	FLOW_PIPELINES=10000 FLOW_PACKETS=200 $(BIN)/python -m pytest -n auto tests/unit/flow/test_composition.py

# Hours of traffic through Open vSwitch, and through it with a fast path: SOAK='--minutes 600', SOAK='--seed 1 --episode 2'.
SOAK ?=
soak-flow: install bpf
	PYTHONPATH=tests $(BIN)/python -m differential $(SOAK)

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

bench-flow: install bpf
	PYTHONPATH=tests $(BIN)/python -m bench flow fastpath endtoend changes growth

bench-net: install
	PYTHONPATH=tests $(BIN)/python -m bench net overlays simulate validate

bench-%: install
	PYTHONPATH=tests $(BIN)/python -m bench $*

lab: install
	$(BIN)/python -m lab boot

bpf: $(BPF_OBJECTS)

$(BPF_OUT)/%.bpf.o: $(BPF_FROM)/%.bpf.c $(wildcard src/virtboost/flow/bpf/*.h)
	$(CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -I$(BPF_HEADERS) -Isrc/virtboost/flow/bpf $(BPF_DEFINES) -c $< -o $@
	$(STRIP) --strip-debug $@

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	tools/make-venv $(PYTHON) $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

clean:
	rm -rf $(VENV) build $(BPF_OBJECTS)

docs: install
	$(BIN)/python tools/reference.py
