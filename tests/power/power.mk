# The power-loss test: one program, run from any folder, some seconds.
POWER_SRC := $(wildcard tests/power/*.c)

$(BUILD)/tests/power: $(POWER_SRC) $(wildcard tests/power/*.h) $(OBJ)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests/power -o $@ $(POWER_SRC) $(OBJ) $(LDFLAGS) $(LIBS)
