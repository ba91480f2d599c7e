// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/module/decode.h"

#include <linux/genetlink.h>
#include <string.h>

#include "base/clock.h"
#include "core/hub.h"

/* The two ways to number types. */
static const struct {
	uint32_t type;
	enum event_type event;
} types[] = {
	{ FORKBUS_TYPE_FORK, EVENT_FORK },     { FORKBUS_TYPE_EXEC, EVENT_EXEC },
	{ FORKBUS_TYPE_EXIT, EVENT_EXIT },     { FORKBUS_TYPE_ID, EVENT_ID },
	{ FORKBUS_TYPE_COMM, EVENT_COMM },     { FORKBUS_TYPE_SESSION, EVENT_SESSION },
	{ FORKBUS_TYPE_CHROOT, EVENT_CHROOT }, { FORKBUS_TYPE_COREDUMP, EVENT_COREDUMP },
	{ FORKBUS_TYPE_PTRACE, EVENT_PTRACE }, { FORKBUS_TYPE_THREADS, EVENT_NONE /* HUB_ARMED_THREADS */ },
};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

uint32_t module_mask(uint32_t armed)
{
	uint32_t mask = 0;

	for (size_t i = 0; i < N_TYPES; i++)
		if (armed & EVENT_TYPE_BIT(types[i].event))
			mask |= FORKBUS_MASK(types[i].type);
	return mask;
}

uint32_t module_armed(uint32_t mask)
{
	uint32_t armed = 0;

	for (size_t i = 0; i < N_TYPES; i++)
		if (mask & FORKBUS_MASK(types[i].type))
			armed |= EVENT_TYPE_BIT(types[i].event);
	return armed;
}

enum event_type module_event_type(uint32_t type)
{
	for (size_t i = 0; i < N_TYPES; i++)
		if (types[i].type == type)
			return types[i].event;
	return EVENT_NONE;
}

/* Attributes: like libmnl, but without a function call for each step */

static inline unsigned int attr_type(const struct nlattr *attr)
{
	return attr->nla_type & NLA_TYPE_MASK;
}

static inline const void *attr_data(const struct nlattr *attr)
{
	return (const char *)attr + NLA_HDRLEN;
}

static inline size_t attr_len(const struct nlattr *attr)
{
	return (size_t)attr->nla_len - NLA_HDRLEN;
}

/* The attribute after @attr within [@data, @data + @size), NULL: the first. Return: NULL if there is no complete one. */
static inline const struct nlattr *attr_next(const void *data, size_t size, const struct nlattr *attr)
{
	const char *at = attr ? (const char *)attr + NLA_ALIGN(attr->nla_len) : data;
	const char *end = (const char *)data + size;

	attr = (const void *)at;
	if (at >= end || (size_t)(end - at) < NLA_HDRLEN || attr->nla_len < NLA_HDRLEN ||
	    attr->nla_len > (size_t)(end - at))
		return NULL;
	return attr;
}

static bool get_u32(const struct nlattr *attr, uint32_t *value)
{
	if (attr_len(attr) != sizeof(*value))
		return false;
	memcpy(value, attr_data(attr), sizeof(*value));
	return true;
}

static bool get_u64(const struct nlattr *attr, uint64_t *value)
{
	if (attr_len(attr) != sizeof(*value))
		return false;
	memcpy(value, attr_data(attr), sizeof(*value));
	return true;
}

/* Limited, so that additions cannot overflow. */
static bool get_seq(const struct nlattr *attr, uint64_t *seq)
{
	uint64_t value;

	if (!get_u64(attr, &value) || value > INT64_MAX)
		return false;
	*seq = value;
	return true;
}

/* Up to its NUL. */
static struct event_text get_text(const struct nlattr *attr)
{
	const char *text = attr_data(attr);

	return (struct event_text){ text, strnlen(text, attr_len(attr)) };
}

/* Each argument ends with a NUL; the last one, too, if it is complete. */
static struct event_text get_args(const struct nlattr *attr)
{
	struct event_text args = { attr_data(attr), attr_len(attr) };

	if (args.len > 0 && args.data[args.len - 1] == '\0')
		args.len--;
	return args;
}

/* The kinds of attributes of a record. */
enum attribute_kind {
	ATTRIBUTE_UNKNOWN, /* of a newer module */
	ATTRIBUTE_RECORD,  /* belongs to the record, not to the event */
	ATTRIBUTE_U32,
	ATTRIBUTE_U64,
	ATTRIBUTE_USEC,	  /* u64 ns, in µs here */
	ATTRIBUTE_NUMBER, /* u32, u64 here */
	ATTRIBUTE_TEXT,
	ATTRIBUTE_ARGS,
	ATTRIBUTE_FLAG,
	ATTRIBUTE_STATUS,
};

