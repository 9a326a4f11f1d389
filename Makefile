# make run, make test: both set up .venv first, from the pinned set in requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: run test test-slow lint docs lock clean

run: $(INSTALLED)
	$(BIN)/python pipeline.py

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# Extras are all but `bench`. A local version such as +cpu names one index's wheel; the lock file names the release.
COMPILE := $(BIN)/pip-compile --quiet --upgrade --strip-extras --annotation-style line --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host
RELEASES := sed -i -E 's/^(torch==[0-9.]+)\+[a-z0-9]+/\1/; /packages are considered to be unsafe/,$$d'

lock: $(INSTALLED)
	$(BIN)/python -m pip install --quiet pip-tools
	$(COMPILE) --extra dev --extra docs --extra dashboard --extra workspace --extra onnx --extra serve \
		-o requirements.lock pyproject.toml
	$(RELEASES) requirements.lock
	$(COMPILE) --no-annotate -c requirements.lock -o docker/requirements.lock docker/requirements.in
	$(RELEASES) docker/requirements.lock

clean:
	rm -rf .venv build site *.egg-info .pytest_cache .ruff_cache
