# SPDX-License-Identifier: LGPL-2.1-or-later
#
# forkbus: build, run, check, install. "make help" lists the targets, "make V=1" shows the commands.
#
# From outside: CC, CFLAGS, LDFLAGS, WERROR= (warnings stay warnings), BUILD, SANITIZE, PREFIX, DESTDIR.

FORKBUS_VERSION := 0.1.0

BUILD    ?= build
SANITIZE ?=
PREFIX   ?= /usr/local
DESTDIR  ?=
SECONDS  ?= 60

comma := ,
# Where everything goes; what is built with a sanitizer has a place of its own.
O := $(BUILD)$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)))

.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.PHONY: FORCE

# --- what there is to build -----------------------------------------------------------------------------------------

PROTO_SRC  := $(wildcard proto/*.c)
BROKER_SRC := $(filter-out broker/main.c,$(wildcard broker/*.c broker/util/*.c broker/core/*.c broker/source/*.c broker/serve/*.c))
CTL_SRC    := $(filter-out clients/ctl/main.c,$(wildcard clients/ctl/*.c))
UNIT_SRC   := $(wildcard tests/unit/test-*.c)
UNIT_LIB   := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
HELPER_SRC := $(wildcard tests/integration/*.c)
FUZZ_SRC   := $(wildcard tests/fuzz/fuzz-*.c)
ALL_SRC    := $(PROTO_SRC) $(BROKER_SRC) $(CTL_SRC) $(wildcard broker/main.c clients/ctl/main.c) \
              $(UNIT_SRC) $(UNIT_LIB) $(HELPER_SRC)

PROGRAMS := $(if $(wildcard broker/main.c),$(O)/bin/forkbusd) $(if $(wildcard clients/ctl/main.c),$(O)/bin/forkbusctl)
UNIT     := $(UNIT_SRC:%.c=$(O)/%)
HELPERS  := $(HELPER_SRC:%.c=$(O)/%)
FUZZERS  := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzz/%)

# --- how ------------------------------------------------------------------------------------------------------------

CFLAGS  ?= -O2 -g
WERROR  ?= -Werror
FUZZ_CC ?= clang-14

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith \
            -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wimplicit-fallthrough -Wundef -Wredundant-decls \
            -Wnested-externs -Wdouble-promotion

# _FORTIFY_SOURCE needs an optimised build, and hides from the sanitizers what they look for.
HARDEN_C  := -fPIE -fstack-protector-strong \
             $(if $(SANITIZE),,$(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2))
HARDEN_LD := -pie -Wl,-z,relro,-z,now,--as-needed

SANITIZE_FLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)

# pkg-config is asked once, when the first recipe needs it: "make packages" and "make help" do without.
LIBRARIES := libevent_core libsystemd jansson inih libmnl
pkg        = $(if $(shell pkg-config --exists $(2) 2>/dev/null && echo yes),$(shell pkg-config $(1) $(2)), \
               $(error of "$(2)" something is missing here: "make packages" installs it))
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(call pkg,--cflags,$(LIBRARIES)))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $$(call pkg,--libs,$(LIBRARIES)))$(PKG_LIBS)
UNIT_LIBS  = $(eval UNIT_LIBS := $$(call pkg,--libs,cmocka))$(UNIT_LIBS)

DEFINES = -D_GNU_SOURCE -DFORKBUS_VERSION='"$(FORKBUS_VERSION)"' -Iproto -Ibroker -I.
COMPILE = $(CC) -std=gnu17 $(DEFINES) $(WARNINGS) $(WERROR) $(HARDEN_C) $(SANITIZE_FLAGS) $(PKG_CFLAGS) -pthread $(CFLAGS) $(CPPFLAGS)
LINK    = $(CC) $(CFLAGS) $(SANITIZE_FLAGS) $(HARDEN_LD) -pthread $(LDFLAGS)

FUZZ_FLAGS   = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FUZZ_COMPILE = $(FUZZ_CC) -std=gnu17 $(DEFINES) -Wall -Wextra $(WERROR) -O1 -g $(FUZZ_FLAGS) $(PKG_CFLAGS) -pthread

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

##@ Build

all: $(PROGRAMS) ## build forkbusd and forkbusctl into build/bin/ (the default)

tests: $(UNIT) $(HELPERS) ## build the test programs too

# Objects depend on the flags that they were built with. The file changes only when its content does.
$(O)/obj/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(COMPILE) $(LINK) $(PKG_LIBS))' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(O)/obj/%.o: %.c $(O)/obj/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

# A library is made anew: what is no longer there must not stay in it.
%.a:
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

$(O)/libproto.a: $(PROTO_SRC:%.c=$(O)/obj/%.o)
$(O)/libbroker.a: $(BROKER_SRC:%.c=$(O)/obj/%.o)
$(O)/libctl.a: $(CTL_SRC:%.c=$(O)/obj/%.o)
$(O)/libunit.a: $(UNIT_LIB:%.c=$(O)/obj/%.o)

define link
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $(filter %.o %.a,$^)
endef

$(O)/bin/forkbusd: $(O)/obj/broker/main.o $(O)/libbroker.a $(O)/libproto.a
	$(link) $(PKG_LIBS)

$(O)/bin/forkbusctl: $(O)/obj/clients/ctl/main.o $(O)/libctl.a $(O)/libproto.a
	$(link) $(PKG_LIBS)

$(UNIT): $(O)/tests/unit/%: $(O)/obj/tests/unit/%.o $(O)/libunit.a $(O)/libctl.a $(O)/libbroker.a $(O)/libproto.a
	$(link) $(UNIT_LIBS) $(PKG_LIBS)

$(HELPERS): $(O)/tests/integration/%: $(O)/obj/tests/integration/%.o $(O)/libproto.a
	$(link)

# The fuzzers need clang, and every source with its instrumentation.
$(BUILD)/fuzz/obj/%.o: %.c $(BUILD)/obj/flags
	$(call say,CC,$< (fuzz))
	@mkdir -p $(@D)
	$(Q)$(FUZZ_COMPILE) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/libfuzz.a: $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(PROTO_SRC) $(BROKER_SRC))

$(FUZZERS): $(BUILD)/fuzz/fuzz-%: $(BUILD)/fuzz/obj/tests/fuzz/fuzz-%.o $(BUILD)/fuzz/libfuzz.a
	$(call say,LINK,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -pthread -o $@ $^ $(PKG_LIBS)

-include $(ALL_SRC:%.c=$(O)/obj/%.d)
-include $(patsubst %.c,$(BUILD)/fuzz/obj/%.d,$(PROTO_SRC) $(BROKER_SRC) $(FUZZ_SRC))

##@ Other

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## show this
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: all tests clean help
