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

bindir        ?= $(PREFIX)/bin
mandir        ?= $(PREFIX)/share/man
completiondir ?= $(PREFIX)/share/bash-completion/completions
systemunitdir ?= $(PREFIX)/lib/systemd/system
sysusersdir   ?= $(PREFIX)/lib/sysusers.d
sysconfdir    ?= /etc

comma := ,
# Where everything goes; what is built with a sanitizer has a place of its own.
O := $(BUILD)$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)))

.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.PHONY: FORCE

# --- what there is to build -----------------------------------------------------------------------------------------

PROTO_SRC  := $(wildcard proto/*.c)
BROKER_SRC := $(filter-out broker/main.c,$(wildcard broker/*.c broker/*/*.c))
CTL_SRC    := $(filter-out clients/ctl/main.c,$(wildcard clients/ctl/*.c))
UNIT_SRC   := $(wildcard tests/unit/test-*.c)
UNIT_LIB   := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
HELPER_SRC := $(wildcard tests/integration/*.c)
FUZZ_SRC   := $(wildcard tests/fuzz/fuzz-*.c)
ALL_SRC    := $(PROTO_SRC) $(BROKER_SRC) $(CTL_SRC) broker/main.c clients/ctl/main.c $(UNIT_SRC) $(UNIT_LIB) $(HELPER_SRC)

PROGRAMS := $(O)/bin/forkbusd $(O)/bin/forkbusctl
UNIT     := $(UNIT_SRC:%.c=$(O)/%)
HELPERS  := $(HELPER_SRC:%.c=$(O)/%)
FUZZERS  := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzz/%)

# The field list is a table, which is laid out by hand.
FORMATTED := $(filter-out proto/event-fields.h,$(ALL_SRC) $(FUZZ_SRC) \
             $(wildcard proto/*.h broker/*.h broker/*/*.h clients/*/*.h tests/*/*.h))

