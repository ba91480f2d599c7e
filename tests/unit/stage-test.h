/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tests with a stage of their own each. A program includes this once, after cmocka.h.
 */

#include "tests/unit/stage.h"
#include "tests/unit/support.h"

static struct stage stage;

/* As for stage_open() */
struct stage_size {
	uint64_t blocks;
	size_t cache;
	uint64_t seed;
};

static int stage_setup(void **state)
{
	const struct stage_size *size = *state;

	test_dir_make();
	stage_open(&stage, size->blocks, size->cache, size->seed, 3);
	return 0;
}

static int stage_teardown(void **state)
{
	(void)state;
	stage_close(&stage);
	test_dir_remove();
	return 0;
}

/* STAGE_TEST() - a member of the table of tests. @_size: a struct stage_size */
#define STAGE_TEST(_test, _size) \
	cmocka_unit_test_prestate_setup_teardown(_test, stage_setup, stage_teardown, &(_size))
