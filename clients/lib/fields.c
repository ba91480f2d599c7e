// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "fields.h"

static const uint8_t fields[] = {
#define FIELD(_public, _member) [FORKBUS_FIELD_##_public] = EVENT_F_##_member + 1
	FIELD(SEQ, seq),
	FIELD(TIME_USEC, time_usec),
	FIELD(BOOT_USEC, boot_usec),
	FIELD(PID, pid),
	FIELD(TID, tid),
	FIELD(START_USEC, start_usec),
	FIELD(PPID, ppid),
	FIELD(PARENT_START_USEC, parent_start_usec),
	FIELD(UID, uid),
	FIELD(GID, gid),
	FIELD(EUID, euid),
	FIELD(EGID, egid),
	FIELD(LOGIN_UID, login_uid),
	FIELD(SESSION, session),
	FIELD(TTY, tty),
	FIELD(COMM, comm),
	FIELD(CGROUP, cgroup),
	FIELD(CGROUP_ID, cgroup_id),
	FIELD(UNIT, unit),
	FIELD(NS_PID, ns_pid),
	FIELD(PID_NS, pid_ns),
	FIELD(CLONE_FLAGS, clone_flags),
	FIELD(EXE, exe),
	FIELD(FILENAME, filename),
	FIELD(FILENAME_CUT, filename_cut),
	FIELD(ARGS, args),
	FIELD(ARGS_CUT, args_cut),
	FIELD(CODE, code),
	FIELD(SIGNAL, signal),
	FIELD(CORE_DUMPED, core_dumped),
	FIELD(USER_USEC, user_usec),
	FIELD(SYSTEM_USEC, system_usec),
	FIELD(ELAPSED_USEC, elapsed_usec),
	FIELD(MAX_RSS_KIB, max_rss_kib),
	FIELD(MINOR_FAULTS, minor_faults),
	FIELD(MAJOR_FAULTS, major_faults),
	FIELD(VOLUNTARY_SWITCHES, voluntary_switches),
	FIELD(INVOLUNTARY_SWITCHES, involuntary_switches),
	FIELD(READ_BYTES, read_bytes),
	FIELD(WRITE_BYTES, write_bytes),
	FIELD(READ_CHARS, read_chars),
	FIELD(WRITE_CHARS, write_chars),
	FIELD(OLD_UID, old_uid),
	FIELD(OLD_GID, old_gid),
	FIELD(OLD_EUID, old_euid),
	FIELD(OLD_EGID, old_egid),
	FIELD(ROOT, root),
	FIELD(TRACER_PID, tracer_pid),
	FIELD(SOURCE, source),
	FIELD(ARMED, armed),
	FIELD(REASON, reason),
	FIELD(DETAIL, detail),
	FIELD(COUNT, count),
	FIELD(SINCE_USEC, since_usec),
	FIELD(UNTIL_USEC, until_usec),
	FIELD(FROM, from),
	FIELD(TO, to),
	FIELD(CURSOR, cursor),
#undef FIELD
};

/* Dotted where JSON has an object within. */
static const char *const names[_EVENT_FIELD_MAX] = {
#define NAME_TOP(_key)			_key
#define NAME_STATUS(_key)		"status." _key
#define NAME_USAGE(_key)		"usage." _key
#define NAME_OLD(_key)			"old." _key
#define NAME_NONE(_key)			NULL
#define F(_member, _kind, _group, _key) [EVENT_F_##_member] = NAME_##_group(_key),
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
	if ((unsigned int)field >= N(fields) || fields[field] == 0)
		return _EVENT_FIELD_MAX;
	return fields[field] - 1u;
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
