/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The interfaces, sorted by name, and their descriptions, from files of proto/.
 */

#include <stddef.h>

struct varlink_interface {
	const char *name, *description;
};

extern const struct varlink_interface varlink_interfaces[];
extern const size_t varlink_n_interfaces;
