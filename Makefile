PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
EXTRAS := local,train,retrieval,distributed,mcp,inspect,upstream,dev

# llama.cpp comes as source: what is not used here (vision, tools, examples) is left out, and so is its code
# for AMX, which compilers break on some machines (docs/local-models.md, "Other machines").
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=OFF \
	-DCMAKE_C_FLAGS=-U__AMX_INT8__ -DCMAKE_CXX_FLAGS=-U__AMX_INT8__

.PHONY: demo test check audit site browser database clean

## The main job on the world that ships with the project; needs the base install alone.
demo: $(VENV)/base
	$(BIN)/toolreplay demo
	@echo "The command line is there after: . $(BIN)/activate"

## All checks and all tests, with every extra (the first time builds llama.cpp: 3 minutes on 2 cores).
test: $(VENV)/all check
	$(BIN)/python -m pytest

## Style, types, the table of who may import whom, and what a security linter finds.
check: $(VENV)/all
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive sandbox solver trainer eval toolreplay

## Known vulnerabilities of what is installed; asks PyPI's database, so it needs the network.
audit: $(VENV)/all
	$(BIN)/pip-audit --local --skip-editable

## The documentation as a site in build/site; broken links fail it. The tests build it too.
site: $(VENV)/all
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs build/site

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/base: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing toolreplay ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/all: $(VENV)/base
	@echo "Installing every extra; building llama.cpp the first time takes some minutes ..."
	@$(PIP) --editable ".[$(EXTRAS)]"
	@touch $@

## Debian's Chromium, for the tests of the web pages; without it they are skipped.
browser:
	apt-get -qq update && apt-get -qq install -y chromium chromium-driver >/dev/null

## Debian's PostgreSQL, for the tests of recordings in a database; without it they are skipped.
database:
	apt-get -qq update && apt-get -qq install -y postgresql >/dev/null

clean:
	rm -rf $(VENV) runs
