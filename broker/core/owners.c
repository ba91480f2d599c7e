// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core/owners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"

#define LOOK_USEC  USEC_PER_SEC
/* What is read of a file: enough for tens of thousands of users, and a few milliseconds of work. */
#define SUBUID_MAX (1024 * 1024)
#define PASSWD_MAX (8 * 1024 * 1024)

struct range {
	uint32_t first, last, owner;
	const char *name; /* of the owner, while it is not resolved; NULL: it is */
	size_t name_len;
};

struct owners {
	char *subuid, *passwd; /* paths */
	struct range *ranges;  /* by first uid, without overlaps */
	size_t n;
	struct stat seen; /* of the file with the ranges; all zero: there is none */
	uint64_t look_usec;
};

DEFINE_CLEANUP(struct owners, owners_free)

/* Files */

/*
 * Return: the size of the content at *ret, at most @max bytes; 0 if it is no readable file; or -ENOMEM.
 * @seen: what the content belongs to.
 */
static ssize_t file_read(const char *path, size_t max, char **ret, struct stat *seen)
{
	/* What is no regular file must not block. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t size = 0;
	ssize_t n;

	*ret = NULL;
	*seen = (struct stat){};
	if (fd < 0 || fstat(fd, seen) < 0 || !S_ISREG(seen->st_mode))
		return 0;
	*ret = malloc(max);
	if (!*ret)
		return -ENOMEM;
	while (size < max) {
		n = read(fd, *ret + size, max - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		size += (size_t)n;
	}
	if (size == max)
		msg_warning("%s is too large: only its first %zu bytes are used", path, max);
	return (ssize_t)size;
}

/* Part of a line, up to a colon or its end. */
struct part {
	const char *at;
	size_t len;
};

static struct part part_take(const char **at, const char *end)
{
	struct part part = { *at, 0 };

	while (*at < end && **at != ':')
		++*at;
	part.len = (size_t)(*at - part.at);
	if (*at < end)
		++*at;
	return part;
}

static bool part_number(struct part part, uint32_t *ret)
{
	uint64_t number = 0;

	if (part.len == 0 || part.len > 10)
		return false;
	for (size_t i = 0; i < part.len; i++) {
		if (part.at[i] < '0' || part.at[i] > '9')
			return false;
		number = 10 * number + (uint64_t)(part.at[i] - '0');
	}
	*ret = (uint32_t)number;
	return number <= UINT32_MAX;
}

/* Return: the end of the line at @at. */
static const char *line_end(const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));

	return newline ? newline : end;
}

/* Ranges */

/* OWNER:FIRST:COUNT. Uid 0 is in no range, so no owner is root. */
static bool range_parse(struct range *range, const char *at, const char *end)
{
	struct part owner = part_take(&at, end), first = part_take(&at, end), count = part_take(&at, end);
	uint32_t number;

	if (at != end || owner.len == 0 || owner.at[0] == '#')
		return false;
	if (!part_number(first, &range->first) || !part_number(count, &number) || number == 0)
		return false;
	range->last = number - 1 > UINT32_MAX - range->first ? UINT32_MAX : range->first + (number - 1);
	if (range->first == 0)
		range->first = 1;
	if (range->first > range->last)
		return false;
	range->name = NULL;
	if (!part_number(owner, &range->owner)) {
		range->owner = range->first;
		range->name = owner.at;
		range->name_len = owner.len;
	} else if (range->owner == 0) {
		range->owner = range->first;
	}
	return true;
}

static int compare_names(const void *a, const void *b)
{
	const struct range *one = a, *other = b;
	size_t len = one->name_len < other->name_len ? one->name_len : other->name_len;
	int r;

	if (!one->name || !other->name)
		return (one->name != NULL) - (other->name != NULL);
	r = memcmp(one->name, other->name, len);
	return r != 0 ? r : (one->name_len > other->name_len) - (one->name_len < other->name_len);
}

static int compare_uids(const void *a, const void *b)
{
	const struct range *one = a, *other = b;

	return (one->first > other->first) - (one->first < other->first);
}

