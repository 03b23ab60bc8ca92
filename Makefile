# ptqflow: everything is found by its place in the tree (see README "Where things live").
CC       ?= gcc
BUILD    ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=
BIN      ?= bin
WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
OPT      ?= -O2 -g
DNNL     := $(shell printf '\043include <dnnl.h>\n' | $(CC) -E -x c - >/dev/null 2>&1 && echo yes)
CFLAGS   += -std=c11 -D_GNU_SOURCE $(WARN) $(OPT) $(SAN) -fno-omit-frame-pointer $(if $(DNNL),-DPTQ_DNNL)
LDLIBS   += -lzmq -lmsgpackc -lzstd -ljansson -lpcre2-8 -lutf8proc $(if $(DNNL),-ldnnl) -llapacke -lopenblas -lpthread -lm
LDFLAGS  += $(SAN)

LIB_SRC   := $(wildcard common/*/*.c)
CORE_SRC  := $(filter-out %_main.c,$(wildcard stages/*/*.c ops/tools/*.c pipelines/*.c))
MAIN_SRC  := $(wildcard stages/*/*_main.c ops/tools/*_main.c)
FRONT_SRC := $(wildcard pipelines/ptq_main.c)
TEST_SRC  := $(wildcard tests/unit/test_*.c)
LIB       := $(BUILD)/libptq.a
STAGE_BIN := $(foreach m,$(MAIN_SRC),$(BIN)/ptq-$(patsubst %_main.c,%,$(notdir $(m))))
FRONT_BIN := $(if $(FRONT_SRC),$(BIN)/ptq)
TEST_BIN  := $(TEST_SRC:tests/unit/%.c=$(BUILD)/tests/%)
obj        = $(1:%.c=$(BUILD)/%.o)

all: $(STAGE_BIN) $(FRONT_BIN)

$(LIB): $(call obj,$(LIB_SRC)) $(call obj,$(CORE_SRC))
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

define stage_rule
$(BIN)/ptq-$(patsubst %_main.c,%,$(notdir $(1))): $(call obj,$(1)) $(LIB)
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -o $$@ $$^ $(LDLIBS)
endef
$(foreach m,$(MAIN_SRC),$(eval $(call stage_rule,$(m))))

$(BIN)/ptq: $(call obj,$(FRONT_SRC)) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

unit-tests: $(TEST_BIN)

clean:
	rm -rf $(BUILD) $(BIN)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all clean unit-tests
.SECONDARY:
