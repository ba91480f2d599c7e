/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Events as JSON, the one schema of every face. One event is one object on one line, keys in the order of the field table:
 *
 *   {"seq":7,"type":"exit","timeUsec":…,"pid":4711,…,"status":{"code":0},"usage":{"userUsec":0,…}}
 *
 * Strings are valid UTF-8: each byte that is part of no valid sequence becomes U+FFFD, written as the escape \ufffd, and the
 * raw bytes then follow as base64 under the key with "Raw" appended ("comm":"caf\ufffd","commRaw":"Y2Fm6Q=="). Control
 * characters below 0x20, NUL among them, are escaped; all other valid UTF-8 stands as it is. A list of texts is an array of
 * strings, its raw form that of all of them with a NUL between one and the next.
 */

#include "event.h"

/* The longest encoding: every field there, every text at its limit, every byte of it escaped, its raw form beside it. */
#define EVENT_JSON_OF_TEXT(_max) (6 * (_max) + 4 * (((_max) + 2) / 3) + 64)
#define EVENT_JSON_OF_U32	 64
#define EVENT_JSON_OF_U64	 64
#define EVENT_JSON_OF_BOOL	 64
#define EVENT_JSON_KIND_U32	 EVENT_JSON_OF_U32
#define EVENT_JSON_KIND_U64	 EVENT_JSON_OF_U64
#define EVENT_JSON_KIND_BOOL	 EVENT_JSON_OF_BOOL
#define EVENT_JSON_KIND_TEXT	 EVENT_JSON_OF_TEXT(EVENT_TEXT_MAX)
#define EVENT_JSON_KIND_PATH	 EVENT_JSON_OF_TEXT(EVENT_PATH_MAX)
#define EVENT_JSON_KIND_ARGS	 EVENT_JSON_OF_TEXT(EVENT_PATH_MAX)
enum {
	EVENT_JSON_MAX = 256
#define F(_member, _kind, _group, _key, _privacy) +EVENT_JSON_KIND_##_kind
#include "event-fields.h"
#undef F
};

/*
 * event_json_encode() - write the object to @buf, which has room for EVENT_JSON_MAX bytes
 * @event: of a known type
 * @mask: fields outside of it are left out, as if the event did not have them; ~0 for all
 * Allocates nothing; no newline, no NUL. Texts are cut at the limit of their kind, at the same byte as in the packed form
 * (so one that is cut within a character has a raw form). A group without fields is left out.
 * Return: the length.
 */
size_t event_json_encode(const struct fb_event *event, field_set mask, char *buf);

/* Where event_json_decode() puts texts. */
struct event_store {
	char data[EVENT_PACKED_MAX];
};

/*
 * event_json_decode() - read one object
 * The inverse: where <key>Raw is there, it is the value. Unknown keys are ignored. Texts point into @store.
 * Return: 0; -EBADMSG where the line is not one JSON object, has a key twice, has no known type, or a known key has a value
 * of the wrong kind or out of its range (a text over its limit, a raw form that is no base64, an empty list); -ENOMEM.
 */
int event_json_decode(struct fb_event *event, struct event_store *store, const char *line, size_t len);

/*
 * event_json_decode_object() - the same of an object (a json_t) that was read already, with others or within another one
 * Readers refuse duplicate keys. Return: 0 or -EBADMSG.
 */
struct json_t;
int event_json_decode_object(struct fb_event *event, struct event_store *store, struct json_t *object);

/*
 * A position in the log, as the field "cursor" and the replies have it: "EPOCH:SEQ", which is after the event SEQ. The
 * longest one, with its NUL: 16 hexadecimal digits, a colon, 20 digits.
 */
#define CURSOR_TEXT_MAX 38

/* cursor_print() - write "EPOCH:SEQ" to @buf. Return: @buf. */
char *cursor_print(char buf[static CURSOR_TEXT_MAX], uint64_t epoch, uint64_t seq);

/* cursor_parse() - Return: 0, or -EINVAL where it is not exactly what cursor_print() writes. */
int cursor_parse(const char *text, uint64_t *epoch, uint64_t *seq);
