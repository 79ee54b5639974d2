# make quickstart   set up, then the main job: both suites, collected data, a report (minutes)
# make test         set up, then the tests
# make test-library  the library by itself on Python 3.11, 3.12 and 3.13, as far as they are here; 6 GB
# make test-slurm   set up, then the tests that start a SLURM here; root, apt-get install slurm-wlm munge
# make own-policy-example   set up, then two pretrained policies made safe from labels, and a report
# make test-conda   set up, then the tests that create every environment of envs/ and run rules in them
# make test-container  set up, then build the image of Dockerfile and run rules in it; root, apt-get install buildah mmdebstrap
# make pins         the newest versions that envs/requirements.in allows, into the lock; then the tests
# make test-faults  set up, then the tests that kill runs, fill a small disk (root) and make runs twice
# make test-kills   set up, then of these the runs that are killed: KILLS=100 SEED=1
# make verify       make files of a finished run again elsewhere and compare: FILE=results/...
# make docs         set up, then the pages of docs/ as a site with a search: docs/_build/html/
# make status       how far a run is, while it goes on or after it was cut: RUN=quickstart
# make watch        the same every ten seconds, and as a page that refreshes itself
# make setup        what both share: .venv from the pinned lock in envs/

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
CORES ?= $(shell nproc)
PRESET ?= quickstart
export PATH := $(CURDIR)/$(BIN):$(PATH)

# UV=uv: uv makes the environment, of the same lock, and fetches Python 3.11 where there is none.
ifdef UV
VENV = $(UV) venv --clear --seed --python 3.11 .venv
INSTALL = $(UV) pip install --python $(BIN)/python
else
VENV = @$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
  || { echo "ERROR: Python 3.11 is needed; call make with PYTHON=/path/to/python3.11, or with UV=uv"; exit 1; }; \
  $(PYTHON) -m venv .venv
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off
endif

.PHONY: setup quickstart own-policy-example report status watch test test-library test-slurm test-conda test-container test-faults test-kills verify pins docs lint format clean

setup: .venv/.installed .venv/.library

.venv/.installed: envs/lock.txt envs/lock-no-deps.txt
	$(VENV)
	$(INSTALL) -r envs/lock.txt
	$(INSTALL) --no-deps -r envs/lock-no-deps.txt
	install -m 755 envs/snakemake $(BIN)/snakemake
	@touch $@

# `import prefine` in .venv, from any folder; the path is relative, so that the repository may move.
.venv/.library: .venv/.installed
	@$(BIN)/python -c 'import os, sysconfig; from pathlib import Path; \
	  site = Path(sysconfig.get_path("purelib")); \
	  (site / "prefine.pth").write_text(os.path.relpath("scripts", site) + "\n")'
	@touch $@

# The main job. PRESET=tiny or PRESET=collected runs another overlay of config.yaml.
quickstart: setup
	snakemake all --cores $(CORES) --resources gpu=1 --configfile workflow/presets/$(PRESET).yaml
	@$(MAKE) --no-print-directory report

# Snakemake's own, with the graph of all jobs; the page for readers is of `all`.
report: setup
	snakemake --cores 1 --configfile workflow/presets/$(PRESET).yaml --report results/$(PRESET)/report.html
	@echo "Open results/$(PRESET)/index.html"

# Two policies of Stable-Baselines3, from archive to report; label.py stands for the person.
# SHORT=1 takes every step in a few minutes.
OWN := workflow/presets/own_policy.yaml examples/own_policy/config.yaml $(if $(SHORT),examples/own_policy/short.yaml)
OWN_RESULTS := results/own_policy_$(if $(SHORT),short,example)
own-policy-example: setup
	python examples/own_policy/make_log.py data/own_policy/BallCircle.hdf5
	snakemake label_sheets --cores $(CORES) --configfile $(OWN)
	python examples/own_policy/label.py $(OWN_RESULTS) data/own_policy
	snakemake all --cores $(CORES) --configfile $(OWN)
	snakemake --cores 1 --configfile $(OWN) --report $(OWN_RESULTS)/report.html
	@cat $(OWN_RESULTS)/tables/before_after.md
	@echo "Open $(OWN_RESULTS)/index.html"

# Of the run that began last, unless RUN names one. No `setup`: it may install anew under a run.
status:
	@$(BIN)/python scripts/status.py $(if $(RUN),results/$(RUN))

watch:
	@$(BIN)/python scripts/status.py $(if $(RUN),results/$(RUN)) --watch 10

# One process more than cores, for some tests wait.
test: setup
	$(BIN)/python -m pytest -n $$(($(CORES) + 1)) --dist loadfile --no-loadscope-reorder --durations 20

# Environments of its own in .cache/library; VERSIONS="3.12 3.13" takes these alone.
test-library:
	$(PYTHON) tests/library/run.py $(VERSIONS)

# Not beside other tests: SLURM has the whole machine. Its accounting too with slurmdbd and mariadb-server.
test-slurm: setup
	$(BIN)/python -m pytest -m slurm tests/system/test_slurm.py

# Five GB under /tmp; needs the package index. The solver of conda packages gets a folder of its own.
test-conda: setup .cache/conda/.installed
	$(BIN)/python -m pytest -m conda tests/system/test_conda.py

.cache/conda/.installed: tests/conda/requirements.txt
	rm -rf .cache/conda
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --target .cache/conda -r $<
	@touch $@

test-container:
	tests/container/build_and_run.sh

# Look at the difference of envs/lock*.txt before you commit it.
pins: setup
	$(BIN)/python envs/update_pins.py
	rm -rf .venv
	@$(MAKE) --no-print-directory setup
	$(BIN)/python envs/write_environments.py
	@$(MAKE) --no-print-directory test

# KILLS=100 SEED=1: as many kills, at the moments of that seed. docs/reliability.md has what came of it.
test-faults test-kills: setup
	KILLS=$(or $(KILLS),20) SEED=$(SEED) $(BIN)/python -m pytest -m faults \
	  $(if $(filter test-kills,$@),tests/system/test_faults.py)

# The config is that of the files' run, unless PRESET names one.
verify: setup
	@$(BIN)/python scripts/verify.py $(FILE) --cores $(CORES) \
	  $(if $(and $(FILE),$(filter file,$(origin PRESET))),,--configfile workflow/presets/$(PRESET).yaml)

# A link that leads nowhere is an error.
docs: setup
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	PYTHONPATH=scripts $(BIN)/lint-imports --no-logo
	$(BIN)/snakemake --lint

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

clean:
	rm -rf .venv .cache .pytest_cache .ruff_cache docs/_build

# Side by side on this machine; the tables go to results/bench/. OSRL gets a folder of its own.
.PHONY: bench bench-osrl
bench: setup bench-osrl
	$(BIN)/python benchmarks/stack.py
	$(BIN)/python benchmarks/rollouts.py

bench-osrl: setup .cache/osrl/.installed
	PYTHONPATH=.cache/osrl $(BIN)/python benchmarks/against_osrl.py

.cache/osrl/.installed: benchmarks/requirements-osrl.txt envs/lock.txt
	rm -rf .cache/osrl
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --target .cache/osrl \
	  -r benchmarks/requirements-osrl.txt
	grep -E '^(prettytable|wandb)=' benchmarks/requirements-osrl.txt \
	  | $(BIN)/python -m pip install --disable-pip-version-check --upgrade --target .cache/osrl \
	    -c envs/lock.txt -r /dev/stdin
	@touch $@

# Pictures of the docs, from a finished quickstart and the published result; the rules need graphviz.
.PHONY: pictures
pictures: setup
	mkdir -p docs/images
	for task in BallCircle HalfCheetahVelocity; do \
	  cp results/quickstart/films/$$task/film.webp docs/images/$$task.webp; done
	cp results/collected/figures/fig01_overview.png docs/images/
	snakemake --rulegraph dot --cores 1 \
	  | sed -e 's/margin=0/margin=0.1, rankdir=LR, nodesep=0.15, ranksep=0.35/' -e 's/penwidth=2, color=grey/penwidth=1, color=grey/' \
	  | tred | dot -Tsvg -o docs/images/rules.svg
