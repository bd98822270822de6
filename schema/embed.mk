# Files that travel inside the binary, as symbol:path. The symbols are declared
# in include/base/embedded.h. A generated file (under $(BUILD)/gen) needs its
# rule below; everything else is automatic.
EMBED := schema_001:schema/sqlite/001.sql \
         schema_002:schema/sqlite/002.sql \
         dashboard:server/http/dashboard.html \
         openapi:$(BUILD)/gen/openapi.json

EMBED_PATHS := $(foreach e,$(EMBED),$(lastword $(subst :, ,$(e))))

# Each file between embedded_<symbol> and embedded_<symbol>_end, with a NUL
# behind it that belongs to neither.
$(BUILD)/gen/embedded.S: schema/embed.mk
	@mkdir -p $(@D)
	@{ echo '	.section .rodata'; \
	for e in $(EMBED); do s=embedded_$${e%%:*}; \
	printf '	.global %s, %s_end\n	.balign 16\n%s:\n	.incbin "%s"\n%s_end:\n	.byte 0\n' \
		$$s $$s $$s "$${e#*:}" $$s; done; \
	echo '	.section .note.GNU-stack,"",%progbits'; } > $@

$(BUILD)/gen/embedded.o: $(BUILD)/gen/embedded.S $(EMBED_PATHS)
	$(CC) -c -o $@ $<

# The description as one JSON document, the row schemas inside.
$(BUILD)/gen/openapi.json: schema/openapi.yaml schema/openapi.py $(wildcard schema/*.schema.json)
	@mkdir -p $(@D)
	$(PYTHON) schema/openapi.py $< > $@.tmp
	@mv $@.tmp $@
