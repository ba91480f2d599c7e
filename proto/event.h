/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An event: something that happened to a process, or to what the broker can see of processes.
 *
 * One struct for all types. A field counts only where its presence bit is set in @has; what a source cannot know is absent.
 *
 * It is struct fb_event because libevent has a struct event of its own, and a pointer to the one would pass as the other.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum event_type {
	EVENT_NONE,
	EVENT_FORK,
	EVENT_EXEC,
	EVENT_EXIT,
	EVENT_ID,
	EVENT_COMM,
	EVENT_SESSION,
	EVENT_CHROOT,
	EVENT_COREDUMP,
	EVENT_PTRACE,
	EVENT_SOURCE,
	EVENT_LOST,
	/* made for one subscriber, never in the log */
	EVENT_PROCESS,
	EVENT_READY,
	EVENT_HEARTBEAT,
	/* add new ones here: logs keep the numbers */
	_EVENT_TYPE_MAX,
};

#define EVENT_TYPE_BIT(_type) (UINT32_C(1) << (_type))

/* Every subscriber gets these, with any filter. */
#define EVENT_TYPES_ALWAYS                                                                         \
	(EVENT_TYPE_BIT(EVENT_SOURCE) | EVENT_TYPE_BIT(EVENT_LOST) | EVENT_TYPE_BIT(EVENT_READY) | \
	 EVENT_TYPE_BIT(EVENT_HEARTBEAT))

/*
 * Bytes that belong to another object: the log, a netlink message, a constant. Not terminated, any bytes. Valid
 * as long as what they belong to; an event that is kept is packed first.
 */
struct event_text {
	const char *data;
	size_t len;
};

/* Longest text of the kinds PATH and ARGS (the kernel's own limit) and TEXT, in bytes. Longer ones are cut when packed. */
#define EVENT_PATH_MAX 4096
#define EVENT_TEXT_MAX 255

#define EVENT_C_U32  uint32_t
#define EVENT_C_U64  uint64_t
#define EVENT_C_BOOL bool
#define EVENT_C_TEXT struct event_text
#define EVENT_C_PATH struct event_text
#define EVENT_C_ARGS struct event_text

/* A set of fields: bit EVENT_F_member stands for the member. Of more than 64 bits, since fields are only ever added. */
__extension__ typedef unsigned __int128 field_set;

#define FIELD_BIT(_number) ((field_set)1 << (_number))
#define FIELDS_NONE	   ((field_set)0)
#define FIELDS_ALL	   (~FIELDS_NONE)

/* Both words of a set as one. */
#define FIELDS_WORDS(_high, _low) ((field_set)(_high) << 64 | (_low))

struct fb_event {
	field_set has; /* the fields that are there */
	enum event_type type;
#define F(_member, _kind, _group, _key, _privacy) EVENT_C_##_kind _member;
#include "event-fields.h"
#undef F
};

/* Positions of the presence bits, named after the members: the numbers of the table, from 0 on. */
enum event_field {
#define F(_member, _kind, _group, _key, _privacy) EVENT_F_##_member,
#include "event-fields.h"
#undef F
	_EVENT_FIELD_MAX,
};

/* Bits of a set. */
#define EVENT_FIELDS_MAX 128

_Static_assert(_EVENT_FIELD_MAX <= EVENT_FIELDS_MAX, "a set has a bit for each field");

enum event_kind {
	EVENT_KIND_U32,
	EVENT_KIND_U64,
	EVENT_KIND_BOOL,
	EVENT_KIND_TEXT,
	EVENT_KIND_PATH,
	EVENT_KIND_ARGS
};
#define EVENT_KINDS (EVENT_KIND_ARGS + 1)

/* Why fields are withheld from a user who does not see all; the private column of the table (core/privacy.h). */
enum privacy {
	PRIVACY_NONE = 0,
	PRIVACY_PROGRAM = 1 << 0, /* the process runs a privileged program */
	PRIVACY_USAGE = 1 << 1,	  /* it has run one since its fork: counters include what that program did */
	PRIVACY_ALL = PRIVACY_PROGRAM | PRIVACY_USAGE,
};

enum event_group {
	EVENT_GROUP_TOP,
	EVENT_GROUP_STATUS,
	EVENT_GROUP_USAGE,
	EVENT_GROUP_OLD,
	EVENT_GROUP_NONE
};

/* What the table says of a field. */
struct event_field_info {
	uint16_t offset; /* in struct fb_event */
	uint8_t kind;	 /* enum event_kind */
	uint8_t group;	 /* enum event_group */
	const char *key; /* in JSON; NULL in group NONE */
};

/* Of the first _EVENT_FIELD_MAX; there is room for a set of any. */
extern const struct event_field_info event_fields[EVENT_FIELDS_MAX];

/* The name of a type, in a block of fixed size, to be copied as one. */
struct event_type_info {
	char name[15];
	uint8_t len;
};

extern const struct event_type_info event_types[_EVENT_TYPE_MAX];

#define EVENT_BIT(_member)	   FIELD_BIT(EVENT_F_##_member)
#define EVENT_HAS(_event, _member) (((_event)->has & EVENT_BIT(_member)) != 0)
#define EVENT_SET(_event, _member, _value)           \
	do {                                         \
		(_event)->_member = (_value);        \
		(_event)->has |= EVENT_BIT(_member); \
	} while (0)
