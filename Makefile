# SPDX-License-Identifier: LGPL-2.1-or-later
#
# forkbus: build, run, check, install. "make help" lists the targets, "make V=1" shows the commands.
#
# Variables to set: CC, CFLAGS, LDFLAGS, WERROR= (warnings are not errors), DEBUG=1 (for a debugger, in build/debug), BUILD,
# SANITIZE, PREFIX, DESTDIR, PACKAGES=no (install no packages), T=NAME (only tests of this name).

FORKBUS_VERSION := 0.1.0

BUILD    ?= build
SANITIZE ?=
DEBUG    ?=
PREFIX   ?= /usr/local
DESTDIR  ?=
SECONDS  ?= 60
T        ?=

bindir        ?= $(PREFIX)/bin
mandir        ?= $(PREFIX)/share/man
completiondir ?= $(PREFIX)/share/bash-completion/completions
includedir    ?= $(PREFIX)/include
libdir        ?= $(PREFIX)/lib
varlinkdir    ?= $(PREFIX)/share/varlink
dbusdir       ?= $(PREFIX)/share/dbus-1
systemunitdir ?= $(PREFIX)/lib/systemd/system
userunitdir   ?= $(PREFIX)/lib/systemd/user
applicationsdir ?= $(PREFIX)/share/applications
docdir        ?= $(PREFIX)/share/doc/forkbus
sysusersdir   ?= $(PREFIX)/lib/sysusers.d
sysconfdir    ?= /etc
# The bus reads policies, and polkit actions, from here for any prefix.
dbuspolicydir ?= $(if $(filter /usr,$(PREFIX)),$(dbusdir),$(sysconfdir)/dbus-1)/system.d
polkitdir     ?= /usr/share/polkit-1/actions
# DKMS reads sources from here for any prefix.
kmodsrcdir    ?= /usr/src
modulesloaddir ?= $(PREFIX)/lib/modules-load.d

comma := ,
# The build directory; builds for a debugger or with a sanitizer have their own.
O := $(BUILD)$(if $(DEBUG),/debug)$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)))

.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.PHONY: FORCE

# --- files ----------------------------------------------------------------------------------------------------------

PROTO_SRC  := $(wildcard proto/*.c proto/*/*.c)
BROKER_SRC := $(filter-out broker/main.c,$(wildcard broker/*.c broker/*/*.c broker/*/*/*.c))
LIB_SRC    := $(wildcard clients/lib/*.c)
CTL_SRC    := $(filter-out clients/ctl/main.c,$(wildcard clients/ctl/*.c))
NOTIFY_SRC := $(filter-out clients/notify/main.c,$(wildcard clients/notify/*.c))
UNIT_SRC   := $(wildcard tests/unit/*/test-*.c)
UNIT_LIB   := $(wildcard tests/unit/*.c)
HELPER_SRC := $(wildcard tests/integration/*.c tests/vm/*.c)
HELPER_LIB := $(wildcard tests/integration/lib/*.c tests/vm/lib/*.c)
FUZZ_SRC   := $(wildcard tests/fuzz/fuzz-*.c)
BENCH_SRC  := $(wildcard tests/bench/*.c)
BENCH_LIB  := $(wildcard tests/bench/lib/*.c)
ALL_SRC    := $(PROTO_SRC) $(BROKER_SRC) $(LIB_SRC) $(CTL_SRC) $(NOTIFY_SRC) broker/main.c clients/ctl/main.c \
              clients/notify/main.c $(UNIT_SRC) $(UNIT_LIB) $(HELPER_SRC) $(HELPER_LIB) $(BENCH_SRC) $(BENCH_LIB)

PROGRAMS := $(O)/bin/forkbusd $(O)/bin/forkbusctl $(O)/bin/forkbus-notify
# In this order: the name for linking, the name that programs load (soname), and the file.
LIB_NAMES := libforkbus.so libforkbus.so.0 libforkbus.so.$(FORKBUS_VERSION)
LIBRARY  := $(LIB_NAMES:%=$(O)/lib/%) $(O)/lib/libforkbus.a
UNIT     := $(UNIT_SRC:%.c=$(O)/%)
HELPERS  := $(HELPER_SRC:%.c=$(O)/%)
# Benchmarks that link the broker's objects, and those that link only what they need.
BENCH_OWN := $(O)/tests/bench/ring $(O)/tests/bench/cost $(O)/tests/bench/source
BENCH     := $(filter-out $(BENCH_OWN),$(BENCH_SRC:%.c=$(O)/%))
FUZZERS  := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzz/%)

# Without generated lists of fields, and without the headers of older versions, which do not change.
FORMATTED  = $(filter-out proto/event-fields.h proto/event-json-fields.h proto/event-kept-fields.h tests/fixtures/%/forkbus.h, \
             $(shell find proto kmod broker clients docs tests -name '*.[ch]'))

MAN        := $(wildcard docs/*.[1-8])
COMPLETION := $(wildcard clients/*/*.bash)
CONFIG     := $(sysconfdir)/forkbus/forkbusd.conf

