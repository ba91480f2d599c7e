// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "taken.h"

/* The library's number of a field that is in JSON, 0 of any other. */
static enum forkbus_field field_of(unsigned int field)
{
	return event_fields[field].group == EVENT_GROUP_NONE ? 0 : (enum forkbus_field)(field + 1);
}

static bool take_number(void *member, enum event_kind kind, const struct forkbus_event *from,
			enum forkbus_field field)
{
	uint64_t value;

	if (forkbus_event_get_uint(from, field, &value) != 0)
		return false;
	if (kind == EVENT_KIND_U32)
		*(uint32_t *)member = (uint32_t)value;
	else
		*(uint64_t *)member = value;
	return true;
}

static bool take_text(struct event_text *text, const struct forkbus_event *from, enum forkbus_field field)
{
	const char *data;
	size_t len;

	if (forkbus_event_get_text(from, field, &data, &len) != 0)
		return false;
	*text = (struct event_text){ data, len };
	return true;
}

/* One behind the other, with a NUL between. */
static bool take_strings(struct event_text *text, struct taken_store *store, const struct forkbus_event *from,
			 enum forkbus_field field)
{
	const char *const *strings;
	size_t at = 0, n, len;

	if (forkbus_event_get_strings(from, field, &strings, &n) != 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		len = strlen(strings[i]) + 1;
		if (len > sizeof(store->args) - at + (i + 1 == n))
			break;
		memcpy(store->args + at, strings[i], len - (i + 1 == n));
		at += len;
	}
	*text = (struct event_text){ store->args, at > 0 ? at - 1 : 0 };
	return true;
}

static bool take_field(struct fb_event *event, unsigned int field, struct taken_store *store,
		       const struct forkbus_event *from)
{
	void *member = (char *)event + event_fields[field].offset;
	enum forkbus_field public = field_of(field);

	switch ((enum event_kind)event_fields[field].kind) {
	case EVENT_KIND_U32:
	case EVENT_KIND_U64:
		return take_number(member, event_fields[field].kind, from, public);
	case EVENT_KIND_BOOL:
		return forkbus_event_get_bool(from, public, member) == 0;
	case EVENT_KIND_TEXT:
	case EVENT_KIND_PATH:
		return take_text(member, from, public);
	case EVENT_KIND_ARGS:
		return take_strings(member, store, from, public);
	}
	return false;
}

void taken_event(struct fb_event *event, struct taken_store *store, const struct forkbus_event *from)
{
	fb_event_init(event, event_type_from_name(forkbus_type_name(forkbus_event_get_type(from))));
	for (unsigned int field = 0; field < _EVENT_FIELD_MAX; field++)
		if (take_field(event, field, store, from))
			event->has |= UINT64_C(1) << field;
}
