# Set-up and checks. Everything is installed into virtual environments in this folder; nothing needs root.
#
#   make demo             train on digits: a grid search, the test accuracy, the confusion matrix
#   make test             all tests: of the package, of the code in documents, of both plugins
#   make fuzz             50,000 generated cases and more, then damaged files: FILE_SECONDS=60 for each of their readers;
#                         SEED=number replays a run
#   make lint             ruff, mypy, cython-lint
#   make mutants          change the checks of arguments, names and files in small ways, and list the changes that no
#                         test finds (40 minutes); MUTANTS='pyconvx.registry.*' for some of them
#   make bench            pyconvx beside PyTorch, skorch and ONNX Runtime: prints a table, writes
#                         docs/evidence/performance.md; CASES="1 7" for some cases, DATA=folder of Fashion-MNIST
#                         for case 4, OPTIONS=--quick for a try
#   make bench-kernels    speed of the kernels against this machine's peak
#   make figures          draw the figures of the documentation
#   make reference        write docs/guide/reference.md, the list of public names
#   make variants         debug-test, no-openmp-test and test-oldest: other builds, other versions
#   make sanitizers       asan, ubsan and tsan: the tests with compiled code that watches its memory, its arithmetic,
#                         its threads; tsan needs clang with OpenMP (CLANG=clang-14)
#   make clean            remove all that was built
#
# PYTHON chooses the interpreter (3.11 or newer): make test PYTHON=python3.13

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
PLUGINS = plugins/pyconvx-extras plugins/pyconvx-cython-activation
# what a compiled module is made from: a change here builds again
SOURCES = setup.py pyproject.toml $(wildcard $(foreach kind,pyx pxd h inc,pyconvx/_ext/*.$(kind) pyconvx/_ext/*/*.$(kind)) \
          pyconvx/include/pyconvx/*.h)
PLUGIN_SOURCES = $(wildcard $(foreach p,$(PLUGINS),$(p)/*.py $(p)/*.toml $(p)/src/*/*.c $(p)/src/*/*.h $(p)/src/*/*.pyx))
# the requirements of an extra, without building the package for them
extra = $$($(BIN)/python -c "import tomllib; \
	print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['$(1)'])")
PYTEST = $(BIN)/python -m pytest

# threads that wait sleep instead of spinning: much quicker where other programs want the processors too
demo test fuzz mutants debug-test no-openmp-test test-oldest asan ubsan tsan: export OMP_WAIT_POLICY ?= passive

.DEFAULT_GOAL = help
.DELETE_ON_ERROR:
.PHONY: help demo test fuzz lint mutants bench bench-kernels figures reference variants debug-test no-openmp-test test-oldest \
        sanitizers asan ubsan tsan clean

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is no Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig as s; sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' || \
	  { echo "the headers of $(PYTHON) are missing: on Debian, apt install python3-dev" >&2; exit 1; }
	@echo "== virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "no virtual environment: on Debian, apt install python3-venv" >&2; exit 1; }

$(VENV)/.installed: $(SOURCES) | $(BIN)/python
	@echo "== building and installing pyconvx (a minute or two)"
	$(PIP) install --progress-bar off --editable '.[test]'
	@touch $@

$(VENV)/.plugins: $(VENV)/.installed $(PLUGIN_SOURCES)
	@echo "== installing the plugin packages"
	$(PIP) install --progress-bar off 'setuptools>=77' 'cython>=3.3,<4'
	$(PIP) install --progress-bar off --no-build-isolation --no-deps $(addprefix ./,$(PLUGINS))
	@touch $@

$(VENV)/.lint: pyproject.toml | $(BIN)/python
	$(PIP) install --progress-bar off $(call extra,lint)
	@touch $@

demo: $(VENV)/.installed
	@echo "== training"
	PYTHONUNBUFFERED=1 $(BIN)/python examples/digits_grid_search.py

test: $(VENV)/.plugins
	cd plugins/pyconvx-extras && $(abspath $(BIN))/python -m pytest -q
	cd plugins/pyconvx-cython-activation && $(abspath $(BIN))/python -m pytest -q
	$(PYTEST)

SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
FILE_SECONDS ?= 60

$(VENV)/.fuzz: pyproject.toml $(VENV)/.installed
	$(PIP) install --progress-bar off $(call extra,fuzz)
	@touch $@

fuzz: $(VENV)/.plugins $(VENV)/.fuzz
	$(PYTEST) -q tests/fuzz --hypothesis-profile=nightly --hypothesis-seed=$(SEED)
	for target in model document checkpoint idx; do \
	  $(BIN)/python tests/fuzz/fuzz_files.py $$target $(FILE_SECONDS) || exit 1; done

lint: $(VENV)/.plugins $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	# mypy does not find what an editable installation provides: it gets the path
	cd plugins/pyconvx-extras && MYPYPATH=$(CURDIR) $(abspath $(BIN))/mypy --follow-imports=silent
	cd plugins/pyconvx-cython-activation && MYPYPATH=$(CURDIR) $(abspath $(BIN))/mypy --follow-imports=silent
	PATH="$(abspath $(BIN)):$$PATH" cython-lint pyconvx plugins  # it calls pycodestyle by name

