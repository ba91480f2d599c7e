// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "source/proc/unit.h"

/* Longest name of a unit, as systemd has it. */
#define UNIT_NAME_MAX 255

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
	/* systemd puts '_' before a name that could be taken for a file of the kernel's. */
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
