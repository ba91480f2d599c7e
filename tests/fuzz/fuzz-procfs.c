// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Texts of /proc: any process can choose its name, and any user with a delegated cgroup the names below it. The first byte of
 * an input chooses the file.
 */
#include <stdlib.h>
#include <string.h>

#include "source/proc/procfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
	if (!condition)
		abort();
}

static bool is_within(struct event_text text, const char *data, size_t size)
{
	return text.len == 0 || (text.data >= data && text.data + text.len <= data + size);
}

static void fuzz_stat(const char *text, size_t size)
{
	struct procfs_stat stat;

	if (procfs_parse_stat(&stat, text, size) != 0)
		return;
	check(is_within(stat.comm, text, size));
	(void)procfs_start_matches(stat.start_usec, 1);
	(void)procfs_stat_is_dead(&stat);
}

static void fuzz_ids(const char *text, size_t size)
{
	struct fb_event event;
	int r;

	fb_event_init(&event, EVENT_PROCESS);
	r = procfs_parse_ids(&event, text, size);
	check(r == 0 || r == PROCFS_E_TEXT);
	/* All of them or none. */
	check((event.has & PROCFS_IDS) == (r == 0 ? PROCFS_IDS : FIELDS_NONE));
}

static void fuzz_cgroup(const char *text, size_t size)
{
	struct event_text path = procfs_parse_cgroup(text, size), unit = unit_from_cgroup(path);

	check(is_within(path, text, size));
	check(is_within(unit, path.data, path.len));
}

static void fuzz_tty(const char *text, size_t size)
{
	char name[PROCFS_TTY_MAX];
	uint32_t device = 0;

	memcpy(&device, text, size < sizeof(device) ? size : sizeof(device));
	check(procfs_print_tty(name, device) < PROCFS_TTY_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const files[])(const char *, size_t) = { fuzz_stat, fuzz_ids, fuzz_cgroup, fuzz_tty };
	char *text;

	if (size == 0)
		return 0;
	/* A copy that ends where the text ends, so that each access beyond it is seen. */
	text = malloc(size);
	check(text != NULL);
	memcpy(text, data + 1, size - 1);
	files[data[0] % 4](text, size - 1);
	free(text);
	return 0;
}