# The files that "make install" installs, without the configuration.
INSTALLED = $(PROGRAMS:$(O)/bin/%=$(bindir)/%) $(systemunitdir)/forkbusd.service $(sysusersdir)/forkbus.conf \
            $(userunitdir)/forkbus-notify.service $(applicationsdir)/forkbus-notify.desktop \
            $(docdir)/examples/notify.conf \
            $(foreach page,$(MAN),$(mandir)/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
            $(foreach file,$(COMPLETION),$(completiondir)/$(basename $(notdir $(file)))) \
            $(LIBRARY:$(O)/lib/%=$(libdir)/%) $(includedir)/forkbus.h $(libdir)/pkgconfig/libforkbus.pc \
            $(varlinkdir)/org.forkbus1.varlink $(dbusdir)/interfaces/org.forkbus1.xml \
            $(dbusdir)/system-services/org.forkbus1.service $(dbuspolicydir)/org.forkbus1.conf \
            $(polkitdir)/org.forkbus1.policy

# --- flags ----------------------------------------------------------------------------------------------------------

CFLAGS  ?= $(if $(DEBUG),-Og -g3 -fno-omit-frame-pointer,-O2 -g)
WERROR  ?= -Werror
FUZZ_CC ?= clang-14
OBJCOPY ?= objcopy

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith \
            -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wimplicit-fallthrough -Wundef -Wredundant-decls \
            -Wnested-externs -Wdouble-promotion $(if $(filter thread,$(SANITIZE)),-Wno-tsan)

# _FORTIFY_SOURCE needs an optimised build, and hides errors from the sanitizers.
HARDEN_C  := -fPIE -fstack-protector-strong \
             $(if $(SANITIZE),,$(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2))
HARDEN_LD := -pie -Wl,-z,relro,-z,now,--as-needed

SANITIZE_FLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)

# pkg-config runs once, when the first recipe needs it, so "make packages" and "make help" work without it.
LIBRARIES := libevent_core libsystemd jansson inih libmnl liburing
pkg        = $(if $(shell pkg-config --exists $(2) 2>/dev/null && echo yes),$(shell pkg-config $(1) $(2)), \
               $(error of "$(2)" something is missing here: "make packages" installs it))
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(call pkg,--cflags,$(LIBRARIES)))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $$(call pkg,--libs,$(LIBRARIES)))$(PKG_LIBS)
LIB_LIBS   = $(eval LIB_LIBS := $$(call pkg,--libs,jansson))$(LIB_LIBS)
UNIT_LIBS  = $(eval UNIT_LIBS := $$(call pkg,--libs,cmocka))$(UNIT_LIBS)

DEFINES = -D_GNU_SOURCE -DFORKBUS_VERSION='"$(FORKBUS_VERSION)"' -Iproto -Ibroker -I.
COMPILE = $(CC) -std=gnu17 $(DEFINES) $(WARNINGS) $(WERROR) $(HARDEN_C) $(SANITIZE_FLAGS) $(PKG_CFLAGS) -pthread \
          $(CFLAGS) $(CPPFLAGS)
