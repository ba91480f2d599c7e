// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "fields.h"

/* Dotted where JSON has an object within. */
static const char *const names[_EVENT_FIELD_MAX] = {
#define NAME_TOP(_key)				  _key
#define NAME_STATUS(_key)			  "status." _key
#define NAME_USAGE(_key)			  "usage." _key
#define NAME_OLD(_key)				  "old." _key
#define NAME_NONE(_key)				  NULL
#define F(_member, _kind, _group, _key, _privacy) [EVENT_F_##_member] = NAME_##_group(_key),
#include "event-fields.h"
#undef F
};

static const uint8_t types[] = {
	[FORKBUS_TYPE_FORK] = EVENT_FORK,     [FORKBUS_TYPE_EXEC] = EVENT_EXEC,
	[FORKBUS_TYPE_EXIT] = EVENT_EXIT,     [FORKBUS_TYPE_ID] = EVENT_ID,
	[FORKBUS_TYPE_COMM] = EVENT_COMM,     [FORKBUS_TYPE_SESSION] = EVENT_SESSION,
	[FORKBUS_TYPE_CHROOT] = EVENT_CHROOT, [FORKBUS_TYPE_COREDUMP] = EVENT_COREDUMP,
	[FORKBUS_TYPE_PTRACE] = EVENT_PTRACE, [FORKBUS_TYPE_SOURCE] = EVENT_SOURCE,
	[FORKBUS_TYPE_LOST] = EVENT_LOST,     [FORKBUS_TYPE_PROCESS] = EVENT_PROCESS,
	[FORKBUS_TYPE_READY] = EVENT_READY,
};

#define N(_array) (sizeof(_array) / sizeof(*(_array)))

unsigned int field_internal(enum forkbus_field field)
{
	unsigned int internal = (unsigned int)field - 1;

	return internal < _EVENT_FIELD_MAX && names[internal] ? internal : _EVENT_FIELD_MAX;
}

enum event_type type_internal(enum forkbus_type type)
{
	return (unsigned int)type < N(types) ? types[type] : EVENT_NONE;
}

enum forkbus_type type_public(enum event_type type)
{
	for (unsigned int i = 1; i < N(types); i++)
		if (types[i] == type)
			return i;
	return 0;
}

const char *forkbus_type_name(enum forkbus_type type)
{
	return event_type_name(type_internal(type));
}

enum forkbus_type forkbus_type_from_name(const char *name)
{
	return type_public(event_type_from_name(name));
}

const char *forkbus_field_name(enum forkbus_field field)
{
	unsigned int internal = field_internal(field);

	return internal < _EVENT_FIELD_MAX ? names[internal] : NULL;
}

enum forkbus_kind forkbus_field_kind(enum forkbus_field field)
{
	unsigned int internal = field_internal(field);

	if (internal == _EVENT_FIELD_MAX)
		return 0;
	switch ((enum event_kind)event_fields[internal].kind) {
	case EVENT_KIND_U32:
	case EVENT_KIND_U64:
		return FORKBUS_KIND_UINT;
	case EVENT_KIND_BOOL:
		return FORKBUS_KIND_BOOL;
	case EVENT_KIND_TEXT:
	case EVENT_KIND_PATH:
		return FORKBUS_KIND_TEXT;
	case EVENT_KIND_ARGS:
		return FORKBUS_KIND_STRINGS;
	}
	return 0;
}
