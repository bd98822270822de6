# prefd - `make run` starts it with sample data, `make check` tests it.
# Both install what Debian 12 lacks (tests/packages, through sudo when needed).

BUILD    ?= build
CC       ?= gcc
PYTHON   ?= /usr/bin/python3
VERSION  := 1.0.0
SANITIZE ?=
PREFIX   ?= /usr/local

# One short line a file; `make V=1` shows the commands.
say = $(if $(V),,@echo '  $(1)  $(2)' &&)

# Everything in parallel, unless the caller said how.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
          -Wvla -Wformat=2 -Wwrite-strings -Wundef -Werror
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(WARN) $(CFLAGS) -fno-strict-aliasing -pthread \
             -D_GNU_SOURCE -DPREFD_VERSION='"$(VERSION)"' -Iinclude -I$(BUILD)/gen \
             $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
LIBS   := -lmicrohttpd -lgnutls -lcjson -lsqlite3 -luv -lcurl -lzstd -lz -lnettle -lm

SRC    := $(wildcard server/*/*.c)
OBJ    := $(SRC:server/%.c=$(BUILD)/obj/%.o) $(BUILD)/gen/embedded.o
UNITS  := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))

.PHONY: all
all: $(BUILD)/prefd

$(BUILD)/prefd: $(BUILD)/obj/main.o $(OBJ)
	$(call say,LINK,$@) $(CC) $(ALL_CFLAGS) -o $@ $^ $(LDFLAGS) $(LIBS)

# The mathematics gives the same bits everywhere: no contraction, no fast-math.
$(BUILD)/obj/align/%.o: EXTRA = -ffp-contract=off -fno-fast-math
$(BUILD)/obj/%.o: server/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(ALL_CFLAGS) $(EXTRA) -MMD -MP -c -o $@ $<

# One object holds the embedded files: schema, OpenAPI, dashboard.
include schema/embed.mk

$(BUILD)/tests/%: tests/unit/%.c $(OBJ) $(wildcard tests/unit/*.h)
	@mkdir -p $(@D)
	$(call say,TEST,$<) $(CC) $(ALL_CFLAGS) -Itests/unit -o $@ $< $(filter %.o,$(OBJ)) $(LDFLAGS) -lcmocka $(LIBS)

.PHONY: units power
units: $(UNITS)
include tests/power/power.mk
include tests/fuzz/fuzz.mk
power: $(BUILD)/tests/power

-include $(OBJ:.o=.d) $(BUILD)/obj/main.d

# --- to use it -----------------------------------------------------------------

# On this machine, with the sample data, until Ctrl-C (deploy/run.sh).
.PHONY: run
run:
	@tests/packages.sh build
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) deploy/run.sh

.PHONY: install
install: all
	install -D -m 755 $(BUILD)/prefd $(DESTDIR)$(PREFIX)/bin/prefd
	install -D -m 644 docs/prefd.1 $(DESTDIR)$(PREFIX)/share/man/man1/prefd.1

# $(BUILD)/prefd_VERSION_ARCH.deb (deploy/deb.sh).
.PHONY: deb
deb:
	@tests/packages.sh deploy
	@BUILD=$(BUILD) deploy/deb.sh

# --- to test it (tests/run.py; one sum at the end) -------------------------------

.PHONY: check
check:
	@tests/packages.sh
	@$(MAKE) --no-print-directory all units replays power
	@$(PYTHON) tests/run.py --build $(BUILD)

.PHONY: check-layers
check-layers:
	@$(PYTHON) tests/layers.py
	@$(PYTHON) tests/layers.py --self-test

# The units and the HTTP tests against sanitized builds, in folders of their own.
.PHONY: sanitize sanitize-address sanitize-thread
sanitize:
	@$(MAKE) --no-print-directory sanitize-address
	@$(MAKE) --no-print-directory sanitize-thread

sanitize-address:
	@$(MAKE) --no-print-directory BUILD=build-address SANITIZE=address,undefined CFLAGS='-O1 -g' all units replays
	@$(PYTHON) tests/run.py --build build-address units corpora http

sanitize-thread:
	@$(MAKE) --no-print-directory BUILD=build-thread SANITIZE=thread CFLAGS='-O1 -g' all units
	@$(PYTHON) tests/run.py --build build-thread units http

# --- to measure it: `make bench`, one table at the end -----------------------------

include tests/bench/bench.mk

# What lies in deploy/, each by the program that reads it: systemd-analyze, nginx,
# HAProxy, promtool, lintian. No root needed.
.PHONY: check-deploy
check-deploy:
	@tests/packages.sh deploy
	@$(MAKE) --no-print-directory all
	@$(PYTHON) tests/run.py --build $(BUILD) deploy

# The package installed, upgraded, removed and purged in a Debian of its own
# (debootstrap, so as root).
.PHONY: check-deb
check-deb:
	@tests/packages.sh deploy
	@$(PYTHON) tests/run.py --build $(BUILD) deb

# --- histories of many clients and crashes, checked afterwards: `make check-history` ---

include tests/history/history.mk

# The sample data again from its generator; `make check` compares.
.PHONY: sample
sample:
	$(PYTHON) schema/sample/make_sample.py

.PHONY: clean
clean:
	rm -rf $(BUILD) build-address build-thread build-fuzz