LINK    = $(CC) $(CFLAGS) $(SANITIZE_FLAGS) $(HARDEN_LD) -pthread $(LDFLAGS)

FUZZ_FLAGS   = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FUZZ_COMPILE = $(FUZZ_CC) -std=gnu17 $(DEFINES) -Wall -Wextra $(WERROR) -O1 -g $(FUZZ_FLAGS) $(PKG_CFLAGS) -pthread

# As many jobs as processors, unless -j sets another number.
JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc)) --no-print-directory

Q := $(if $(V),,@)
# Builds of distribution packages have all requirements, and may be unable to install packages.
packages = $(if $(filter no,$(PACKAGES)),:,.ci/packages $(1))
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

##@ Build

all: $(PROGRAMS) $(LIBRARY) ## build the programs into build/bin/, libforkbus into build/lib/ (the default)

tests: $(UNIT) $(HELPERS) ## build the test programs, too

# Write a file only if its content changes.
define write_changed
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(1))' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
endef

# Objects depend on the flags that they were built with, and files made of all objects depend on the list of objects.
$(O)/obj/flags: FORCE
	$(call write_changed,$(COMPILE) $(LINK) $(PKG_LIBS))
$(O)/obj/sources: FORCE
	$(call write_changed,$(sort $(ALL_SRC)))

$(O)/obj/%.o: %.c $(O)/obj/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

