# make kiosk    open the touch application on the bundled photographs
# make lint     check style and types
# make test     lint, then run every test that this machine can run
# make soak     run the endurance tests of the kiosk, archives and videos
# make bench    measure latency (and accuracy on PHOTOS) and write out/bench.html
# make screenshots  take the pictures of README.md and docs/ again
# make develop  make an editable install, to work on Livetint itself
# Each of them makes .venv and installs what it needs. It needs Python >= 3.10.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := pyproject.toml CMakeLists.txt __main__.py $(shell git ls-files engine build_engine calibration training bench kiosk archive video cli models photos 2>/dev/null)
# On a Jetson, TensorRT belongs to the system's Python (JetPack's packages).
SYSTEM_PACKAGES := $(if $(wildcard /etc/nv_tegra_release),--system-site-packages,)
# Extras that the tests use. CI adds `rtx` (TensorRT-RTX, several hundred megabytes).
EXTRAS ?= train,bench,cluster,dev
# A plain comma would end a branch of $(if).
comma := ,

.PHONY: kiosk bench lint test pytest soak screenshots develop clean

kiosk: $(STAMP)
	@echo "Starting the kiosk. Ctrl-C stops it."
	$(BIN)/livetint kiosk --open

# PHOTOS: a folder or tar of colour photographs; with it, accuracy is measured too.
bench: $(VENV)/.test
	@mkdir -p out
	$(BIN)/livetint bench latency --against siggraph17 --roofline --json out/latency.json
	$(if $(PHOTOS),$(BIN)/livetint bench accuracy --photos $(PHOTOS) --limit 24 --baselines grey$(comma)levin --json out/accuracy.json)
	$(BIN)/livetint bench report out/latency.json $(if $(PHOTOS),out/accuracy.json) -o out/bench.html

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

test: lint pytest

pytest: $(VENV)/.test
	$(BIN)/python -m pytest -rfEsR

soak: $(VENV)/.test
	LIVETINT_SOAK=1 $(BIN)/python -m pytest -rfEs tests/kiosk/test_endurance.py tests/archive/test_resume.py tests/video/test_long.py

# Look at all of them before you keep them.
screenshots: $(VENV)/.test
	$(BIN)/python -m tests.kiosk.screenshots docs
	$(BIN)/livetint bench readme-figure -o docs/readme-figure.jpg

# Tests run on the installed package, as users have it. It is installed again when a source has changed.
$(VENV)/.test: $(SOURCES) $(VENV)/.python constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt 'torch==2.13.0'
	$(BIN)/python -m pip install -q -c constraints.txt --force-reinstall --no-deps .
	$(BIN)/python -m pip install -q -c constraints.txt '.[$(EXTRAS)]'
	$(BIN)/python -m pip install -q -c constraints.txt --no-deps --upgrade --target $(VENV)/stubs tensorrt-stubs
	@touch $@ $(STAMP)

$(STAMP): $(SOURCES) $(VENV)/.python
	@echo "Installing Livetint into $(VENV); the first time this takes about half a minute. Ctrl-C stops it; make goes on later."
	$(BIN)/python -m pip install -q --force-reinstall --no-deps .
	$(BIN)/python -m pip install -q .
	@touch $@

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit("Livetint needs Python 3.10 or newer; found " + sys.version.split()[0] if sys.version_info < (3, 10) else 0)'
	@echo "Making the Python environment $(VENV)."
	$(PYTHON) -m venv $(SYSTEM_PACKAGES) $(VENV)
	@touch $@

develop: $(VENV)/.test
	$(BIN)/python -m pip install -q 'scikit-build-core>=0.10'
	$(BIN)/python -m pip install -q --no-build-isolation --no-deps -e .

clean:
	rm -rf build dist out $(VENV)
