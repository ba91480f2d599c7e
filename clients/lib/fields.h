/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Public numbers of fields and types, which stay, and those of the list in proto/, which do not. */

#include "event.h"
#include "public.h"

/* Return: of enum event_field; _EVENT_FIELD_MAX for a number that is none. */
unsigned int field_internal(enum forkbus_field field);

/* Return: EVENT_NONE for a number that is none. */
enum event_type type_internal(enum forkbus_type type);
enum forkbus_type type_public(enum event_type type);