# The compiler does not report files that are included by the assembler.
$(O)/obj/broker/serve/varlink/idl.o $(BUILD)/fuzz/obj/broker/serve/varlink/idl.o: $(wildcard proto/*.varlink)

# An archive is always created from scratch, so that removed objects do not stay in it.
%.a:
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) qcs $@ $(filter %.o,$^)

$(O)/libproto.a: $(PROTO_SRC:%.c=$(O)/obj/%.o)
$(O)/libbroker.a: $(BROKER_SRC:%.c=$(O)/obj/%.o)
$(O)/libclient.a: $(LIB_SRC:%.c=$(O)/obj/%.o)
$(O)/libctl.a: $(CTL_SRC:%.c=$(O)/obj/%.o)
$(O)/libnotify.a: $(NOTIFY_SRC:%.c=$(O)/obj/%.o)
$(O)/libunit.a: $(UNIT_LIB:%.c=$(O)/obj/%.o)
$(O)/libhelper.a: $(HELPER_LIB:%.c=$(O)/obj/%.o)
$(O)/libbench.a: $(BENCH_LIB:%.c=$(O)/obj/%.o)
$(foreach name,proto broker client ctl notify unit helper bench,$(O)/lib$(name).a): $(O)/obj/sources

define link
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $(filter %.o %.a,$^)
endef

$(O)/bin/forkbusd: $(O)/obj/broker/main.o $(O)/libbroker.a $(O)/libproto.a
	$(link) $(PKG_LIBS)

$(O)/bin/forkbusctl: $(O)/obj/clients/ctl/main.o $(O)/libctl.a $(O)/lib/libforkbus.a $(O)/libproto.a
	$(link) $(PKG_LIBS)

$(O)/bin/forkbus-notify: $(O)/obj/clients/notify/main.o $(O)/libnotify.a $(O)/lib/libforkbus.a $(O)/libproto.a
	$(link) $(PKG_LIBS)

# The library is position-independent, and exports only the names in its map; this applies to the archive, too.
$(O)/pic/%.o: %.c $(O)/obj/flags
	$(call say,CC,$< (library))
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -fPIC -fvisibility=hidden -MMD -MP -c -o $@ $<

# Without the parts of proto/ that only programs need: they log, or would make the library depend on inih.
LIB_OBJ := $(patsubst %.c,$(O)/pic/%.o,$(LIB_SRC) $(filter-out proto/base/ini.c proto/base/message.c,$(PROTO_SRC)))

$(O)/lib/libforkbus.so.$(FORKBUS_VERSION): private HARDEN_LD := $(filter-out -pie,$(HARDEN_LD))
$(O)/lib/libforkbus.so.$(FORKBUS_VERSION): clients/lib/libforkbus.map $(LIB_OBJ) $(O)/obj/sources
	$(link) -shared -Wl,-soname,libforkbus.so.0 -Wl,--version-script=$< $(if $(SANITIZE),,-Wl,-z,defs) $(LIB_LIBS)

$(O)/lib/libforkbus.so $(O)/lib/libforkbus.so.0: $(O)/lib/libforkbus.so.$(FORKBUS_VERSION)
	$(Q)ln -sf $(notdir $<) $@

$(O)/lib/libforkbus.a: $(O)/pic/libforkbus.o

$(O)/pic/libforkbus.o: $(LIB_OBJ) $(O)/obj/sources
	$(Q)$(LD) -r -o $@ $(LIB_OBJ) && $(OBJCOPY) --localize-hidden $@

$(UNIT): $(O)/tests/unit/%: $(O)/obj/tests/unit/%.o $(O)/libunit.a $(O)/libctl.a $(O)/libnotify.a $(O)/libclient.a \
         $(O)/libbroker.a $(O)/libproto.a
	$(link) $(UNIT_LIBS) $(PKG_LIBS)

LIB_HELPERS := $(O)/tests/integration/listen
BUS_HELPERS := $(addprefix $(O)/tests/integration/,notifications bus-client hostile-bus)
$(filter-out $(LIB_HELPERS) $(BUS_HELPERS),$(HELPERS)): $(O)/tests/%: $(O)/obj/tests/%.o $(O)/libhelper.a $(O)/libproto.a
	$(link)

$(BUS_HELPERS): $(O)/tests/%: $(O)/obj/tests/%.o $(O)/libproto.a
	$(link) $(PKG_LIBS)

$(LIB_HELPERS): $(O)/tests/%: $(O)/obj/tests/%.o $(O)/lib/libforkbus.a $(O)/libproto.a
	$(link) $(LIB_LIBS)

# It executes itself where there are no libraries, so it is linked statically.
$(O)/tests/vm/storm: private HARDEN_LD := $(if $(SANITIZE),$(HARDEN_LD),-static)

# Benchmarks start these many times, so they are small and need no libraries.
$(BENCH): private HARDEN_LD := $(if $(SANITIZE),$(HARDEN_LD),-static)
$(BENCH): $(O)/tests/bench/%: $(O)/obj/tests/bench/%.o $(O)/libbench.a $(O)/libclient.a $(O)/libproto.a
	$(link)

$(O)/tests/bench/ring $(O)/tests/bench/cost: $(O)/tests/bench/%: $(O)/obj/tests/bench/%.o $(O)/libbench.a $(O)/libclient.a \
		$(O)/libbroker.a $(O)/libproto.a
	$(link) $(PKG_LIBS)

# The broker with another source: its objects come first, and replace those in the archive.
$(O)/tests/bench/source: $(O)/obj/broker/main.o $(O)/obj/tests/bench/source.o $(O)/libbench.a $(O)/libbroker.a $(O)/libproto.a
	$(link) $(PKG_LIBS)

# The fuzzers need clang, and every source with its instrumentation.
$(BUILD)/fuzz/obj/%.o: %.c $(BUILD)/obj/flags
	$(call say,CC,$< (fuzz))
	@mkdir -p $(@D)
	$(Q)$(FUZZ_COMPILE) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/libfuzz.a: $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(PROTO_SRC) $(BROKER_SRC) $(LIB_SRC))

$(FUZZERS): $(BUILD)/fuzz/fuzz-%: $(BUILD)/fuzz/obj/tests/fuzz/fuzz-%.o $(BUILD)/fuzz/libfuzz.a
	$(call say,LINK,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -pthread -o $@ $^ $(PKG_LIBS)

-include $(ALL_SRC:%.c=$(O)/obj/%.d) $(LIB_OBJ:.o=.d)
-include $(patsubst %.c,$(BUILD)/fuzz/obj/%.d,$(PROTO_SRC) $(BROKER_SRC) $(LIB_SRC) $(FUZZ_SRC))

##@ Kernel module

KMOD_SRC := $(wildcard kmod/*.[ch] kmod/compat-include/*.h kmod/compat-include/*/*.h kmod/compat-include/*/*/*.h)
KMOD     := $(KMOD_SRC) kmod/Kbuild kmod/Makefile
KMOD_DIR  = $(kmodsrcdir)/forkbus-$(FORKBUS_VERSION)

