/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The interfaces in the order of names, and their descriptions as files of proto/ have them.
 */

#include <stddef.h>

struct varlink_interface {
	const char *name, *description;
};

extern const struct varlink_interface varlink_interfaces[];
extern const size_t varlink_n_interfaces;
