# Everything happens in a local virtual environment; nothing needs root.
# PYTHON       the interpreter that makes it (3.11 or newer)
# WORKERS      how many tests run side by side
# TORCH_INDEX  address of a package index with CPU-only builds of PyTorch (see the README); empty: pip's default

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
OUT := out/demo
# Real brokers and processes on a busy machine: a test that fails is run again, and listed as RERUN. Thrice is red.
# Half as many workers again as there are processors: such tests wait more than they compute.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN) && echo $$((n + n / 2)))
PYTEST := -n $(WORKERS) --dist loadfile --reruns 2 -rR

.PHONY: demo test lint bench quality why-gated device-test lock sbom deb deb-test demo-data demo-model clean help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.demo ## replay the bundled recording through the bundled model; write a report; then the live path
	@mkdir -p $(OUT)
	$(BIN)/tickover replay deploy/demo/truck.onnx deploy/demo/trip.csv.gz \
		--alerts $(OUT)/alerts.jsonl --report $(OUT)/report.html
	$(BIN)/python deploy/demo/live.py
	@echo
	@echo "Report: $(CURDIR)/$(OUT)/report.html (open it in a browser)"
	@echo "Alerts: $(CURDIR)/$(OUT)/alerts.jsonl"
	@echo "Truth:  the recording holds six faults, listed in deploy/demo/labels.json"

test: $(VENV)/.dev ## run all tests
	$(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/.dev ## style, types and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=edge:export:train $(BIN)/lint-imports

bench: $(VENV)/.dev ## measure: ratios within one run
	@for script in tests/bench/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

quality: $(VENV)/.dev ## measure and draw docs/quality.md (hours on two cores the first time; goes on where it was)
	$(BIN)/python tests/bench/quality.py --out $${QUALITY_OUT:-out/quality}

why-gated: $(VENV)/.dev ## measure and draw docs/why-gated.md
	$(BIN)/python tests/bench/why_gated.py $$(ls $${TICKOVER_DATA:-../shared/data}/kit-obd/1hz/2017-*.csv | grep -v Messfehler)

device-test: $(VENV)/.dev ## install the built wheel without extras and run tests/edge, all but the slow ones
	rm -rf dist .venv-device
	$(BIN)/python -m build --wheel --outdir dist . >/dev/null
	$(PYTHON) -m venv .venv-device
	.venv-device/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		dist/*.whl pytest pytest-timeout pytest-xdist pytest-rerunfailures hypothesis cloudevents jsonschema
	.venv-device/bin/pytest tests/edge -o pythonpath=tests -m "not slow" $(PYTEST)

lock: $(VENV)/.dev ## deploy/requirements-device.txt: the device's packages with hashes, from constraints.txt
	@mkdir -p dist
	@$(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --constraint constraints.txt pyproject.toml --output-file dist/lock.txt
	@{ sed '/^[^#]/,$$d' deploy/requirements-device.txt; cat dist/lock.txt; } >dist/lock.new
	mv dist/lock.new deploy/requirements-device.txt

sbom: $(VENV)/.dev ## dist/tickover.cdx.json: what a device installs (CycloneDX), checked against the hashed requirements
	rm -rf dist/*.whl .venv-sbom
	$(BIN)/python -m build --wheel --outdir dist . >/dev/null
	$(PYTHON) -m venv --without-pip .venv-sbom
	$(BIN)/python -m pip --python .venv-sbom/bin/python install --quiet --disable-pip-version-check \
		--require-hashes --requirement deploy/requirements-device.txt
	$(BIN)/python -m pip --python .venv-sbom/bin/python install --quiet --disable-pip-version-check --no-deps dist/*.whl
	$(BIN)/python deploy/sbom.py .venv-sbom/bin/python dist/tickover.cdx.json

deb: $(VENV)/.dev ## dist/tickover_VERSION_ARCH.deb: a virtual environment in /opt, unit, user, configuration
	rm -rf dist/*.whl dist/*.deb
	$(BIN)/python -m build --wheel --outdir dist . >/dev/null
	PYTHON=$(BIN)/python deploy/deb/build.sh dist/*.whl dist

deb-test: deb ## install, upgrade and purge the .deb in a fresh Debian (root; debootstrap; three minutes the first time)
	DEB_VERSION=0.0.1 PYTHON=$(BIN)/python deploy/deb/build.sh dist/*.whl dist
	deploy/deb/test.sh dist/tickover_0.0.1_*.deb $$(ls dist/*.deb | grep -v _0.0.1_)

demo-data: $(VENV)/.demo ## rebuild the bundled recording from its seed
	$(BIN)/python deploy/demo/rebuild.py data

demo-model: $(VENV)/.dev ## train the bundled model again
	$(BIN)/python deploy/demo/rebuild.py model

clean: ## remove what was built here
	rm -rf $(VENV) .venv-device .venv-sbom dist out

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "tickover needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[report]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) torch)
	$(PIP) torch==$$(sed -n 's/^torch==//p' constraints.txt)
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.demo
