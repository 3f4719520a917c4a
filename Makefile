# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
export HF_HUB_OFFLINE = 1
export MUJOCO_GL ?= egl

# one thread a test process: many small tensors, and two processes share the cores
test test-long: export OMP_NUM_THREADS = 1

.PHONY: help demo test test-long check setup opengl clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

demo: $(VENV)/.demo opengl  ## collect, train, evaluate and report: runs/demo/report.html in ten minutes
	$(BIN)/embodia demo

test: $(VENV)/.test opengl  ## the default tests
	$(BIN)/python -m pytest

test-long: $(VENV)/.test opengl  ## the proofs that take longer; they refresh results/
	$(BIN)/python -m pytest -m long

check: $(VENV)/.dev  ## style, types and the rules of the house
	$(BIN)/ruff check src tests recipes benchmarks
	$(BIN)/ruff format --check src tests recipes benchmarks
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/arch

setup: $(VENV)/.demo opengl  ## only install

opengl:
	@sh scripts/opengl.sh

$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	@echo "installing torch and embodia, a few minutes the first time"
	$(PIP) install torch==2.13.0 -c constraints.txt
	@touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml constraints.txt
	$(PIP) install -e '.[demo]' -c constraints.txt
	@touch $@

$(VENV)/.test: $(VENV)/.torch pyproject.toml constraints.txt
	$(PIP) install -e '.[test]' -c constraints.txt
	@touch $@ $(VENV)/.demo

$(VENV)/.dev: $(VENV)/.test
	$(PIP) install -e '.[dev]' -c constraints.txt
	@touch $@

clean:  ## remove the environment; data sets and runs stay
	rm -rf $(VENV)