# The module's sources and the protocol, as DKMS gets them, too.
copy_kmod = for file in $(KMOD:kmod/%=%); do install -D -m 644 -p "kmod/$$file" "$(1)/$$file"; done; \
            install -m 644 -p proto/forkbus_netlink.h '$(1)'

kmod: ## build forkbus.ko into build/kmod/, for the running kernel, or for the headers in KDIR=
	$(Q)$(call copy_kmod,$(O)/kmod)
	$(Q)$(MAKE) --no-print-directory -C $(O)/kmod $(if $(KDIR),KDIR='$(abspath $(KDIR))') W=1 KCFLAGS='$(WERROR)' modules

install-kmod: ## give the module's sources to DKMS, which builds it for every kernel; load it now and at boot
	$(Q)$(call copy_kmod,$(DESTDIR)$(KMOD_DIR))
	sed 's|@version@|$(FORKBUS_VERSION)|' kmod/dkms.conf >'$(DESTDIR)$(KMOD_DIR)/dkms.conf'
	install -D -m 644 systemd/forkbus.modules-load '$(DESTDIR)$(modulesloaddir)/forkbus.conf'
	$(if $(DESTDIR),,dkms install forkbus/$(FORKBUS_VERSION))

uninstall-kmod: ## remove the module from DKMS and from this machine
	$(if $(DESTDIR),,-dkms remove forkbus/$(FORKBUS_VERSION) --all)
	rm -rf '$(DESTDIR)$(KMOD_DIR)'
	rm -f '$(DESTDIR)$(modulesloaddir)/forkbus.conf'

##@ Run

run: ## install what is missing, build, start a broker on build/run and watch it (ARGS= for the monitor, BROKER_ARGS=)
	@$(call packages,build)
	@$(MAKE) $(JOBS) all
	@BROKER_ARGS='$(BROKER_ARGS)' setpriv --pdeathsig TERM tests/run-live $(O) $(ARGS)

##@ Check