#define TO(_kind, _member)                                                               \
	{                                                                                \
		ATTRIBUTE_##_kind, EVENT_F_##_member, offsetof(struct fb_event, _member) \
	}

/* In one table, since a record has two dozen of them. */
static const struct attribute {
	uint8_t kind;
	uint8_t field;	 /* its presence bit */
	uint16_t offset; /* in struct fb_event */
} attributes[FORKBUS_R_MAX + 1] = {
	/* begin generated: record attributes, from proto/event-fields.toml */
	[FORKBUS_R_SEQ] = { .kind = ATTRIBUTE_RECORD },
	[FORKBUS_R_TYPE] = { .kind = ATTRIBUTE_RECORD },
	[FORKBUS_R_TIME] = { .kind = ATTRIBUTE_RECORD },
	[FORKBUS_R_TGID] = TO(U32, pid),
	[FORKBUS_R_TID] = TO(U32, tid),
	[FORKBUS_R_START] = TO(USEC, start_usec),
	[FORKBUS_R_PARENT_TGID] = TO(U32, ppid),
	[FORKBUS_R_PARENT_START] = TO(USEC, parent_start_usec),
	[FORKBUS_R_UID] = TO(U32, uid),
	[FORKBUS_R_GID] = TO(U32, gid),
	[FORKBUS_R_EUID] = TO(U32, euid),
	[FORKBUS_R_EGID] = TO(U32, egid),
	[FORKBUS_R_LOGIN_UID] = TO(U32, login_uid),
	[FORKBUS_R_SESSION] = TO(U32, session),
	[FORKBUS_R_TTY] = { .kind = ATTRIBUTE_RECORD },
	[FORKBUS_R_CGROUP] = TO(U64, cgroup_id),
	[FORKBUS_R_COMM] = TO(TEXT, comm),
	[FORKBUS_R_PID_NS] = TO(NUMBER, pid_ns),
	[FORKBUS_R_NS_TGID] = TO(U32, ns_pid),
	[FORKBUS_R_CLONE_FLAGS] = TO(U64, clone_flags),
	[FORKBUS_R_EXE] = TO(TEXT, exe),
	[FORKBUS_R_FILENAME] = TO(TEXT, filename),
	[FORKBUS_R_FILENAME_CUT] = TO(FLAG, filename_cut),
	[FORKBUS_R_ARGV] = TO(ARGS, args),
	[FORKBUS_R_ARGV_CUT] = TO(FLAG, args_cut),
	[FORKBUS_R_STATUS] = { .kind = ATTRIBUTE_STATUS },
	[FORKBUS_R_USER_TIME] = TO(USEC, user_usec),
	[FORKBUS_R_SYSTEM_TIME] = TO(USEC, system_usec),
	[FORKBUS_R_MAX_RSS] = TO(U64, max_rss_kib),
	[FORKBUS_R_MINOR_FAULTS] = TO(U64, minor_faults),
	[FORKBUS_R_MAJOR_FAULTS] = TO(U64, major_faults),
	[FORKBUS_R_VOLUNTARY_SWITCHES] = TO(U64, voluntary_switches),
	[FORKBUS_R_INVOLUNTARY_SWITCHES] = TO(U64, involuntary_switches),
	[FORKBUS_R_READ_BYTES] = TO(U64, read_bytes),
	[FORKBUS_R_WRITE_BYTES] = TO(U64, write_bytes),
	[FORKBUS_R_READ_CHARS] = TO(U64, read_chars),
	[FORKBUS_R_WRITE_CHARS] = TO(U64, write_chars),
	[FORKBUS_R_OLD_UID] = TO(U32, old_uid),
	[FORKBUS_R_OLD_GID] = TO(U32, old_gid),
	[FORKBUS_R_OLD_EUID] = TO(U32, old_euid),
	[FORKBUS_R_OLD_EGID] = TO(U32, old_egid),
	[FORKBUS_R_ROOT] = TO(TEXT, root),
	[FORKBUS_R_TRACER] = TO(U32, tracer_pid),
	[FORKBUS_R_COUNT] = { .kind = ATTRIBUTE_RECORD },
	[FORKBUS_R_SINCE] = { .kind = ATTRIBUTE_RECORD },
	[FORKBUS_R_MASK] = { .kind = ATTRIBUTE_RECORD },
	[FORKBUS_R_PGID] = TO(U32, pgid),
	/* end generated: record attributes */
};

