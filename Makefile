# `make results` and `make test` set up what they need in .venv and do their job; `make help` lists the rest.

STUDY ?= default## config.yaml (default), a name in workflow/studies, or the path of a configuration file
PROFILE ?=## profile of a cluster, e.g. slurm: a name in profiles, or a folder (without it, jobs run on this machine)
CORES ?=## CPU cores to use at a time (all of this machine)
ARGS ?=## passed on to Snakemake by `make results`, to pytest by `make test`, to BENCH by `make bench`, to `make plan`, `make status`
BENCH ?=## the benchmark to run, e.g. decode (all of benchmarks/, each without arguments)
VENV ?= .venv## none: run in the active environment, if it has what the code needs, and set up nothing
PYTHON ?=## the interpreter to make .venv with (the first of python3.11, 3.12, 3.13, python3 that will do; lexicon search has no build for 3.13)

ifeq ($(VENV),none)
# What a site has may well be in PYTHONPATH. The code comes from this clone, installed or not.
IN_VENV = PYTHONPATH="$(CURDIR)/src$${PYTHONPATH:+:$$PYTHONPATH}"
else
unexport PYTHONPATH PYTHONHOME
IN_VENV = PATH="$(CURDIR)/.venv/bin:$$PATH"
endif

.DEFAULT_GOAL := help
.PHONY: help results status plan test test-all test-gpu test-cluster soak lint docs bench venv

help: ## list the targets
	@awk -F ' ?([?]=[^#]*|:.*)## ' '/^[A-Za-z-]+ ?([?]=[^#]*|:.*)## / {printf "  %-12s %s\n", $$1, $$2}' Makefile

results: venv ## run a study: STUDY=smoke, CORES=4, ARGS='-n' for a dry run
	@$(IN_VENV) python workflow/run.py --study "$(STUDY)" $(if $(PROFILE),--profile "$(PROFILE)") $(if $(CORES),--cores "$(CORES)") -- $(ARGS)

status: venv ## say once how far a run is, from another shell: ARGS='--study smoke' (the run that began last)
	@$(IN_VENV) python -m secateur status $(ARGS)

plan: venv ## what a study will cost in jobs, steps, hours and disk: STUDY=mls-tables, ARGS='--speed 0.8' (steps a second)
	@$(IN_VENV) python workflow/plan.py --study "$(STUDY)" $(ARGS)

test: venv ## run the tests
	@$(IN_VENV) OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile $(ARGS)

test-all: venv ## run all tests that need no cluster, those that take minutes, too
	@$(IN_VENV) OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile -m 'not cluster and not soak' $(ARGS)

test-gpu: venv ## run the tests that need a GPU, which compare with the CPU (skipped without one)
	@$(IN_VENV) OMP_NUM_THREADS=1 python -m pytest -m gpu tests/gpu $(ARGS)

test-cluster: venv ## run the tests on a SLURM cluster of virtual nodes, which it sets up (root, Debian or Ubuntu)
	@$(IN_VENV) OMP_NUM_THREADS=1 python -m pytest -m cluster tests/cluster $(ARGS)

soak: venv ## kill processes of the smoke study again and again: SECATEUR_KILLS=100
	@$(IN_VENV) OMP_NUM_THREADS=1 python -m pytest -m soak -s $(ARGS)

lint: venv ## check style and types: ruff, mypy, snakefmt, snakemake --lint
	@$(IN_VENV) ruff check .
	@$(IN_VENV) ruff format --check .
	@$(IN_VENV) mypy
	@$(IN_VENV) snakefmt --check Snakefile workflow
	@$(IN_VENV) snakemake --lint

docs: venv ## make what is generated of the documentation: docs/configuration.md, docs/results.md, numbers of the README
	@$(IN_VENV) python -m secateur configuration --output docs/configuration.md
	@$(IN_VENV) python -m secateur results-page

bench: venv ## run the benchmarks, or one: BENCH=decode ARGS='--utterances 50'
	@$(if $(ARGS),$(if $(BENCH),,echo "error: ARGS are for one benchmark: make bench BENCH=decode ARGS='$(ARGS)'" >&2; exit 2))
	@for benchmark in $(or $(BENCH:%=benchmarks/%.py),benchmarks/*.py); do $(IN_VENV) python "$$benchmark" $(ARGS) || exit 1; done

ifeq ($(VENV),none)
venv:
	@"$(or $(PYTHON),python)" envs/check.py
else
# The interpreter of a finished .venv comes first: what `make test PYTHON=python3.12` made, the next `make test` keeps.
venv: ## make or mend .venv (the others do it by themselves)
	@for python in $(if $(PYTHON),"$(PYTHON)",$(if $(wildcard .venv/.installed),.venv/bin/python) python3.11 python3.12 python3.13 python3); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then exec "$$python" envs/install.py; fi; \
	done; \
	found=$$("$(or $(PYTHON),python3)" --version 2>/dev/null) || found='does not run'; \
	echo "error: $(or $(PYTHON),python3): $$found; Python 3.11 or newer is needed:" \
	    "apt-get install python3.11 python3.11-venv (or newer), or name one: make PYTHON=/path/to/python3.11" >&2; \
	exit 1
endif
