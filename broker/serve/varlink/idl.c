// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/varlink/idl.h"

/*
 * The unchanged files of proto/, each followed by a NUL. They are in an object of their own: the compiler does not report that
 * the object depends on them, so the Makefile names this dependency.
 */
#define INCLUDE(_symbol, _path)                         \
	__asm__(".pushsection .rodata\n"                \
		".global " #_symbol "\n" #_symbol ":\n" \
		".incbin \"" _path "\"\n"               \
		".byte 0\n"                             \
		".popsection\n");                       \
	extern const char _symbol[]

INCLUDE(varlink_idl_forkbus, "proto/org.forkbus1.varlink");
INCLUDE(varlink_idl_service, "proto/org.varlink.service.varlink");

const struct varlink_interface varlink_interfaces[] = {
	{ "org.forkbus1", varlink_idl_forkbus },
	{ "org.varlink.service", varlink_idl_service },
};

const size_t varlink_n_interfaces = sizeof(varlink_interfaces) / sizeof(varlink_interfaces[0]);
