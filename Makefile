# The whole set-up on a machine with Python 3.10 or newer and make:
#   make demo   train, quantize at 8, 4 and 2 bits, export, verify, one table and one chart
#   make test   the tests of the Python package: all on PyTorch, golden values and what is their own on the others
#   make backends   the rest of the tests on TensorFlow and JAX, which compile: half an hour
#   make check  what to run while working: lint, and what tests the arithmetic, the quantizers and the plan
#   make random-graphs   200 random models, other ones in every run: file against model, bit for bit
#   make cpp    build and test the C++ programs; needs the Debian packages that tflite_c++/README.md names
#   make cpp-sanitize   the same with AddressSanitizer and UndefinedBehaviorSanitizer
#   make cpp-aarch64    build them for 64-bit ARM, and test under an emulator what is exact there
PYTHON ?= python3
VENV ?= .venv
LARQ ?= .venv-larq
OLDEST ?= .venv-oldest
OLDEST_PYTHON ?= $(shell python3.10 --version >/dev/null 2>&1 && echo python3.10 || echo $(PYTHON))
DATA ?= digits
ARGS ?=

BIN := $(VENV)/bin
CONSTRAINTS := requirements/ci.txt
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c $(CONSTRAINTS)
PYTEST := $(BIN)/python -m pytest
# Each core starts with half of the suite and takes over from the other at the end: the tests of one file, which share
# what they make and compile, stay in one process.
BOTH := -n 2 --dist worksteal
# On PyTorch, which compiles nothing, all tests take the time that one folder takes elsewhere. The other backends compute
# the same from golden values, where a compiler could change a bit; TensorFlow has besides what is about itself.
GOLDEN := $(addprefix tests/,ops quantizers parity)
TENSORFLOW := $(addprefix tests/,legacy bridge export/fallback examples)
# The rest of what must give the same bits on every backend.
AGNOSTIC := $(addprefix tests/,layers lowering callbacks constraints metrics optimizers training \
	ptq/test_reestimate.py ptq/test_steps.py)
# The layers below the model, and the plan of one: a minute and a half on two cores. A test in here that takes more
# than two seconds is marked `slow`; a folder that would be mostly such tests does not belong here.
QUICK := $(addprefix tests/,core ops constraints metrics optimizers quantizers transforms/planning) \
	$(patsubst %,tests/transforms/test_%.py,graph limits nothing)

export TF_CPP_MIN_LOG_LEVEL ?= 3
export TF_ENABLE_ONEDNN_OPTS ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types unit tensorflow jax backends oldest larq examples docs random-graphs \
	cpp cpp-sanitize cpp-aarch64 clean

help:
	@sed -n 's/^#   //p' Makefile

# One environment: `demo` needs a part of what `dev` does. Each stamp is older than pyproject.toml
# exactly when the environment has to be brought up to date.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(PIP) -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/python -m examples.demo --data $(DATA) $(ARGS)

test: lint types unit tensorflow jax oldest larq examples docs

check: lint
	KERAS_BACKEND=torch $(PYTEST) $(BOTH) -m 'not slow' $(QUICK)

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/pyright

unit: $(VENV)/.dev
	KERAS_BACKEND=torch $(PYTEST) $(BOTH) tests --ignore=tests/examples

tensorflow: $(VENV)/.dev
	KERAS_BACKEND=tensorflow $(PYTEST) $(BOTH) -m 'not once' $(GOLDEN) $(TENSORFLOW)

jax: $(VENV)/.dev
	KERAS_BACKEND=jax $(PYTEST) $(BOTH) -m 'not once and not repeats' $(GOLDEN)

# Other graphs in every run. What it finds is seldom the fault of the last change: KQAT_SEED=<seed> repeats it.
random-graphs: $(VENV)/.dev
	export KQAT_SEED=$${KQAT_SEED:-$$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}; \
		echo "KQAT_SEED=$$KQAT_SEED"; KQAT_GRAPHS=$${KQAT_GRAPHS:-200} KERAS_BACKEND=tensorflow \
		$(PYTEST) $(BOTH) tests/integration/test_random_graphs.py

