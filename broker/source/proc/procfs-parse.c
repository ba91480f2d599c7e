// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/proc/procfs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* The longest name of a unit in systemd. */
#define UNIT_NAME_MAX 255

/* One decimal number, followed by @end or the end of the text. */
static bool parse_number(const char **at, const char *text_end, char end, uint64_t *value)
{
	const char *p = *at;
	bool negative = p < text_end && *p == '-';
	uint64_t number = 0;

	p += negative;
	if (p == text_end || *p < '0' || *p > '9')
		return false;
	for (; p < text_end && *p >= '0' && *p <= '9'; p++)
		number = number * 10 + (uint64_t)(*p - '0');
	if (p < text_end && *p != end && *p != '\n')
		return false;
	*value = negative ? -number : number;
	*at = p < text_end ? p + 1 : p;
	return true;
}

/* PF_KTHREAD of <linux/sched.h>. */
#define FLAG_KERNEL_THREAD 0x200000

/* Positions in the line, as proc(5) counts. */
enum {
	STAT_PPID = 4,
	STAT_PGID = 5,
	STAT_SESSION = 6,
	STAT_TTY = 7,
	STAT_FLAGS = 9,
	STAT_THREADS = 20,
	STAT_START = 22,
	STAT_STACK = 28,
	STAT_STATUS = 52
};

int procfs_parse_stat(struct procfs_stat *stat, const char *text, size_t len)
{
	const char *end = text + len;
	const char *open = memchr(text, '(', len);
	/* A name may hold any byte, but nothing after it can be a parenthesis. */
	const char *close = open ? memrchr(open, ')', (size_t)(end - open)) : NULL;
	uint64_t values[STAT_STATUS + 1] = {};
	long hertz = sysconf(_SC_CLK_TCK);
	const char *at;

	if (!close || end - close < 4 || close[1] != ' ' || close[3] != ' ' || hertz <= 0)
		return PROCFS_E_TEXT;
	at = close + 4;
	for (unsigned int i = STAT_PPID; i <= STAT_STATUS; i++)
		if (!parse_number(&at, end, ' ', &values[i])) {
			if (i <= STAT_START)
				return PROCFS_E_TEXT;
			break;
		}
	*stat = (struct procfs_stat){
		.comm = { open + 1, (size_t)(close - open - 1) },
		.state = close[2],
		.ppid = (uint32_t)values[STAT_PPID],
		.pgid = (uint32_t)values[STAT_PGID],
		.session = (uint32_t)values[STAT_SESSION],
		.tty = (uint32_t)values[STAT_TTY],
		.threads = (uint32_t)values[STAT_THREADS],
		.start_usec = values[STAT_START] * (USEC_PER_SEC / (uint64_t)hertz),
		.kernel_thread = values[STAT_FLAGS] & FLAG_KERNEL_THREAD,
		.start_stack = values[STAT_STACK],
		.status = (uint32_t)values[STAT_STATUS],
	};
	return 0;
}

int procfs_parse_shared(uint64_t *pages, const char *text, size_t len)
{
	const char *end = text + len;
	uint64_t size, resident;

	if (!parse_number(&text, end, ' ', &size) || !parse_number(&text, end, ' ', &resident) ||
	    !parse_number(&text, end, ' ', pages))
		return PROCFS_E_TEXT;
	return 0;
}

static const char *line_of(const char *text, size_t len, const char *key)
{
	size_t key_len = strlen(key);
	const char *end = text + len, *line = text, *newline;

	while (line < end) {
		if ((size_t)(end - line) > key_len && memcmp(line, key, key_len) == 0)
			return line + key_len;
		newline = memchr(line, '\n', (size_t)(end - line));
		line = newline ? newline + 1 : end;
	}
	return NULL;
}

/* The kernel escapes the name in this file, so it cannot contain a new line. */
int procfs_parse_ids(struct fb_event *event, const char *text, size_t len)
{
	const char *uids = line_of(text, len, "Uid:\t"), *gids = line_of(text, len, "Gid:\t");
	const char *end = text + len;
	uint64_t uid, euid, gid, egid;

	if (!uids || !parse_number(&uids, end, '\t', &uid) || !parse_number(&uids, end, '\t', &euid) ||
	    !gids || !parse_number(&gids, end, '\t', &gid) || !parse_number(&gids, end, '\t', &egid))
		return PROCFS_E_TEXT;
	EVENT_SET(event, uid, (uint32_t)uid);
	EVENT_SET(event, gid, (uint32_t)gid);
	EVENT_SET(event, euid, (uint32_t)euid);
	EVENT_SET(event, egid, (uint32_t)egid);
	return 0;
}

