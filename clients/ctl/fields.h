/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Short names for fields of an event: HAS(event, PID), UINT(event, PID). A field that is absent is 0, false or an empty text.
 */

#include "clients/lib/forkbus.h"
#include "term.h"

#define HAS(_event, _field)  forkbus_event_has(_event, FORKBUS_FIELD_##_field)
#define UINT(_event, _field) field_uint(_event, FORKBUS_FIELD_##_field)
#define FLAG(_event, _field) field_flag(_event, FORKBUS_FIELD_##_field)

static inline uint64_t field_uint(const struct forkbus_event *event, enum forkbus_field field)
{
	uint64_t value = 0;

	(void)forkbus_event_get_uint(event, field, &value);
	return value;
}

static inline bool field_flag(const struct forkbus_event *event, enum forkbus_field field)
{
	bool value = false;

	(void)forkbus_event_get_bool(event, field, &value);
	return value;
}

static inline const char *field_text(const struct forkbus_event *event, enum forkbus_field field, size_t *len)
{
	const char *text = "";

	*len = 0;
	(void)forkbus_event_get_text(event, field, &text, len);
	return text;
}

/* Escaped; see term_escape(). */
static inline void field_write(const struct term *term, FILE *file, const struct forkbus_event *event,
			       enum forkbus_field field)
{
	size_t len;
	const char *text = field_text(event, field, &len);

	term_escape(term, file, text, len);
}

/* Is it an event of a thread other than the first one of its process? */
static inline bool is_thread(const struct forkbus_event *event)
{
	return HAS(event, TID) && UINT(event, TID) != UINT(event, PID);
}
