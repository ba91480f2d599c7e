/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Public numbers and those of proto/event.h. Both stay: a field's public number is one more than that of its presence bit, and
 * there is none where JSON has not got the field. Types are numbered in two ways.
 */

#include "event.h"
#include "public.h"

/* Return: of enum event_field; _EVENT_FIELD_MAX for a number that is none. */
unsigned int field_internal(enum forkbus_field field);

/* Return: EVENT_NONE for a number that is none. */
enum event_type type_internal(enum forkbus_type type);
enum forkbus_type type_public(enum event_type type);
