# The two commands of the README (`make demo`, `make test`), and what developers type.
# PYTHON chooses the interpreter of the virtual environment: make test PYTHON=python3.12
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help demo test test-tools check keys faults bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   install into $(VENV) and run a small sweep (CPU is enough)"
	@echo "make test   install the test tools too and run every check"
	@echo "make test-tools  install what some tests need outside of $(VENV): a browser, Slurm (Debian, Ubuntu; as root)"
	@echo "make faults kill, starve and mislead it for a quarter of an hour (docs/reliability.md)"
	@echo "make keys   write docs/keys.md and configs/schema.json anew from the table of keys"
	@echo "make bench  measure what automate-train itself costs"

# One stamp a set of extras: an installation is repeated only when what it depends on has changed.
$(VENV)/.demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(VENV)/.demo $@

demo: $(VENV)/.demo
	$(BIN)/automate-train --default_config_path configs/quickstart/default.json \
	  --tuning_config_path configs/quickstart/tuning.json --cpu 2

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Three at a time on two cores: most tests wait for processes (10 minutes; two at a time take 11 to 13).
test: check
	$(BIN)/python -m pytest -n 3 --dist loadfile

# What `make test` does not install, because it lies outside of $(VENV). The tests of the real trainer need a checkout of
# sd-scripts and a base model as well, which nobody can choose for you: SD_SCRIPTS_DIR and SD_MODEL_DIR name them.
test-tools:
	apt-get update -q
	apt-get install -yq --no-install-recommends chromium chromium-driver slurm-wlm munge
	@echo 'for the real trainer: SD_SCRIPTS_DIR=<sd-scripts> SD_MODEL_DIR=<SD 1.5 model> make test'

# -s shows the figures. FAULTS_SEED=n plays other moments.
faults: $(VENV)/.dev
	$(BIN)/python -m pytest tests/faults -m faults -s

keys: $(VENV)/.dev
	$(BIN)/python docs/make_keys.py

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build demo-output *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
