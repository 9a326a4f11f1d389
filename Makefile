# make run, make test: both set up .venv first, from the pinned set in requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SCALE := .venv/.scale

.PHONY: run test test-slow test-all test-scale lint docs dependencies sbom lock upgrade clean

run: $(INSTALLED)
	$(BIN)/python pipeline.py

# Two processes share two cores: threads of one would wait for those of the other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test: $(INSTALLED)
	$(PYTEST) -m "not slow and not scale"

test-slow: $(INSTALLED)
	$(PYTEST) -m "slow and not scale"

# Both at once: what they share is imported, trained and served once.
test-all: $(INSTALLED)
	$(PYTEST) -m "not scale"

# On real engines: Ray, submitit, PostgreSQL (of Debian's package, or wherever initdb is).
test-scale: $(SCALE)
	$(PYTEST) -m scale

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m dependencies.audit

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Hashes are demanded of every package. torch comes first and alone, from the one index that has builds
# without the gigabytes for GPUs; the project is built with the setuptools of the lock file.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PIP := $(BIN)/python -m pip
INSTALL = $(PIP) install --quiet --disable-pip-version-check

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	awk '/^[^ ]/ { on = /^torch==/ } on' requirements.lock > .venv/torch.lock
	$(INSTALL) --require-hashes --no-deps --retries 0 --extra-index-url $(TORCH_INDEX) -r .venv/torch.lock
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(SCALE): $(INSTALLED) dependencies/scale.lock
	$(INSTALL) --require-hashes --no-deps -r dependencies/scale.lock
	touch $@

# Extras are all but `bench`. A local version such as +cpu names one index's wheel; the lock file names the release.
# pip is not in it: it is what compares the hashes.
COMPILE = $(BIN)/pip-compile --quiet $(UPGRADE) --strip-extras --no-annotate --no-header --unsafe-package pip \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host
RELEASES := sed -i -E 's/^(torch==[0-9.]+)\+[a-z0-9]+/\1/; /packages are considered to be unsafe/,$$d'
HASHES = BIN=$(BIN) TORCH_INDEX=$(TORCH_INDEX) dependencies/hashes.sh

# lock: versions stay, what is new in pyproject.toml comes in. upgrade: the newest versions that it allows.
upgrade: UPGRADE := --upgrade
lock upgrade: $(INSTALLED)
	$(INSTALL) 'pip-tools>=7.6,<8' 'uv>=0.9,<1'
	$(COMPILE) --extra dev --extra docs --extra dashboard --extra workspace --extra onnx --extra postgres --extra serve \
		-o requirements.lock pyproject.toml
	$(RELEASES) requirements.lock
	$(COMPILE) -c requirements.lock -o docker/requirements.lock docker/requirements.in
	$(RELEASES) docker/requirements.lock
	$(COMPILE) -c requirements.lock --extra ray --extra slurm -o dependencies/scale.lock pyproject.toml
	$(RELEASES) dependencies/scale.lock
	awk 'NR == FNR { pinned[$$1]; next } !($$1 in pinned)' requirements.lock dependencies/scale.lock > .venv/scale.lock
	cp .venv/scale.lock dependencies/scale.lock
	$(HASHES) requirements.lock
	$(HASHES) docker/requirements.lock
	$(HASHES) dependencies/scale.lock

# docs/dependencies.md, after a change of a lock file or of dependencies/review.toml.
dependencies: $(INSTALLED)
	$(BIN)/python -m dependencies.page

# What is installed here, and what the image holds; docs/dependencies.md says more.
sbom: $(INSTALLED)
	mkdir -p sbom
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --no-validate \
		-o sbom/environment.cdx.json $(BIN)/python
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --no-validate \
		-o sbom/image.cdx.json docker/requirements.lock

clean:
	rm -rf .venv build sbom site *.egg-info .pytest_cache .ruff_cache
