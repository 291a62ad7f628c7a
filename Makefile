# Everything this repository does, by name. `make` alone lists it.
#
# Needs make, sh and Python 3.11 or newer. Every path is relative, so a folder with spaces in its
# name works. On Windows, or without make: CONTRIBUTING.md has the same steps in plain pip.

PYTHON ?= python3
ARGS ?=
DATA ?= NEU-DET.zip

VENV := .venv
PY := $(VENV)/bin/python
ROOM_GB := 6
PIP := $(PY) -m pip --quiet --quiet --disable-pip-version-check --no-input

# A stamp says that an installation went through. Its name holds a checksum of this folder's path
# and one of all that was installed from, so switching branches back and forth installs only what
# differs, and a folder that was moved gets a new environment.
here := $(shell pwd | cksum | cut -d ' ' -f 1)
content = $(shell { cat requirements/build.txt requirements/$(1).txt pyproject.toml; \
	grep -m 1 '^\#\# ' CHANGELOG.md; } 2>&1 | cksum | cut -d ' ' -f 1)
TRAIN_READY := $(VENV)/.train-$(here)-$(call content,train)
DEV_READY := $(VENV)/.dev-$(here)-$(call content,dev)

# The example for Node.js needs packages of its own: installed where npm is, left alone elsewhere.
NODE := examples/node
NODE_READY := $(if $(shell command -v npm 2>/dev/null),$(NODE)/node_modules/.package-lock.json)

# Packages are installed uncompiled and compiled as they are imported, which is much less to do. That
# needs leave to write the result.
unexport PYTHONDONTWRITEBYTECODE

# Other tools are timed from an environment of their own: nothing of them comes near ours.
PEERS := .venv-peers
PEERS_READY := $(PEERS)/.ready-$(here)-$(shell cksum < benchmarks/peers.txt | cut -d ' ' -f 1)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help train test check static gpu test-slow test-network bench-runtimes bench-scale bench-score bench-start bench-train bench-audit bench-copies bench-guarantee bench-unknown bench-evidence bench-memory bench-peers bench-tiles benchmark zoo fix lock wheel clean

help: ## list the targets
	@echo 'make TARGET [PYTHON=python3.12] [ARGS="..."]'
	@sed -n 's/^\([a-z-]*\):.*## /  \1|/p' Makefile | awk -F '|' '{ printf "%-12s %s\n", $$1, $$2 }'

train: $(TRAIN_READY) ## images to an inspector; ARGS="dataset=neu_det dataset.root=PATH" picks others
	@$(PY) train.py $(ARGS)

# One process per core, one thread each: most of a test is Python, which takes a single core.
test: static $(NODE_READY) ## all the checks, then all the tests but the slow ones; ARGS go to pytest
	OMP_NUM_THREADS=1 $(PY) -m pytest --quiet --numprocesses auto --dist worksteal $(ARGS)

check: static ## the checks that run nothing: format, lint, types, import rule, repository
	$(PY) -m pytest --quiet tests/test_repository.py

static: $(DEV_READY)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo

test-slow: $(DEV_READY) ## the tests that take minutes; ARGS go to pytest
	$(PY) -m pytest --quiet -m 'slow and not gpu and not network' $(ARGS)

test-network: $(DEV_READY) ## the tests that install from a package registry; ARGS go to pytest
	$(PY) -m pytest --quiet -m 'network and not gpu' $(ARGS)

gpu: ## tests and benchmark on a CUDA device, no install; PY=python3 DATA=NEU-DET.zip
	PYTHONPATH=src SIHWA_NEU_DET=$(DATA) $(PY) -m pytest --quiet -p no:cacheprovider -m gpu tests/gpu
	PYTHONPATH=src $(PY) benchmarks/gpu.py $(DATA) $(ARGS)

bench-runtimes: $(DEV_READY) ## each runtime against itself called bare; ARGS="INSPECTOR"
	$(PY) benchmarks/runtimes.py $(or $(ARGS),outputs/latest/inspector)

bench-start: $(DEV_READY) ## from starting a program to its first decision; ARGS="INSPECTOR"
	$(PY) benchmarks/first_decision.py $(or $(ARGS),outputs/latest/inspector)

bench-score: $(DEV_READY) ## images per second against what is possible; ARGS="INSPECTOR NEU-DET.zip"
	$(PY) benchmarks/score.py $(ARGS)

bench-scale: $(DEV_READY) ## what an image, a row and a listing cost, and a plan; ARGS="INSPECTOR NEU-DET.zip"
	$(PY) benchmarks/scale.py $(ARGS)

bench-audit: $(DEV_READY) ## what the audit finds and costs; ARGS="cost NEU-DET.zip"
	@$(PY) benchmarks/audit.py $(ARGS)

bench-copies: $(DEV_READY) ## how many planted near-identical images are found; ARGS=NEU-DET.zip
	@PYTHONPATH=src $(PY) benchmarks/near_copies.py $(ARGS)

bench-guarantee: $(DEV_READY) ## how often a proven bound is broken, and its review; ARGS="RUN --draws 2000"
	@PYTHONPATH=src $(PY) benchmarks/guarantee.py $(or $(ARGS),outputs/latest)

bench-unknown: $(DEV_READY) ## scores for unknown images, compared; ARGS=NEU-DET.zip
	@PYTHONPATH=src $(PY) benchmarks/unknown.py $(ARGS)

bench-evidence: $(DEV_READY) ## whether evidence points at the boxes of NEU-DET; ARGS=RUN
	@PYTHONPATH=src $(PY) benchmarks/evidence.py $(or $(ARGS),outputs/latest)

bench-memory: $(DEV_READY) ## peak memory by the size of the images; ARGS="--megapixels 12 20"
	@PYTHONPATH=src $(PY) benchmarks/memory.py $(ARGS)

bench-tiles: $(DEV_READY) ## thin scratches in large images: squeezed against tiles; ARGS="--images 84"
	@PYTHONPATH=src $(PY) benchmarks/small_defects.py $(ARGS)

zoo: $(DEV_READY) ## untidy folders and tables: what is right, and what is done; ARGS="--only link"
	@PYTHONPATH=src $(PY) benchmarks/zoo.py $(ARGS)

bench-train: $(DEV_READY) ## images/s of the training loop; ARGS="--rounds 5"
	@$(PY) benchmarks/train.py $(ARGS)

benchmark: $(DEV_READY) ## latency, throughput, ceilings of an inspector here; ARGS="INSPECTOR --line-rate 12"
	@$(VENV)/bin/sihwa benchmark $(or $(ARGS),outputs/latest/inspector)

bench-peers: $(DEV_READY) $(PEERS_READY) ## other tools on the same images; ARGS="INSPECTOR NEU-DET.zip --rounds 5"
	$(PY) benchmarks/peers.py --environment $(PEERS) $(ARGS)

fix: $(DEV_READY) ## format the code and mend what the linter can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# dev.txt is solved first; the smaller locks are parts of it, so that one adds to another.
LOCK := uv pip compile --quiet --universal --python-version 3.11 \
	--fork-strategy fewest --generate-hashes --no-emit-index-url --no-emit-find-links \
	--annotation-style line --custom-compile-command 'make lock'
ALL := --group build --extra train --extra elpv
lock: $(VENV)/bin/uv ## write requirements/ anew; ARGS=--upgrade takes the newest versions
	$(VENV)/bin/$(LOCK) pyproject.toml $(ALL) --extra ray --extra mlflow --extra dev $(ARGS) -o requirements/dev.txt
	@for lock in "train.txt pyproject.toml $(ALL)" "line.txt pyproject.toml" "build.txt --group build"; do \
		set -- $$lock; name=$$1; shift; \
		$(VENV)/bin/$(LOCK) "$$@" -c requirements/dev.txt -o "requirements/$$name" || exit; \
	done

wheel: $(DEV_READY) ## dist/sihwa-VERSION-py3-none-any.whl
	$(PY) -m build --wheel --no-isolation --outdir dist

clean: ## remove .venv, dist and the caches; outputs/ stays
	rm -rf $(VENV) $(PEERS) $(NODE)/node_modules dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Installing. Stamps go first and come back last: what was interrupted has none, and an
# environment without one is made from scratch.
define prepare
@if ls $(VENV)/.*-$(here)-* >/dev/null 2>&1 && $(PY) -c ''; then \
	rm -f $(VENV)/.train-* $(VENV)/.dev-*; \
else \
	found=$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || \
		found='nothing of that name that runs'; \
	case $$found in \
		3.1[1-9]) ;; \
		*) echo "PYTHON=$(PYTHON): expected Python 3.11 or newer, got $$found." \
			"Name another one: make TARGET PYTHON=/path/to/python3.12" >&2; exit 2 ;; \
	esac; \
	free=$$("$(PYTHON)" -c 'import shutil; print(shutil.disk_usage(".").free // 10**9)'); \
	if [ "$$free" -lt $(ROOM_GB) ]; then \
		echo "Expected $(ROOM_GB) GB of free disk for .venv, found $$free GB in $(CURDIR)." \
			"Free some and call make again" >&2; exit 2; \
	fi; \
	echo "Creating .venv with Python $$found"; \
	"$(PYTHON)" -m venv --clear $(VENV); \
fi
endef

# The order: what builds packages; the locked packages; this project on top, editable.
define install
@echo "Installing $(1) into .venv: about $(ROOM_GB) GB on Linux, one to three minutes the first time"; \
begin=$$(date +%s); \
$(PIP) install --require-hashes -r requirements/build.txt && \
$(PIP) install --no-build-isolation --no-compile --require-hashes -r $(1) && \
$(PIP) install --no-build-isolation --no-deps --editable . && \
echo "Installed in $$(($$(date +%s) - begin)) s"
endef

$(TRAIN_READY):
	$(prepare)
	$(call install,requirements/train.txt)
	@touch $@

$(DEV_READY):
	$(prepare)
	$(call install,requirements/dev.txt)
	@touch $@ $(TRAIN_READY)

$(PEERS_READY):
	@echo 'Installing benchmarks/peers.txt into $(PEERS): about 6 GB on Linux, some minutes'
	@"$(PYTHON)" -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip --quiet --quiet --disable-pip-version-check --no-input install -r benchmarks/peers.txt
	@touch $@

# Without a registry in reach the tests of that example are skipped, saying so.
$(NODE)/node_modules/.package-lock.json: $(NODE)/package.json $(NODE)/package-lock.json
	@echo "Installing the packages of $(NODE): 290 MB, half a minute"
	-@cd $(NODE) && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json

# An environment that is merely out of date still solves: a broken lock must not stop `make lock`.
$(VENV)/bin/uv:
	@$(MAKE) --no-print-directory $(DEV_READY)