static void take_own(struct module_record *record, uint64_t *count, unsigned int type,
		     const struct nlattr *attr)
{
	switch (type) {
	case FORKBUS_R_SEQ:
		(void)get_seq(attr, &record->seq);
		break;
	case FORKBUS_R_TYPE:
		(void)get_u32(attr, &record->type);
		break;
	case FORKBUS_R_TIME:
		(void)get_u64(attr, &record->nsec);
		break;
	case FORKBUS_R_TTY:
		record->has_tty = get_u32(attr, &record->tty);
		break;
	case FORKBUS_R_COUNT:
		(void)get_u64(attr, count);
		break;
	case FORKBUS_R_SINCE:
		(void)get_u64(attr, &record->since_nsec);
		break;
	case FORKBUS_R_MASK:
		(void)get_u32(attr, &record->mask);
		break;
	default:
		break;
	}
}

/* Return: whether the event has it. */
static bool set_member(void *member, enum attribute_kind kind, const struct nlattr *attr)
{
	uint32_t u32;

	switch (kind) {
	case ATTRIBUTE_U32:
		return get_u32(attr, member);
	case ATTRIBUTE_U64:
		return get_u64(attr, member);
	case ATTRIBUTE_USEC:
		if (!get_u64(attr, member))
			return false;
		*(uint64_t *)member /= NSEC_PER_USEC;
		return true;
	case ATTRIBUTE_NUMBER:
		if (!get_u32(attr, &u32))
			return false;
		*(uint64_t *)member = u32;
		return true;
	case ATTRIBUTE_TEXT:
		*(struct event_text *)member = get_text(attr);
		return true;
	case ATTRIBUTE_ARGS:
		*(struct event_text *)member = get_args(attr);
		return true;
	case ATTRIBUTE_FLAG:
		*(bool *)member = true;
		return true;
	default:
		return false;
	}
}

static void take(struct module_record *record, uint64_t *count, const struct nlattr *attr)
{
	unsigned int type = attr_type(attr);
	const struct attribute *attribute = &attributes[type <= FORKBUS_R_MAX ? type : FORKBUS_R_UNSPEC];
	struct fb_event *event = &record->event;
	uint32_t status;

	if (attribute->kind == ATTRIBUTE_RECORD)
		take_own(record, count, type, attr);
	else if (attribute->kind == ATTRIBUTE_STATUS && get_u32(attr, &status))
		fb_event_set_status(event, status);
	else if (set_member((char *)event + attribute->offset, attribute->kind, attr))
		event->has |= FIELD_BIT(attribute->field);
}

/* Fields that the module leaves out because they follow from others. */
static int complete_event(struct module_record *record)
{
	struct fb_event *event = &record->event;

	event->type = module_event_type(record->type);
	if (event->type == EVENT_NONE)
		return MODULE_E_OTHER;
	if (!EVENT_HAS(event, pid) || !EVENT_HAS(event, start_usec))
		return MODULE_E_MALFORMED;
	EVENT_SET(event, boot_usec, record->nsec / NSEC_PER_USEC);
	EVENT_SET(event, kernel_seq, record->seq);
	/* The life of a thread is shorter than that of its process, and is not published. */
	if (event->type == EVENT_EXIT && !fb_event_is_thread(event) && event->boot_usec >= event->start_usec)
		EVENT_SET(event, elapsed_usec, event->boot_usec - event->start_usec);
	return 0;
}

int module_record_decode(struct module_record *record, const struct nlattr *nest)
{
	const struct nlattr *attr;
	uint64_t count = 0;

	memset(record, 0, offsetof(struct module_record, event));
	fb_event_init(&record->event, EVENT_NONE);
	record->type = UINT32_MAX;
	for (attr = attr_next(attr_data(nest), attr_len(nest), NULL); attr;
	     attr = attr_next(attr_data(nest), attr_len(nest), attr))
		take(record, &count, attr);
	record->first = record->seq;
	if (record->seq == 0 || record->type == UINT32_MAX || record->nsec == 0)
		return MODULE_E_MALFORMED;
	switch (record->type) {
	case FORKBUS_TYPE_LOST:
		if (count >= record->seq)
			return MODULE_E_MALFORMED;
		record->first = record->seq - count;
		return 0;
	case FORKBUS_TYPE_ARMED:
		return 0;
	default:
		return complete_event(record);
	}
}

