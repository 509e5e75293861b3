# The two commands: `make demo` and `make test`. Both set up what is missing first; a second call sets up nothing again.
# PYTHON=python3.12       another interpreter (3.10 to 3.13)
# TORCH_INDEX=URL         another build of torch, e.g. https://download.pytorch.org/whl/cu130
PYTHON ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := .venv/bin

# What a sourced ROS 2 or another virtual environment leaves behind would mix with the one in .venv.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: help setup demo test check figures clean

help:
	@echo "make demo     set up what is missing; a simulated robot walks to the sacrum of an unseen virtual subject (leaves demo/)"
	@echo "make test     set up what is missing, check the code and run all tests"
	@echo "make check    ruff, mypy, import-linter"
	@echo "make figures  measure docs/figures.yaml again (rows under two minutes) and print goal beside result"
	@echo "make clean    remove .venv and what the build left"

setup:
	@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON). Install Python 3.10 to 3.13 or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) tools/bootstrap.py --torch-index "$(TORCH_INDEX)"

demo: setup
	@$(BIN)/usnav demo

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# ROS 2 tests start processes and wait for wall-clock deadlines: one after the other. The rest shares the cores, a torch
# thread each.
test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not ros and not benchmark"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "ros and not benchmark"

figures: setup
	@$(BIN)/python tools/figures.py

clean:
	rm -rf .venv ros2_ws/build ros2_ws/install ros2_ws/log
