# Fuzz targets. `make check` replays the corpora (any compiler); `make fuzz` goes on looking (clang).
FUZZ     := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAYS  := $(FUZZ:%=$(BUILD)/fuzz/replay_%)
SECONDS_EACH ?= 30

.PHONY: replays fuzz
replays: $(REPLAYS)

$(BUILD)/fuzz/replay_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c tests/fuzz/fuzz.h $(OBJ)
	@mkdir -p $(@D)
	$(call say,FUZZ,$<) $(CC) $(ALL_CFLAGS) -Itests/fuzz -o $@ $< tests/fuzz/replay.c $(filter %.o,$(OBJ)) $(LDFLAGS) $(LIBS)

# Each target for SECONDS_EACH, from its corpus; what is new goes into build-fuzz/new/TARGET.
fuzz:
	@tests/packages.sh fuzz
	@$(MAKE) --no-print-directory BUILD=build-fuzz CC=clang CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -Wno-format-nonliteral' fuzzers
	@$(PYTHON) tests/fuzz/run.py --build build-fuzz --seconds $(SECONDS_EACH)

.PHONY: fuzzers
fuzzers: $(FUZZ:%=$(BUILD)/fuzz/fuzz_%)

$(BUILD)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/fuzz.h $(OBJ)
	@mkdir -p $(@D)
	$(call say,FUZZ,$<) $(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -Itests/fuzz -o $@ $< $(filter %.o,$(OBJ)) $(LDFLAGS) $(LIBS)