# What `test` leaves out on the backends that compile. Plans and files do not depend on the backend.
backends: $(VENV)/.dev
	KERAS_BACKEND=jax $(PYTEST) $(BOTH) -m 'not once and not repeats' $(AGNOSTIC)
	KERAS_BACKEND=tensorflow $(PYTEST) $(BOTH) -m 'not once' $(AGNOSTIC) tests/integration

# Keras, NumPy and Python as old as they may be: what kqat uses of Keras without a promise, what is added from outside,
# what is saved. Old versions warn of what newer ones of their dependencies took away.
$(OLDEST)/.done: pyproject.toml requirements/oldest.txt
	$(OLDEST_PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --disable-pip-version-check --quiet -c requirements/oldest.txt \
		-e '.[jax]' pytest hypothesis
	@touch $@

oldest: $(OLDEST)/.done
	KERAS_BACKEND=jax $(OLDEST)/bin/python -m pytest -W ignore::DeprecationWarning \
		tests/test_keras_private.py tests/house tests/layers/test_quantized.py tests/test_saving.py

# larq needs NumPy 1, which JAX and others do not work with: an environment of its own.
$(LARQ)/.done: pyproject.toml requirements/larq.txt
	$(PYTHON) -m venv $(LARQ)
	$(LARQ)/bin/python -m pip install --disable-pip-version-check --quiet -c requirements/larq.txt \
		-e '.[tensorflow,larq,lce]' pytest hypothesis
	@touch $@

larq: $(LARQ)/.done
	TF_USE_LEGACY_KERAS=1 KERAS_BACKEND=tensorflow $(LARQ)/bin/python -m pytest tests/legacy/larq

# The examples in the docstrings run as they are printed; larq's part cannot be imported here.
examples: $(VENV)/.dev
	KERAS_BACKEND=tensorflow $(PYTEST) --doctest-modules kqat --ignore=kqat/legacy/larq

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

CPP_PYTHON = -DPython3_EXECUTABLE=$(abspath $(BIN)/python) -DKQAT_PYTHON=$(abspath $(BIN)/python)

# Its tests compare with what Python and, where the environment is there, Larq Compute Engine compute.
cpp: $(VENV)/.dev
	cmake -S tflite_c++ -B build/cpp $(CPP_PYTHON)
	cmake --build build/cpp -j2
	ctest --test-dir build/cpp --output-on-failure

cpp-sanitize: $(VENV)/.dev
	cmake -S tflite_c++ -B build/sanitize -DKQAT_SANITIZE=ON $(CPP_PYTHON)
	cmake --build build/sanitize -j2
	ctest --test-dir build/sanitize --output-on-failure

# The emulator is slow, and float kernels round in other places on ARM: these are the tests that are quick and exact.
AARCH64_TESTS := flatbuffer_test packing_test parity_test
build/wheel-aarch64/ai_edge_litert: | $(VENV)/.dev
	$(BIN)/python -m pip download --disable-pip-version-check --quiet --no-deps --only-binary :all: \
		--platform manylinux_2_27_aarch64 -c $(CONSTRAINTS) ai-edge-litert -d $(@D)
	$(BIN)/python -m zipfile -e $(@D)/*.whl $(@D)

cpp-aarch64: build/wheel-aarch64/ai_edge_litert
	cmake -S tflite_c++ -B build/aarch64 -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64-linux-gnu.cmake \
		-DLITERT_DIR=$(abspath $<) $(CPP_PYTHON)
	cmake --build build/aarch64 -j2 --target $(AARCH64_TESTS)
	ctest --test-dir build/aarch64 --output-on-failure -R '^(flatbuffer|packing|parity)$$'

clean:
	rm -rf $(VENV) $(LARQ) $(OLDEST) build dist site demo .jax_cache
