// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log-format.h"
#include "support.h"

static char directory[PATH_MAX / 2];

static void fail(const char *what)
{
	perror(what);
	abort();
}

void test_dir_make(void)
{
	const char *where = getenv("TMPDIR");

	/* A runtime directory is in memory, which thousands of new logs need. */
	if (!where)
		where = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(directory, sizeof(directory), "%s/forkbus-test-XXXXXX", where);
	if (!mkdtemp(directory))
		fail(directory);
}

void test_dir_remove(void)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	if (!dir)
		fail(directory);
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    remove(test_path(entry->d_name)) < 0)
			fail(entry->d_name);
	closedir(dir);
	if (rmdir(directory) < 0)
		fail(directory);
}

const char *test_path(const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned int next;
	char *path = paths[next++ % 8];

	if (snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX)
		abort();
	return path;
}

unsigned char *file_read(const char *path, size_t *size)
{
	FILE *file = fopen(path, "re");
	void *data;
	struct stat st;

	if (!file || fstat(fileno(file), &st) < 0)
		fail(path);
	*size = (size_t)st.st_size;
	if (posix_memalign(&data, 4096, *size + 1) != 0 || fread(data, 1, *size, file) != *size)
		fail(path);
	fclose(file);
	return data;
}

void file_write(const char *path, const void *data, size_t size)
{
	FILE *file = fopen(path, "we");

	if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
		fail(path);
}

void seq_event(struct random_event *ret, uint64_t seq, uint64_t salt)
{
	const field_set tiny = EVENT_BIT(pid);
	const field_set small = EVENT_BIT(time_usec) | EVENT_BIT(boot_usec) | EVENT_BIT(pid) |
				EVENT_BIT(start_usec) | EVENT_BIT(uid) | EVENT_BIT(old_uid) |
				EVENT_BIT(comm) | EVENT_BIT(filename_cut) | EVENT_BIT(code);
	struct random random = { seq * UINT64_C(0xd1342543de82ef95) + salt };
	uint64_t kind = random_below(&random, 32);
	field_set only = kind == 0 ? FIELDS_ALL : kind < 4 ? tiny : small;

	random_event(&random, ret, only & ~EVENT_BIT(seq));
	if (kind == 0 && random_below(&random, 4) == 0) {
		/* The largest event: every field, every text at its limit. */
		static char longest[EVENT_PATH_MAX];
		field_set has = FIELD_BIT(_EVENT_FIELD_MAX) - 1;

		memset(longest, 'a' + (int)(seq % 26), sizeof(longest));
		ret->event.has = has & ~EVENT_BIT(seq);
		EVENT_FIELD_FOREACH(field, has) {
			const struct event_field_info *info = &event_fields[field];
			void *value = (char *)&ret->event + info->offset;

			if (info->kind == EVENT_KIND_TEXT)
				*(struct event_text *)value = (struct event_text){ longest, EVENT_TEXT_MAX };
			else if (info->kind == EVENT_KIND_PATH || info->kind == EVENT_KIND_ARGS)
				*(struct event_text *)value = (struct event_text){ longest, EVENT_PATH_MAX };
			else if (info->kind == EVENT_KIND_BOOL)
				*(bool *)value = seq % 2;
			else if (info->kind == EVENT_KIND_U32)
				*(uint32_t *)value = (uint32_t)seq;
			else
				*(uint64_t *)value = seq;
		}
	}
	EVENT_CLEAR(&ret->event, seq);
}

bool seq_event_is(const struct fb_event *event, uint64_t salt)
{
	struct random_event expected;

	if (!EVENT_HAS(event, seq))
		return false;
	seq_event(&expected, event->seq, salt);
	EVENT_SET(&expected.event, seq, event->seq);
	return fb_event_equal(event, &expected.event);
}

unsigned int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	if (!dir)
		fail("/proc/self/fd");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

bool in_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

uint64_t position_of(const uint64_t *word)
{
	bool ok;
	uint64_t position = log_position_open(__atomic_load_n(word, __ATOMIC_ACQUIRE), &ok);

	if (!ok)
		fail("a position of the log");
	return position;
}