$(VENV)/.mutation: pyproject.toml $(VENV)/.plugins
	$(PIP) install --progress-bar off $(call extra,mutation)
	@touch $@

mutants: $(VENV)/.mutation
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/mutmut run $(if $(MUTANTS),'$(MUTANTS)')
	$(BIN)/mutmut results --all true | $(BIN)/python tests/support/mutants.py

$(VENV)/.bench: $(VENV)/.installed
	@echo "== installing the peers"
	$(PIP) install --progress-bar off $(call extra,bench)
	@touch $@

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/compare.py $(CASES) $(if $(DATA),--data '$(DATA)') $(OPTIONS)

bench-kernels: $(VENV)/.installed
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/signals.py

figures:
	$(PYTHON) docs/figures/draw.py

reference: $(VENV)/.installed
	$(BIN)/python docs/reference.py

# $(1) name, $(2) variables of the build, $(3) further requirements:
# a copy of the tree with a virtual environment of its own, so that builds do not mix
define variant
	rm -rf build/$(1)/tree && mkdir -p build/$(1)/tree
	tar --exclude=./.git --exclude=./build --exclude=./.venv --exclude='*.so' --exclude='*.egg-info' -cf - . \
	  | tar -xf - -C build/$(1)/tree
	test -x build/$(1)/venv/bin/python || $(PYTHON) -m venv build/$(1)/venv
	cd build/$(1)/tree && $(2) ../venv/bin/python -m pip --disable-pip-version-check install --progress-bar off \
	  --editable '.[test]' $(3)
endef
# its Python, from within: $(1) name, $(2) variables of the run
in = cd build/$(1)/tree && $(2) ../venv/bin/python

variants: debug-test no-openmp-test test-oldest

debug-test:
	$(call variant,debug,PYCONVX_DEBUG=1)
	$(call in,debug) tests/support/seeded_faults.py bounds
	$(call in,debug,PYCONVX_DEBUG=1) -m pytest $(TESTS)

no-openmp-test:
	$(call variant,no-openmp,PYCONVX_NO_OPENMP=1)
	$(call in,no-openmp) -m pytest $(TESTS)

test-oldest:
	$(call variant,oldest,,'numpy==2.0.*' 'scipy==1.13.*' 'scikit-learn==1.6.*' 'pytest==8.*')
	$(call in,oldest) -m pytest $(TESTS)

# docs/evidence/testing.md says why these are built and run so. Reports go to stderr, which pytest must not swallow.
SANITIZED = -m pytest --capture=sys
CLANG ?= clang-14
ASAN = PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:handle_segv=0
UBSAN = UBSAN_OPTIONS=print_stacktrace=1
TSAN = PYCONVX_ISA=baseline TSAN_OPTIONS=ignore_noninstrumented_modules=1:history_size=7:halt_on_error=1:exitcode=66 \
       OMP_TOOL_LIBRARIES="$$($(CLANG) -print-resource-dir)/../../libarcher.so" ARCHER_OPTIONS=verbose=1 setarch -R

# $(1) name, $(2) compiler, $(3) sanitizer: a Python that has its runtime, which must be there before all else
define launcher
	echo 'int Py_BytesMain(int, char **); int main(int n, char **v) { return Py_BytesMain(n, v); }' | \
	  $(2) -fsanitize=$(3) -xc - -Wl,--export-dynamic,--no-as-needed -lstdc++ $$(build/$(1)/venv/bin/python -c \
	  'import sysconfig as s; print("-L{0} -Wl,-rpath,{0} -lpython{1}".format(*s.get_config_vars("LIBDIR", "LDVERSION")))') \
	  -o build/$(1)/venv/bin/python-sanitized
endef

sanitizers: asan ubsan tsan

asan:
	$(call variant,asan,CC=gcc PYCONVX_SANITIZE=address)
	$(call launcher,asan,gcc,address)
	$(call in,asan,$(ASAN))-sanitized tests/support/seeded_faults.py address
	$(call in,asan,$(ASAN))-sanitized $(SANITIZED) --ignore=tests/system/test_leaks.py $(TESTS)

ubsan:
	$(call variant,ubsan,CC=gcc PYCONVX_SANITIZE=undefined)
	$(call in,ubsan,$(UBSAN)) tests/support/seeded_faults.py undefined
	$(call in,ubsan,$(UBSAN)) $(SANITIZED) $(TESTS)

tsan:
	$(call variant,tsan,CC=$(CLANG) PYCONVX_SANITIZE=thread)
	$(call launcher,tsan,$(CLANG),thread)
	$(call in,tsan,$(TSAN))-sanitized tests/support/seeded_faults.py thread
	$(call in,tsan,$(TSAN))-sanitized tests/support/data_races.py

clean:
	rm -rf .venv build dist mutants *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find pyconvx plugins -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf $(addsuffix /build,$(PLUGINS)) $(addsuffix /src/*.egg-info,$(PLUGINS))