/* Messages */

static bool is_command(const struct nlmsghdr *message, uint16_t family, uint8_t command)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(message);

	/* libmnl treats the padding at the end as part of the message; there is none after attributes. */
	return message->nlmsg_type == family && message->nlmsg_len >= MNL_NLMSG_HDRLEN + GENL_HDRLEN &&
	       message->nlmsg_len % NLMSG_ALIGNTO == 0 && genl->cmd == command;
}

static void take_lost(struct module_status *status, const struct nlattr *nest)
{
	const struct nlattr *attr;
	uint32_t type = UINT32_MAX;
	uint64_t count = 0;

	mnl_attr_for_each_nested(attr, nest) {
		if (attr_type(attr) == FORKBUS_L_TYPE)
			(void)get_u32(attr, &type);
		else if (attr_type(attr) == FORKBUS_L_COUNT)
			(void)get_u64(attr, &count);
	}
	if (type < __FORKBUS_TYPE_MAX)
		status->lost[type] = count;
}

static void take_status(struct module_status *status, const struct nlattr *attr)
{
	struct event_text text;

	switch (attr_type(attr)) {
	case FORKBUS_A_INSTANCE:
		(void)get_u64(attr, &status->instance);
		break;
	case FORKBUS_A_VERSION:
		text = get_text(attr);
		if (text.len >= sizeof(status->version))
			text.len = sizeof(status->version) - 1;
		memcpy(status->version, text.data, text.len);
		status->version[text.len] = '\0';
		break;
	case FORKBUS_A_SUPPORTED:
		(void)get_u32(attr, &status->supported);
		break;
	case FORKBUS_A_ARMED:
		(void)get_u32(attr, &status->armed);
		break;
	case FORKBUS_A_RING_SIZE:
		(void)get_u32(attr, &status->ring_size);
		break;
	case FORKBUS_A_RING_USED:
		(void)get_u32(attr, &status->ring_used);
		break;
	case FORKBUS_A_FIRST:
		(void)get_u64(attr, &status->first);
		break;
	case FORKBUS_A_LAST:
		(void)get_u64(attr, &status->last);
		break;
	case FORKBUS_A_SENT:
		(void)get_u64(attr, &status->sent);
		break;
	case FORKBUS_A_LOST:
		take_lost(status, attr);
		break;
	case FORKBUS_A_LISTENERS:
		(void)get_u32(attr, &status->listeners);
		break;
	case FORKBUS_A_GRACE:
		(void)get_u32(attr, &status->grace);
		break;
	default:
		break;
	}
}

int module_status_decode(struct module_status *status, const struct nlmsghdr *message, uint16_t family)
{
	const struct nlattr *attr;

	if (!is_command(message, family, FORKBUS_CMD_STATUS))
		return MODULE_E_OTHER;
	*status = (struct module_status){};
	mnl_attr_for_each(attr, message, GENL_HDRLEN)
		take_status(status, attr);
	return status->instance ? 0 : MODULE_E_MALFORMED;
}

int module_message_decode(struct module_message *decoded, const struct nlmsghdr *message, uint16_t family)
{
	const struct nlattr *attr;
	bool first = false, last = false;

	if (!is_command(message, family, FORKBUS_CMD_EVENTS) &&
	    !is_command(message, family, FORKBUS_CMD_REPLAY))
		return MODULE_E_OTHER;
	*decoded = (struct module_message){};
	mnl_attr_for_each(attr, message, GENL_HDRLEN) {
		if (attr_type(attr) == FORKBUS_A_INSTANCE)
			(void)get_u64(attr, &decoded->instance);
		else if (attr_type(attr) == FORKBUS_A_FIRST)
			first = get_seq(attr, &decoded->first);
		else if (attr_type(attr) == FORKBUS_A_LAST)
			last = get_seq(attr, &decoded->last);
	}
	decoded->has_range = first && last;
	return decoded->instance ? 0 : MODULE_E_MALFORMED;
}

const struct nlattr *module_record_next(const struct nlmsghdr *message, const struct nlattr *record)
{
	const struct nlattr *attr =
		record ? mnl_attr_next(record) : mnl_nlmsg_get_payload_offset(message, GENL_HDRLEN);
	const char *end = mnl_nlmsg_get_payload_tail(message);

	for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr))
		if (attr_type(attr) == FORKBUS_A_RECORD)
			return attr;
	return NULL;
}
