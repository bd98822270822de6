# Random clients, crashes in the middle, and every answer checked (tests/history/run.py).
.PHONY: check-history
check-history: all
	@PREFD_BIN=$(BUILD)/prefd $(PYTHON) tests/history/run.py $(if $(SEEDS),--seeds $(SEEDS))