MAN        := $(wildcard docs/*.[1-8])
COMPLETION := $(wildcard clients/ctl/*.bash)
CONFIG     := $(sysconfdir)/forkbus/forkbusd.conf

# What "make install" puts where, beside the configuration.
INSTALLED = $(PROGRAMS:$(O)/bin/%=$(bindir)/%) $(systemunitdir)/forkbusd.service $(sysusersdir)/forkbus.conf \
            $(foreach page,$(MAN),$(mandir)/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
            $(foreach file,$(COMPLETION),$(completiondir)/$(basename $(notdir $(file))))

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
COMPILE = $(CC) -std=gnu17 $(DEFINES) $(WARNINGS) $(WERROR) $(HARDEN_C) $(SANITIZE_FLAGS) $(PKG_CFLAGS) -pthread \
          $(CFLAGS) $(CPPFLAGS)
LINK    = $(CC) $(CFLAGS) $(SANITIZE_FLAGS) $(HARDEN_LD) -pthread $(LDFLAGS)

FUZZ_FLAGS   = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FUZZ_COMPILE = $(FUZZ_CC) -std=gnu17 $(DEFINES) -Wall -Wextra $(WERROR) -O1 -g $(FUZZ_FLAGS) $(PKG_CFLAGS) -pthread

# As many jobs as there are processors, unless asked for another number.
JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc)) --no-print-directory

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

##@ Run

run: ## install what is missing, build, start a broker on build/run and watch it (ARGS= for the monitor, BROKER_ARGS=)
	@.ci/packages build
	@$(MAKE) $(JOBS) all
	@BROKER_ARGS='$(BROKER_ARGS)' setpriv --pdeathsig TERM tests/run-live $(O) $(ARGS)

##@ Check

# All goes through prove, so that a run has one kind of output and ends with its totals. A unit test is one group of
# cmocka: its TAP knows no second plan, and what it makes of skip() counts as failed.
TESTS_lint        := $(wildcard tests/lint/*.t)
TESTS_unit        := $(UNIT)
TESTS_integration := $(wildcard tests/integration/*.t)

export CMOCKA_MESSAGE_OUTPUT := TAP
export FORKBUS_BUILD := $(abspath $(O))
export UBSAN_OPTIONS := print_stacktrace=1

# Build, and run those of the kinds in WHAT.
prove: all tests
	@prove $(PROVE_FLAGS) --exec '$(UNDER)' $(foreach kind,$(WHAT),$(TESTS_$(kind)))

check: WHAT := lint unit integration
check-unit: WHAT := unit
check-integration: WHAT := integration
lint: WHAT := lint

check: ## install what is missing, build, lint, unit and integration tests: ends with the totals
check-unit: ## unit tests only
check-integration: ## integration tests only
lint: ## formatting, cppcheck, include rules, man pages, scripts, units
check check-unit check-integration lint:
	@.ci/packages all
	@$(MAKE) $(JOBS) prove WHAT='$(WHAT)'

check-all: ## check, then all that takes longer: the three below
	@.ci/run

check-sanitize: ## unit and integration tests with AddressSanitizer and UndefinedBehaviorSanitizer
	@.ci/packages all
	@$(MAKE) $(JOBS) prove SANITIZE=address,undefined WHAT='unit integration'

# Valgrind writes what it finds to files, since not every test looks at how its broker ended.
VALGRIND = valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible \
           --log-file=$(abspath $(O))/valgrind/%p

check-valgrind: ## unit tests, and the broker under the integration tests, in valgrind
	@.ci/packages all
	@rm -rf $(O)/valgrind && mkdir -p $(O)/valgrind
	@failed=0; \
	$(MAKE) $(JOBS) prove WHAT=unit UNDER='$(VALGRIND)' || failed=1; \
	FORKBUSD_WRAPPER='$(VALGRIND)' $(MAKE) $(JOBS) prove WHAT=integration || failed=1; \
	if cat $(O)/valgrind/* | grep .; then failed=1; fi; \
	exit $$failed

fuzz: ## each fuzz target for SECONDS= (60), from the corpus in the tree
	@.ci/packages all
	@$(MAKE) $(JOBS) $(FUZZERS)
	@tests/run-fuzz $(SECONDS) $(FUZZERS)

format: ## format the sources
	$(Q)clang-format-14 -i $(FORMATTED)

##@ Install

# Into a DESTDIR for another machine, or where systemd is not in charge, there is nothing to tell it.
reload_systemd = $(if $(DESTDIR),,[ ! -d /run/systemd/system ] || systemctl daemon-reload)

install: all ## to DESTDIR and PREFIX= (/usr/local), with unit, sysusers entry, configuration, man pages, completion
	install -d $(foreach dir,$(sort $(dir $(INSTALLED) $(CONFIG))),'$(DESTDIR)$(dir)')
	install -m 755 $(PROGRAMS) '$(DESTDIR)$(bindir)'
	sed 's|@bindir@|$(bindir)|' systemd/forkbusd.service >'$(DESTDIR)$(systemunitdir)/forkbusd.service'
	chmod 644 '$(DESTDIR)$(systemunitdir)/forkbusd.service'
	install -m 644 systemd/forkbus.sysusers '$(DESTDIR)$(sysusersdir)/forkbus.conf'
	test -e '$(DESTDIR)$(CONFIG)' || install -m 644 systemd/forkbusd.conf '$(DESTDIR)$(CONFIG)'
	for page in $(MAN); do install -m 644 $$page "$(DESTDIR)$(mandir)/man$${page##*.}"; done
	for file in $(COMPLETION); do install -m 644 $$file "$(DESTDIR)$(completiondir)/$$(basename $$file .bash)"; done
	$(if $(DESTDIR),,[ ! -d /run/systemd/system ] || systemd-sysusers '$(sysusersdir)/forkbus.conf')
	$(reload_systemd)

uninstall: ## remove what install put there; a changed configuration stays
	rm -f $(foreach file,$(INSTALLED),'$(DESTDIR)$(file)')
	@conf='$(DESTDIR)$(CONFIG)'; \
	if cmp -s systemd/forkbusd.conf "$$conf"; then rm -f "$$conf"; elif [ -e "$$conf" ]; then echo "kept: $$conf"; fi
	$(reload_systemd)

##@ Other

packages: ## install the Debian packages that building and testing need, or name them
	@.ci/packages all

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## show this
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: all tests run prove check check-unit check-integration lint check-all check-sanitize check-valgrind fuzz \
        format install uninstall packages clean help
