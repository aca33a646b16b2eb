# One word for each thing a person does: run, test, check, docs, bench, soak, setup, lock, clean.

PYTHON ?= python3.11
IMAGES ?=
OUTPUT ?= predictions
MANIFEST ?=
PEOPLE ?=
AUDITS ?= runs/audits
AUDITED := paper-d0 default
PORT ?= 8000
SCREENSHOTS ?= runs/screenshots

SHELL := /bin/sh
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet --no-input
# What the checks import is compiled then, for compiling all takes a third of an installation; so
# they must be let write it, whatever the machine says.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(PIP) install --no-compile
SELF := $(INSTALL) --no-deps --no-build-isolation --editable .
# The using side is compiled at once: it starts in two thirds of the time where Python may write
# nothing beside its sources, as in many containers. What cannot be compiled, such as a package's
# template of a module, is nothing that is imported.
BYTECODE := $(BIN)/python -m compileall -qq -j 0 .venv/lib src || :
# Every test process keeps to one thread. There is one more of them than processors, for tests of the
# site wait for it, and at most 8.
PROCESSES = $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 8 ? n + 1 : 8)))
TESTS = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile \
	--no-loadscope-reorder

# The text of IMAGES as it was given: no $ or % in a file's name means anything to make.
unexport IMAGES
quote = '$(subst ','\'',$(value $(1)))'

.DEFAULT_GOAL := help
.PHONY: help run services setup test check tests screenshots docs reference audit bench soak wheelhouse sbom lock clean
.DELETE_ON_ERROR:

help:
	@echo "make run         the site on this machine; or predict IMAGES=path; installs what that needs"
	@echo "make test        install everything, then every check and every test"
	@echo "make check       format, lint, types, import layers"
	@echo "make docs        the documentation, every warning an error"
	@echo "make bench       speed, as ratios measured in one run"
	@echo "make soak        the tests in their full counts"
	@echo "make setup       install everything into .venv"
	@echo "make services    install what the tests of the site need, on Debian"
	@echo "make screenshots what every page looks like, written to SCREENSHOTS=folder"
	@echo "make reference   write docs/reference/commands.md from the program's own help"
	@echo "make audit       examine the bundles that ship on MANIFEST=file, and write docs/audit.md"
	@echo "make wheelhouse  all that the site needs, to be installed without a network"
	@echo "make sbom        what is in it, as CycloneDX"
	@echo "make lock        resolve the dependencies again"
	@echo "make clean       remove .venv and everything that was built"

# Without IMAGES, the site. IMAGES is one file, one folder or one pattern, spaces and all; failing
# that, several of them with spaces between.
run: .venv/using
	@set -eu; images=$(call quote,IMAGES); \
	[ -n "$$images" ] || exec $(BIN)/ladnn serve --port '$(PORT)'; \
	if [ -e "$$images" ]; then set -- "$$images"; else IFS=; set -- $$images; unset IFS; fi; \
	[ -e "$$1" ] || set -- $$images; \
	[ -e "$$1" ] || set -- "$$images"; \
	$(BIN)/ladnn predict --heatmaps '$(OUTPUT)/overlays' -- "$$@"

.venv/bin/python:
	@command -v '$(PYTHON)' >/dev/null || { \
		echo "$(PYTHON) is not on this machine: install Python 3.11, or name a later one that is," \
			"as in: make run PYTHON=python3.12" >&2; exit 1; }
	@'$(PYTHON)' -m venv .venv

# The using side: predict and evaluate, without torch. Every file is checked against its hash.
.venv/using: requirements/base.txt pyproject.toml | .venv/bin/python
	@echo "installing the using side into .venv"
	@$(INSTALL) --require-hashes --requirement requirements/base.txt
	@$(SELF)
	@$(BYTECODE)
	@touch $@

# The rest. torch first and alone, so that nothing after it may bring another one.
.venv/all: .venv/using requirements/torch.txt requirements/train.txt requirements/dev.txt
	@echo "installing torch, the training side and the checks into .venv"
	@$(INSTALL) --requirement requirements/torch.txt --constraint requirements/train.txt
	@$(INSTALL) --no-deps --requirement requirements/train.txt
	@$(INSTALL) --no-deps --requirement requirements/dev.txt
	@touch $@