static struct event_text cgroup_path(const char *text, size_t len, const char *controllers)
{
	size_t wanted = strlen(controllers);
	const char *end = text + len, *line = text, *newline, *first, *second;

	for (; line < end; line = newline + 1) {
		newline = memchr(line, '\n', (size_t)(end - line));
		if (!newline)
			newline = end;
		first = memchr(line, ':', (size_t)(newline - line));
		second = first ? memchr(first + 1, ':', (size_t)(newline - first - 1)) : NULL;
		if (second && (size_t)(second - first - 1) == wanted &&
		    memcmp(first + 1, controllers, wanted) == 0)
			return (struct event_text){ second + 1, (size_t)(newline - second - 1) };
		if (newline == end)
			break;
	}
	return (struct event_text){ "", 0 };
}

struct event_text procfs_parse_cgroup(const char *text, size_t len)
{
	struct event_text v2 = cgroup_path(text, len, ""), v1;

	/* Where both hierarchies are mounted, the second may be there without being used. */
	if (v2.len > 1)
		return v2;
	v1 = cgroup_path(text, len, "name=systemd");
	return v1.len > v2.len ? v1 : v2;
}

/* Units */

static bool text_ends(struct event_text text, const char *suffix)
{
	size_t len = strlen(suffix);

	return text.len > len && memcmp(text.data + text.len - len, suffix, len) == 0;
}

static bool unit_name_is_valid(struct event_text name)
{
	static const char *const suffixes[] = { ".service",   ".scope",	 ".socket", ".mount",
						".automount", ".swap",	 ".target", ".path",
						".timer",     ".device", ".slice" };
	static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:-_.\\@";
	const char *at;

	if (name.len == 0 || name.len > UNIT_NAME_MAX || name.data[0] == '.')
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] == '\0' || !strchr(allowed, name.data[i]))
			return false;
	/* "name@.service" is a template; nothing can run in it. */
	at = memchr(name.data, '@', name.len);
	if (name.data[0] == '@' || (at && at[1] == '.' && memrchr(name.data, '.', name.len) == at + 1))
		return false;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (text_ends(name, suffixes[i]))
			return true;
	return false;
}

static struct event_text path_component(struct event_text *path)
{
	struct event_text part;
	const char *slash;

	while (path->len > 0 && *path->data == '/') {
		path->data++;
		path->len--;
	}
	slash = memchr(path->data, '/', path->len);
	part = (struct event_text){ path->data, slash ? (size_t)(slash - path->data) : path->len };
	path->data += part.len;
	path->len -= part.len;
	/* systemd puts '_' before a name that could be a file of the kernel. */
	if (part.len > 0 && part.data[0] == '_') {
		part.data++;
		part.len--;
	}
	return part;
}

struct event_text unit_from_cgroup(struct event_text path)
{
	struct event_text part;

	do {
		part = path_component(&path);
	} while (unit_name_is_valid(part) && text_ends(part, ".slice"));
	return unit_name_is_valid(part) ? part : (struct event_text){ "", 0 };
}

/* Terminals */

size_t procfs_print_tty(char buf[static PROCFS_TTY_MAX], uint32_t device)
{
	/* As the kernel prints it: the minor's low 8 bits, the major, the rest of the minor. */
	unsigned int major = device >> 8 & 0xfff, minor = (device & 0xff) | (device >> 12 & 0xfff00);
	int len;

	if (major >= 136 && major <= 143)
		len = snprintf(buf, PROCFS_TTY_MAX, "pts/%u", (major - 136) * 256 + minor);
	else if (major == 4 && minor < 64)
		len = snprintf(buf, PROCFS_TTY_MAX, "tty%u", minor);
	else if (major == 4)
		len = snprintf(buf, PROCFS_TTY_MAX, "ttyS%u", minor - 64);
	else if (major == 5 && minor == 1)
		len = snprintf(buf, PROCFS_TTY_MAX, "console");
	else
		len = snprintf(buf, PROCFS_TTY_MAX, "%u:%u", major, minor);
	return len < PROCFS_TTY_MAX ? (size_t)len : PROCFS_TTY_MAX - 1;
}