/* NAME:PASSWORD:UID:… */
static void resolve(struct range *ranges, size_t n, const char *at, const char *end)
{
	struct part name = part_take(&at, end), uid;
	struct range wanted = { .name = name.at, .name_len = name.len };
	struct range *found = bsearch(&wanted, ranges, n, sizeof(*ranges), compare_names);
	uint32_t number;

	(void)part_take(&at, end);
	uid = part_take(&at, end);
	if (!found || !part_number(uid, &number) || number == 0)
		return;
	while (found > ranges && compare_names(found - 1, &wanted) == 0)
		found--;
	for (; found < ranges + n && compare_names(found, &wanted) == 0; found++)
		found->owner = number;
}

/* Cut off what an earlier range has. Return: how many are left. */
static size_t separate(struct range *ranges, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct range range = ranges[i];

		if (kept > 0 && range.first <= ranges[kept - 1].last) {
			if (range.last <= ranges[kept - 1].last)
				continue;
			range.first = ranges[kept - 1].last + 1;
		}
		ranges[kept++] = range;
	}
	return kept;
}

/* Return: 0 or -ENOMEM: then the ranges are unchanged. */
static int load(struct owners *owners)
{
	_cleanup_free_ char *subuid = NULL, *passwd = NULL;
	_cleanup_free_ struct range *ranges = NULL;
	ssize_t subuid_size, passwd_size;
	struct stat seen, passwd_seen;
	size_t n = 0, room = 1;

	subuid_size = file_read(owners->subuid, SUBUID_MAX, &subuid, &seen);
	if (subuid_size < 0)
		return -ENOMEM;
	for (ssize_t i = 0; i < subuid_size; i++)
		room += subuid[i] == '\n';
	ranges = calloc(room, sizeof(*ranges));
	passwd_size = subuid_size > 0 ? file_read(owners->passwd, PASSWD_MAX, &passwd, &passwd_seen) : 0;
	if (!ranges || passwd_size < 0)
		return -ENOMEM;
	for (const char *at = subuid, *end = at + subuid_size; at < end; at = line_end(at, end) + 1)
		n += range_parse(&ranges[n], at, line_end(at, end));
	qsort(ranges, n, sizeof(*ranges), compare_names);
	for (const char *at = passwd, *end = at + passwd_size; at < end; at = line_end(at, end) + 1)
		resolve(ranges, n, at, line_end(at, end));
	qsort(ranges, n, sizeof(*ranges), compare_uids);
	free(owners->ranges);
	owners->n = separate(ranges, n);
	owners->ranges = steal(ranges);
	owners->seen = seen;
	return 0;
}

/* The object */

int owners_new(struct owners **ret, const char *subuid, const char *passwd)
{
	_cleanup_(owners_free_p) struct owners *owners = calloc(1, sizeof(*owners));
	int r;

	if (!owners)
		return -ENOMEM;
	owners->subuid = strdup(subuid);
	owners->passwd = strdup(passwd);
	if (!owners->subuid || !owners->passwd)
		return -ENOMEM;
	r = load(owners);
	if (r < 0)
		return r;
	*ret = steal(owners);
	return 0;
}

struct owners *owners_free(struct owners *owners)
{
	if (!owners)
		return NULL;
	free(owners->ranges);
	free(owners->subuid);
	free(owners->passwd);
	free(owners);
	return NULL;
}

uint32_t owners_find(const struct owners *owners, uint32_t uid)
{
	size_t low = 0, high = owners->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct range *range = &owners->ranges[middle];

		if (uid < range->first)
			high = middle;
		else if (uid > range->last)
			low = middle + 1;
		else
			return range->owner;
	}
	return uid;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

void owners_refresh(struct owners *owners, uint64_t now_usec)
{
	struct stat now = {};

	if (now_usec < owners->look_usec)
		return;
	owners->look_usec = now_usec + LOOK_USEC;
	if (stat(owners->subuid, &now) < 0)
		now = (struct stat){};
	if (!is_same(&now, &owners->seen) && load(owners) < 0)
		msg_warning("cannot read %s again: out of memory", owners->subuid);
}