.venv/bench: .venv/all requirements/bench.txt
	@$(INSTALL) --no-deps --requirement requirements/bench.txt
	@touch $@

setup: .venv/all

# A real PostgreSQL, nginx and a real browser, the one without a window, which takes half the
# processor time; elsewhere than on Debian, install them by hand.
services:
	@command -v apt-get >/dev/null || { echo "no apt-get here: install postgresql, nginx and" \
		"a chromium by hand" >&2; exit 1; }
	@PATH="$$PATH:/usr/sbin:$$(echo /usr/lib/postgresql/*/bin)"; \
	for one in initdb nginx chromium-headless-shell; do command -v $$one || break; done | grep -q chromium || { apt-get update --quiet --quiet \
		&& DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet \
			--no-install-recommends postgresql nginx chromium-headless-shell >/dev/null; }

# The checks and the pages take a processor each.
test: setup
	@$(MAKE) --jobs 2 --output-sync --no-print-directory check docs
	@$(MAKE) --no-print-directory tests

check: .venv/all
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

tests: .venv/all
	$(TESTS)

# Of the bundle that ships, on real images, in both themes and at a phone's width, to be looked at.
screenshots: .venv/all
	LADNN_SCREENSHOTS='$(SCREENSHOTS)' OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 0 \
		tests/service/test_every_page.py
	@echo "the pages are in $(SCREENSHOTS)"

soak: .venv/all
	LADNN_SOAK=1 $(TESTS) -m "soak or not soak"

docs: .venv/all
	$(BIN)/sphinx-build --builder html --fail-on-warning --nitpicky --quiet docs site
	@echo "the documentation is at site/index.html"

# MANIFEST names the images; PEOPLE, if given, a table of age and sex; AUDITS is the user's own folder.
audit: .venv/all
	@test -n '$(MANIFEST)' || { echo "name the images, as in: make audit MANIFEST=all.csv" >&2; exit 2; }
	@set -e; for bundle in $(AUDITED); do \
		$(BIN)/ladnn audit $$bundle --manifest '$(MANIFEST)' $(if $(PEOPLE),--people '$(PEOPLE)') \
			--force --output '$(AUDITS)'/$$bundle; \
	done
	@$(BIN)/python docs/audit.py $(AUDITED:%='$(AUDITS)'/%/audit.json)

reference: .venv/all
	$(BIN)/python docs/commands.py

bench: .venv/bench
	$(BIN)/python -m bench

# For a machine like this one: wheels of its platform and its Python, each proved by its hash.
wheelhouse: .venv/using
	@rm -rf dist/wheelhouse
	@$(PIP) wheel --no-deps --require-hashes --requirement requirements/base.txt \
		--wheel-dir dist/wheelhouse
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist/wheelhouse .
	@echo "dist/wheelhouse: pip install --no-index --find-links dist/wheelhouse 'ladnn[serve]'"

sbom: .venv/all
	@$(BIN)/python deploy/sbom.py dist/sbom.json

# Newer versions come in by `make lock UPGRADE=--upgrade`.
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --fork-strategy fewest --quiet \
	--no-annotate --custom-compile-command "make lock" $(UPGRADE)
WITHOUT_TORCH := --excludes requirements/gpu.txt --overrides requirements/overrides.txt \
	--no-emit-package torch --no-emit-package torchvision --no-emit-package opencv-python
lock: .venv/all
	$(COMPILE) pyproject.toml requirements/build.in --extra serve --generate-hashes \
		-o requirements/base.txt
	$(COMPILE) pyproject.toml requirements/build.in --extra serve --extra train --extra figures \
		--extra audit --extra cluster $(WITHOUT_TORCH) \
		-c requirements/base.txt -o requirements/train.txt
	$(COMPILE) requirements/dev.in $(WITHOUT_TORCH) \
		-c requirements/train.txt -c requirements/torch.txt -o requirements/dev.txt
	$(COMPILE) requirements/bench.in $(WITHOUT_TORCH) -c requirements/dev.txt \
		-c requirements/train.txt -c requirements/torch.txt -o requirements/bench.txt

clean:
	rm -rf .venv site build dist predictions .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache
