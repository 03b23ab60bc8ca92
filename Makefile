# SPDX-License-Identifier: Apache-2.0
# ptqflow: everything is found by its place in the tree (see README "Where things live").
# Targets: setup all demo test fire check chaos bench bench-shapes bench-peers bench-methods bench-vlm bench-tlq bench-best bench-slide fuzz install uninstall clean. `make DNNL=` builds without oneDNN.
CC       ?= gcc
BUILD    ?= build
BIN      ?= bin
PREFIX   ?= /usr/local
DESTDIR  ?=
JOBS     ?= 6
FUZZ_SECONDS ?= 20
SEEDS    ?= 1-200 1001-1040
WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
# loops as vectors also where their length is not known: sums keep their order
OPT      ?= -O2 -g -fvect-cost-model=dynamic
DNNL     := $(shell printf '\043include <dnnl.h>\n' | $(CC) -E -x c - >/dev/null 2>&1 && echo yes)
override CFLAGS += -std=c11 -D_GNU_SOURCE $(WARN) $(OPT) $(SAN) -fno-omit-frame-pointer $(if $(DNNL),-DPTQ_DNNL)
override LDFLAGS += $(SAN)
override LDLIBS += -lzmq -lsodium -lmsgpackc -lzstd -lz -lxxhash -lisal -ljansson -lpcre2-8 -lutf8proc -ljpeg -lpng16 -lwebp -lpthread -lm

LIB_SRC   := $(wildcard common/*/*.c)
CORE_SRC  := $(filter-out %_main.c,$(wildcard stages/*/*.c ops/tools/*.c ops/tools/*/*.c pipelines/*.c))
MAIN_SRC  := $(wildcard stages/*/*_main.c ops/tools/*/*_main.c)
FRONT_SRC := $(wildcard pipelines/ptq_main.c)
TEST_SRC  := $(wildcard tests/unit/test_*.c)
FUZZ_SRC  := $(wildcard tests/fuzz/fuzz_*.c)
# The longest first, the short programs last: so no processor is idle at the end.
LONG      := $(patsubst %,tests/scene/%.bats,hosts survive swap chaos fire bad_input experts plan bad_model methods slurm vlm families formats slide resume override target job crew data)
SCENES    := $(LONG) $(filter-out $(LONG),$(sort $(wildcard tests/scene/*.bats tests/clients/*.bats)))
LIB       := $(BUILD)/libptq.a
STAGE_BIN := $(foreach m,$(MAIN_SRC),$(BIN)/ptq-$(patsubst %_main.c,%,$(notdir $(m))))
FRONT_BIN := $(if $(FRONT_SRC),$(BIN)/ptq)
CHAOS_BIN := $(BUILD)/chaos/proxy
SHIMS     := $(patsubst tests/shim/%.c,$(BUILD)/shim/%.so,$(wildcard tests/shim/*.c))
TEST_BIN  := $(TEST_SRC:tests/unit/%.c=$(BUILD)/tests/%)
FUZZ_BIN  := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzz/%)
obj        = $(1:%.c=$(BUILD)/%.o)

all: $(STAGE_BIN) $(FRONT_BIN)

setup:
	sh ops/setup

$(LIB): $(call obj,$(LIB_SRC)) $(call obj,$(CORE_SRC))
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

define stage_rule
$(BIN)/ptq-$(patsubst %_main.c,%,$(notdir $(1))): $(call obj,$(1)) $(LIB)
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -o $$@ $$^ $$(LDLIBS)
endef
$(foreach m,$(MAIN_SRC),$(eval $(call stage_rule,$(m))))

# The only one that is asked by HTTP.
$(BIN)/ptq-metrics $(BUILD)/tests/test_metrics: override LDLIBS += -lmicrohttpd

$(BIN)/ptq: $(call obj,$(FRONT_SRC)) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# What scenes preload into our programs: never instrumented.
$(BUILD)/shim/%.so: tests/shim/%.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O1 -fPIC -shared -o $@ $<

$(BUILD)/chaos/%: $(BUILD)/tests/chaos/%.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^

unit-tests: $(TEST_BIN) $(SHIMS) $(CHAOS_BIN)

# Some tests wait most of the time: twice as many at a time as the two processors that they need.
# Scenes find the commands first in PATH and their folder in PTQ_BIN, what they preload in PTQ_SHIMS.
test: all unit-tests
	PTQ_BIN='$(abspath $(BIN))' PTQ_SHIMS='$(abspath $(BUILD))/shim' PATH='$(abspath $(BIN))':"$$PATH" prove -f -o -j$(JOBS) --exec ops/tap $(SCENES) $(sort $(TEST_BIN))

# What a run must survive, or end by name: killed, stopped, cut off and lying processes, strangers, limits. Scenes that are
# tagged so, and the unit tests of what they stand on.
FIRE := $(shell grep -l '^\# bats .*tags=fire' tests/scene/*.bats) $(patsubst %,$(BUILD)/tests/test_%,run_id frame link link_elastic link_lease link_resume link_serve link_stall link_zmq pump stall strangers write_out)
fire: all unit-tests
	PTQ_TEST_TAGS=fire PTQ_BIN='$(abspath $(BIN))' PTQ_SHIMS='$(abspath $(BUILD))/shim' PATH='$(abspath $(BIN))':"$$PATH" prove -o -j$(JOBS) --exec ops/tap $(FIRE)

# gcc warns about things that are not so when it instruments; the ordinary build and lint's clang have the warnings.
# They take three times as long and more: a file of tests may, too.
# The leak checker breaks off (signal 11) at the storage of threads that use libraries loaded later, when a stage ends early.
check:
	sh ops/lint
	mkdir -p build/san/share && ln -sfn ../../.. build/san/share/ptqflow # recipes by name
	PTQ_TEST_SECONDS=900 BATS_TEST_TIMEOUT=360 LSAN_OPTIONS='use_tls=0:suppressions=$(abspath tests/lsan.supp):print_suppressions=0' $(MAKE) test BUILD=build/san BIN=build/san/bin WARN=-w OPT='-O1 -g' SAN='-fsanitize=address,undefined -fno-sanitize-recover=all'

# Runs with random faults, one for each seed; those that fail are named. SEEDS='7 100-120': others.
chaos: all $(SHIMS) $(CHAOS_BIN)
	bash tests/chaos/chaos.sh '$(BIN)' '$(BUILD)' $(SEEDS)

demo: all
	sh pipelines/demo/demo.sh '$(BIN)'

bench: all $(BUILD)/bench/peak
	sh tests/bench/bench.sh '$(BIN)' $(BUILD)/bench/peak

bench-shapes: all $(BUILD)/bench/peak $(BUILD)/bench/shaped
	sh tests/bench/shapes.sh '$(BIN)' $(BUILD)/bench/peak $(BUILD)/bench/shaped

bench-peers: all
	sh tests/bench/peers.sh '$(BIN)' tests/bench/peers.md

bench-methods: all
	sh ops/studies/methods.sh '$(BIN)'

bench-vlm: all
	sh ops/studies/vlm.sh '$(BIN)'

bench-tlq: all
	sh ops/studies/tlq.sh '$(BIN)'

bench-slide: all
	sh ops/studies/slide.sh '$(BIN)'

bench-best: all
	sh ops/studies/best.sh '$(BIN)'

fuzz:
	$(MAKE) fuzz-run CC=clang BUILD=build/clang OPT='-O1 -g' SAN='-fsanitize=address,fuzzer-no-link'

fuzz-run: $(FUZZ_BIN)
	sh ops/fuzz $(FUZZ_SECONDS) $(BUILD)/fuzz $(FUZZ_BIN)

# Bash looks for a file called after the command, zsh reads in the first line which commands a file is for.
BASH_DIR := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_DIR  := $(DESTDIR)$(PREFIX)/share/zsh/site-functions

install: all
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1' '$(DESTDIR)$(PREFIX)/share/ptqflow/pipelines' \
	    '$(DESTDIR)$(PREFIX)/share/ptqflow/python' \
	    '$(DESTDIR)$(PREFIX)/share/doc/ptqflow' '$(BASH_DIR)' '$(ZSH_DIR)'
	install $(STAGE_BIN) $(FRONT_BIN) '$(DESTDIR)$(PREFIX)/bin'
	install -m 644 $(wildcard stages/*/*.1 ops/tools/*/*.1 pipelines/*.1) '$(DESTDIR)$(PREFIX)/share/man/man1'
	install -m 644 $(wildcard pipelines/*.pipe) '$(DESTDIR)$(PREFIX)/share/ptqflow/pipelines'
	install -m 755 pipelines/sweep pipelines/sensitivity '$(DESTDIR)$(PREFIX)/share/ptqflow/pipelines'
	install -m 644 $(wildcard ops/python/*.py) '$(DESTDIR)$(PREFIX)/share/ptqflow/python'
	install -m 644 README.md CHANGELOG.md LICENSE common/wire/INTERFACES.md '$(DESTDIR)$(PREFIX)/share/doc/ptqflow'
	'$(BIN)/ptq' completion bash >'$(BASH_DIR)/ptq'
	'$(BIN)/ptq' completion zsh >'$(ZSH_DIR)/_ptq'
	for name in $(notdir $(STAGE_BIN)); do ln -sf ptq '$(BASH_DIR)'/$$name; done

# What install has put there; folders that others share stay.
uninstall:
	cd '$(DESTDIR)$(PREFIX)/bin' && rm -f $(notdir $(STAGE_BIN) $(FRONT_BIN))
	cd '$(DESTDIR)$(PREFIX)/share/man/man1' && rm -f $(notdir $(wildcard stages/*/*.1 ops/tools/*/*.1 pipelines/*.1))
	cd '$(BASH_DIR)' && rm -f $(notdir $(STAGE_BIN) $(FRONT_BIN))
	rm -f '$(ZSH_DIR)/_ptq'
	rm -rf '$(DESTDIR)$(PREFIX)/share/ptqflow' '$(DESTDIR)$(PREFIX)/share/doc/ptqflow'

clean:
	rm -rf build bin

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all setup unit-tests test fire check chaos demo bench bench-shapes bench-peers bench-methods bench-vlm bench-tlq bench-slide bench-best fuzz fuzz-run install uninstall clean
.SECONDARY:
