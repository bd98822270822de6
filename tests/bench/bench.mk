# Speed beside nginx, SQLite, Redis and others. QUICK=1: small sizes, a minute.
BENCH_C := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))

$(BUILD)/bench/%: tests/bench/%.c $(OBJ) $(wildcard tests/bench/*.h)
	@mkdir -p $(@D)
	$(call say,BENCH,$<) $(CC) $(ALL_CFLAGS) -o $@ $< $(filter %.o,$(OBJ)) $(LDFLAGS) $(LIBS)

.PHONY: bench bench-growth
bench:
	@tests/packages.sh bench
	@$(MAKE) --no-print-directory all $(BENCH_C)
	@$(PYTHON) tests/bench/run.py --build $(BUILD) $(if $(QUICK),--quick)

# How it grows with examples, connections and lengths; draws docs/growth-*.svg.
bench-growth:
	@tests/packages.sh bench
	@$(MAKE) --no-print-directory all $(BENCH_C)
	@$(PYTHON) tests/bench/growth.py --build $(BUILD) all

# Batches compressed anew beside stored frames (docs/compressed-batches.md). SETS: a folder
# of *.ndjson.gz, record rows.
.PHONY: bench-frames
bench-frames:
	@$(MAKE) --no-print-directory all $(BUILD)/bench/frames
	@$(PYTHON) tests/bench/frames.py --build $(BUILD) $(SETS)

# Instructions of the hot ways against tests/bench/counts.json; says the same on a busy machine.
.PHONY: check-speed
check-speed:
	@tests/packages.sh speed
	@$(MAKE) --no-print-directory $(BUILD)/bench/count $(BUILD)/bench/fill
	@$(PYTHON) tests/bench/check_speed.py --build $(BUILD)
	@$(PYTHON) tests/bench/check_speed.py --build $(BUILD) --self-test