#define EVENT_CLEAR(_event, _member) ((_event)->has &= ~EVENT_BIT(_member))

/* The lowest field of a set that is not empty. */
static inline unsigned int fields_first(field_set fields)
{
	uint64_t low = (uint64_t)fields;

	return (unsigned int)(low ? __builtin_ctzll(low) : 64 + __builtin_ctzll((uint64_t)(fields >> 64)));
}

/* The fields of a set, lowest first; eats @_fields. */
#define EVENT_FIELD_FOREACH(_field, _fields)                                           \
	for (unsigned int _field; (_fields) && (_field = fields_first(_fields), true); \
	     (_fields) &= (_fields)-1)

static inline struct event_text event_text(const char *string)
{
	return (struct event_text){ string, string ? strlen(string) : 0 };
}

static inline bool event_text_equal(struct event_text a, struct event_text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* One clock tick of /proc/PID/stat: starts of a pid that are no further apart are the same process, from any source. */
#define EVENT_START_SLACK_USEC 10000

static inline bool event_same_start(uint64_t a, uint64_t b)
{
	return (a > b ? a - b : b - a) <= EVENT_START_SLACK_USEC;
}

/*
 * Does @start mean the process that a subscriber names by @named? One of them may come from /proc, where starts are multiples of
 * a tick. Others are exact, and published as such: a pid can be used again within a tick.
 */
static inline bool event_start_means(uint64_t start, uint64_t named)
{
	if (start % EVENT_START_SLACK_USEC != 0 && named % EVENT_START_SLACK_USEC != 0)
		return start == named;
	return event_same_start(start, named);
}

/* An event of a type with no fields. */
static inline void fb_event_init(struct fb_event *event, enum event_type type)
{
	event->has = 0;
	event->type = type;
}

/* fb_event_copy_fields() - those of @fields that @from has; texts stay where they are */
void fb_event_copy_fields(struct fb_event *to, const struct fb_event *from, field_set fields);

/* The name on the wire ("fork"), or NULL outside the enum. */
const char *event_type_name(enum event_type type);
/* The type of a name, or EVENT_NONE. */
enum event_type event_type_from_name(const char *name);

/* Of a thread other than the leader: only for subscribers that requested threads. */
static inline bool fb_event_is_thread(const struct fb_event *event)
{
	return EVENT_HAS(event, tid) && event->tid != event->pid;
}

/* Same type, same fields, same values. */
bool fb_event_equal(const struct fb_event *a, const struct fb_event *b);

/*
 * fb_event_set_status() - fill the status of an exit from a wait status (as waitpid(2) gives it)
 */
void fb_event_set_status(struct fb_event *event, uint32_t wait_status);

/*
 * The packed form, as the log keeps it: 8 bytes of presence bits, 1 of type, then the fields that are there by number,
 * integers in the machine's byte order without padding, a text as 2 bytes of length and its bytes. Where the type has the bit
 * EVENT_PACKED_WIDE, 8 bytes more of presence bits follow it.
 */
#define EVENT_PACKED_WIDE 0x80u

/* No packed event is longer: every field there, all texts at their limits. */
#define EVENT_PACKED_FIXED 9
#define EVENT_PACKED_HEAD  (EVENT_PACKED_FIXED + 8)
#define EVENT_SIZE_U32	   4
#define EVENT_SIZE_U64	   8
#define EVENT_SIZE_BOOL	   1
#define EVENT_SIZE_TEXT	   (2 + EVENT_TEXT_MAX)
#define EVENT_SIZE_PATH	   (2 + EVENT_PATH_MAX)
#define EVENT_SIZE_ARGS	   EVENT_SIZE_PATH
enum {
	EVENT_PACKED_MAX = (_EVENT_FIELD_MAX > 64 ? EVENT_PACKED_HEAD : EVENT_PACKED_FIXED)
#define F(_member, _kind, _group, _key, _privacy) +EVENT_SIZE_##_kind
#include "event-fields.h"
#undef F
};

/*
 * fb_event_pack() - write the packed form to @data, which has room for EVENT_PACKED_MAX bytes
 * Texts over their limit are cut. Return: its length.
 */
size_t fb_event_pack(const struct fb_event *event, void *data);

/*
 * fb_event_unpack() - read a packed form; texts point into @data
 * Trusts nothing: @data may be any bytes; it reads at most @size of them.
 * Return: 0, or -EBADMSG where it is not a whole packed event and nothing else.
 */
int fb_event_unpack(struct fb_event *event, const void *data, size_t size);

/*
 * fb_event_unpack_newer() - the same of an event that may have fields that are not known here
 * @kinds: the kind of each field, one more than of enum event_kind; 0: there is no such field
 * It skips them.
 */
int fb_event_unpack_newer(struct fb_event *event, const void *data, size_t size,
			  const uint8_t kinds[static EVENT_FIELDS_MAX]);

/*
 * event_field_word() - what a log says of a field, in 56 bits: a hash of its name, and in the lowest byte one more than its kind
 * It differs where a number was given to another field.
 */
uint64_t event_field_word(unsigned int field);