# All tests run under prove, so that a run has one kind of output and ends with its totals. A unit test has only one group of
# cmocka: its TAP output cannot have a second plan, and prints skip() as a failure.
TESTS_lint        := $(wildcard tests/lint/*.t)
TESTS_unit        := $(UNIT)
TESTS_integration := $(wildcard tests/integration/*.t)

export CMOCKA_MESSAGE_OUTPUT := TAP
export FORKBUS_BUILD := $(abspath $(O))
export UBSAN_OPTIONS := print_stacktrace=1

# Build, and run the tests of the kinds in WHAT, or those of them that T names. A test that hangs fails after a time limit.
ALLOW  = timeout --foreground -k 10 600
named  = $(if $(T),$(foreach name,$(T),$(filter %/test-$(name) %/$(name).t,$(1))),$(1))
CHOSEN = $(call named,$(foreach kind,$(WHAT),$(TESTS_$(kind))))
prove: all $(call named,$(UNIT)) $(HELPERS)
	@$(if $(CHOSEN),,echo 'no test of $(WHAT) is called $(T)' >&2; exit 1)
	@prove $(PROVE_FLAGS) --exec '$(ALLOW) $(UNDER)' $(CHOSEN)

check: WHAT := lint unit integration
check-unit: WHAT := unit
check-integration: WHAT := integration
lint: WHAT := lint

check: ## install what is missing, build, lint, unit and integration tests: ends with the totals (T=NAME for one)
check-unit: ## unit tests only
check-integration: ## integration tests only
lint: ## formatting, cppcheck, include rules, man pages, scripts, units
check check-unit check-integration lint:
	@$(call packages,all)
	@$(MAKE) $(JOBS) prove WHAT='$(WHAT)'

check-all: ## check, then everything that takes longer: sanitizers, foreign clients, long forms, kernels, valgrind, fuzzers
	@.ci/run

check-sanitize: ## unit and integration tests with AddressSanitizer and UndefinedBehaviorSanitizer
	@$(call packages,all)
	@$(MAKE) $(JOBS) prove SANITIZE=address,undefined WHAT='unit integration'

# Tests with a long form: as many events, and as many seeds, as minutes have. Each has a limit of its own against hangs.
TESTS_long := $(shell grep -l FORKBUS_LONG tests/integration/*.t)

check-long: ALLOW = timeout --foreground -k 10 1800
check-long: ## integration tests that also have a form that runs for minutes, in that form
	@$(call packages,all)
	@$(MAKE) $(JOBS) all tests
	@FORKBUS_LONG=1 prove --timer $(PROVE_FLAGS) --exec '$(ALLOW)' $(TESTS_long)

.PHONY: check-long

# Threads share only the log, with readers while it is written. RING_SEC= sets a longer time than some seconds.
TESTS_ring := $(filter %/test-ring %/test-ring-wake %/test-ring-torn %/test-log-reader,$(UNIT))

prove-ring: $(TESTS_ring)
	@prove $(PROVE_FLAGS) --timer --exec '$(ALLOW)' $^

check-thread: ## readers of the log while it is written, with ThreadSanitizer
	@$(call packages,all)
	@$(MAKE) $(JOBS) prove-ring SANITIZE=thread

.PHONY: prove-ring check-thread

# Valgrind writes its findings to files, since not every test checks the exit status of its broker.
VALGRIND = valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible \
           --suppressions=$(abspath tests/valgrind.supp) --log-file=$(abspath $(O))/valgrind/%p

# Valgrind does not support futex_waitv(2) and pidfd_open(2): it prints five lines and lets the call fail. Both are optional.
VALGRIND_KNOWN = -e 'WARNING: unhandled .* syscall: \(434\|449\)$$' -e 'You may be able to write your own handler' \
                 -e 'Read the file README_MISSING_SYSCALL' -e 'Nevertheless we consider this a bug' -e 'it at http://valgrind'

check-valgrind: ## unit tests, and the broker under the integration tests, in valgrind
	@$(call packages,all)
	@rm -rf $(O)/valgrind && mkdir -p $(O)/valgrind
	@failed=0; \
	$(MAKE) $(JOBS) prove WHAT=unit UNDER='$(VALGRIND)' || failed=1; \
	FORKBUSD_WRAPPER='$(VALGRIND)' $(MAKE) $(JOBS) prove WHAT=integration || failed=1; \
	if cat $(O)/valgrind/* | grep -v $(VALGRIND_KNOWN); then failed=1; fi; \
	exit $$failed

# Tests in separate kernels, under QEMU. Everything that they need is built before they start; if this is impossible, they are
# skipped.
TESTS_vm := $(wildcard tests/vm/*.t)
VM_JOBS  ?= 2
export FORKBUS_VM := $(abspath $(BUILD))/vm

prepare_vm = for what in qemu kernels rootfs checkpatch; do tests/vm/$$what >/dev/null || [ $$? -eq 77 ] || exit 1; done

check-vm: ## build the module for Debian's kernels 6.1, 6.12, 6.12-rt and 7, and test it there in QEMU (VM_JOBS=2 at a time)
	@$(call packages,all)
	@$(call packages,vm)
	@$(MAKE) $(JOBS) all tests
	@$(prepare_vm)
	@prove -j$(VM_JOBS) --timer $(PROVE_FLAGS) $(TESTS_vm)

check-kmod: ## build the module for these kernels and for arm64, with sparse and checkpatch.pl
	@$(call packages,vm)
	@prove $(PROVE_FLAGS) tests/vm/build.t

# Not in check-all, since the kernels have to be compiled first.
check-kernel-debug: KIND := plain
check-kernel-debug: ## the module under load, in a kernel with KASAN, lockdep, kmemleak, PREEMPT: 40 minutes
check-kernel-rt: KIND := rt
check-kernel-rt: ## the same with PREEMPT_RT
check-kernel-debug check-kernel-rt:
	@$(call packages,all)
	@$(call packages,debug)
	@$(MAKE) $(JOBS) all tests
	@for what in qemu rootfs 'debug/kernel debug-$(KIND)'; do \
		tests/vm/$$what >/dev/null || [ $$? -eq 77 ] || exit 1; \
	done
	@prove --timer $(PROVE_FLAGS) tests/vm/debug/$(KIND).t

# Clients of other projects: downloaded first; if this is impossible, their tests are skipped.
TESTS_foreign := $(wildcard tests/foreign/*.t)

check-foreign: ## Varlink with clients of other projects: varlinkctl and python-varlink of Debian 13, fetched once
	@$(call packages,all)
	@$(MAKE) $(JOBS) $(O)/bin/forkbusd
	@tests/foreign/tree >/dev/null || [ $$? -eq 77 ]
	@prove --timer $(PROVE_FLAGS) $(TESTS_foreign)

fuzz: ## each fuzz target for SECONDS= (60), from the corpus in the tree
	@$(call packages,all)
	@$(MAKE) $(JOBS) $(FUZZERS)
	@tests/run-fuzz $(SECONDS) $(FUZZERS)

compile_commands.json: FORCE ## write how each file is compiled, for clangd and other tools
	@printf '%s\n' $(ALL_SRC) | jq -R --arg directory '$(CURDIR)' --arg command '$(subst ','\'',$(COMPILE))' \
		'{$$directory, file: ., command: "\($$command) -c \(.)"}' | jq -s . >$@

generate: ## generate files from the table of fields, proto/event-fields.toml
	$(Q)proto/generate

format: ## format the sources
	$(Q)clang-format-14 -i $(FORMATTED)

##@ Measure

# The kernel in QEMU: 6.1, 6.12 or 7.
KERNEL ?= 6.12

bench: ## compare the cost of forkbus with all peers: one table, all samples in build/bench/: 25 minutes (PARTS= for some)
bench-quick: ## the same with less precision and without QEMU: two minutes (PARTS=fanout, latency, forks, …)
bench-quick: BENCH_FLAGS := --quick
bench bench-quick:
	@$(call packages,all)
	@$(call packages,bench) || true
	@$(if $(filter bench,$@),$(call packages,vm) || true)
	@$(MAKE) $(JOBS) all $(BENCH) $(BENCH_OWN)
	@tests/bench/bench $(BENCH_FLAGS) $(ARGS) --kernel=$(KERNEL) $(PARTS)

bench-listening: ## the cost of listening, by module and proc connector, in QEMU (KERNEL=6.12): 20 minutes, ARGS=--quick: two
bench-timed: ## the same by the clock, on two processors: needs an otherwise idle machine
bench-timed: BENCH_FLAGS := --timed
bench-listening bench-timed:
	@$(call packages,all)
	@$(call packages,vm)
	@$(MAKE) $(JOBS) all $(BENCH)
	@tests/bench/listening $(BENCH_FLAGS) $(ARGS) --kernel=$(KERNEL)

bench-here: ## the same without the module, on this machine, as root
	@$(call packages,all)
	@$(MAKE) $(JOBS) all $(BENCH)
	@tests/bench/listening --here

bench-ring: ## the cost of up to a thousand readers of the mapped log, at fixed rates and at full speed: a minute
	@$(call packages,all)
	@$(MAKE) $(JOBS) $(O)/tests/bench/ring
	@$(O)/tests/bench/ring

.PHONY: bench bench-quick bench-listening bench-timed bench-here bench-ring

##@ Install

# systemd is not notified if there is a DESTDIR, or if it does not run.
reload_systemd = $(if $(DESTDIR),,[ ! -d /run/systemd/system ] || systemctl daemon-reload)

install: all ## to DESTDIR and PREFIX= (/usr/local), with unit, sysusers entry, configuration, man pages, completion
	install -d $(foreach dir,$(sort $(dir $(INSTALLED) $(CONFIG))),'$(DESTDIR)$(dir)')
	install -m 755 $(PROGRAMS) '$(DESTDIR)$(bindir)'
	install -m 644 $(filter %.a %.so.$(FORKBUS_VERSION),$(LIBRARY)) '$(DESTDIR)$(libdir)'
	cp -P $(filter %.so %.so.0,$(LIBRARY)) '$(DESTDIR)$(libdir)'
	install -m 644 clients/lib/forkbus.h '$(DESTDIR)$(includedir)'
	sed -e 's|@prefix@|$(PREFIX)|' -e 's|@includedir@|$(includedir)|' -e 's|@libdir@|$(libdir)|' \
		-e 's|@version@|$(FORKBUS_VERSION)|' clients/lib/libforkbus.pc.in >'$(DESTDIR)$(libdir)/pkgconfig/libforkbus.pc'
	chmod 644 '$(DESTDIR)$(libdir)/pkgconfig/libforkbus.pc'
	sed 's|@bindir@|$(bindir)|' systemd/forkbusd.service >'$(DESTDIR)$(systemunitdir)/forkbusd.service'
	chmod 644 '$(DESTDIR)$(systemunitdir)/forkbusd.service'
	sed 's|@bindir@|$(bindir)|' systemd/forkbus-notify.service >'$(DESTDIR)$(userunitdir)/forkbus-notify.service'
	chmod 644 '$(DESTDIR)$(userunitdir)/forkbus-notify.service'
	install -m 644 clients/notify/forkbus-notify.desktop '$(DESTDIR)$(applicationsdir)'
	install -m 644 systemd/notify.conf '$(DESTDIR)$(docdir)/examples'
	install -m 644 systemd/forkbus.sysusers '$(DESTDIR)$(sysusersdir)/forkbus.conf'
	install -m 644 proto/org.forkbus1.varlink '$(DESTDIR)$(varlinkdir)'
	install -m 644 proto/org.forkbus1.xml '$(DESTDIR)$(dbusdir)/interfaces'
	install -m 644 systemd/org.forkbus1.service '$(DESTDIR)$(dbusdir)/system-services'
	install -m 644 systemd/org.forkbus1.conf '$(DESTDIR)$(dbuspolicydir)'
	install -m 644 systemd/org.forkbus1.policy '$(DESTDIR)$(polkitdir)'
	test -e '$(DESTDIR)$(CONFIG)' || install -m 644 systemd/forkbusd.conf '$(DESTDIR)$(CONFIG)'
	for page in $(MAN); do install -m 644 $$page "$(DESTDIR)$(mandir)/man$${page##*.}"; done
	for file in $(COMPLETION); do install -m 644 $$file "$(DESTDIR)$(completiondir)/$$(basename $$file .bash)"; done
	$(if $(DESTDIR),,[ ! -d /run/systemd/system ] || systemd-sysusers '$(sysusersdir)/forkbus.conf')
	$(reload_systemd)
	$(if $(DESTDIR),,-ldconfig)

uninstall: ## remove the installed files; a changed configuration stays
	rm -f $(foreach file,$(INSTALLED),'$(DESTDIR)$(file)')
	@conf='$(DESTDIR)$(CONFIG)'; \
	if cmp -s systemd/forkbusd.conf "$$conf"; then rm -f "$$conf"; elif [ -e "$$conf" ]; then echo "kept: $$conf"; fi
	$(reload_systemd)

##@ Other

packages: ## install the Debian packages that building and testing need, or print their names
	@.ci/packages all

clean: ## remove all built files
	rm -rf $(BUILD)

help: ## show this
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z_.-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: all tests kmod install-kmod uninstall-kmod run prove check check-unit check-integration lint check-all \
        check-sanitize check-valgrind check-vm check-kmod check-kernel-debug check-kernel-rt check-foreign fuzz generate format \
        install uninstall packages clean help
