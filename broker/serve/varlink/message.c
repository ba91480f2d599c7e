// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/varlink/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "json-print.h"

/* Absent and null are the same, but not within a list. */
static void drop_nulls(json_t *value)
{
	const char *key;
	json_t *member;
	size_t i;
	void *next;

	if (json_is_object(value))
		json_object_foreach_safe(value, next, key, member) {
			if (json_is_null(member))
				json_object_del(value, key);
			else
				drop_nulls(member);
		}
	else
		json_array_foreach(value, i, member)
			drop_nulls(member);
}

/* All integers up to this one are exact. */
#define INTEGER_MAX 9007199254740992.0

static bool is_integer(const json_t *value)
{
	double number = json_real_value(value);

	return json_is_real(value) && number >= -INTEGER_MAX && number <= INTEGER_MAX &&
	       number == (double)(json_int_t)number;
}

static json_t *integer_of(const json_t *value)
{
	return json_integer((json_int_t)json_real_value(value));
}

/*
 * Integers that were read as real numbers become integers again if this is exact: a number that is too big stays real, and
 * is refused where an integer is expected.
 */
static int restore_integers(json_t *value)
{
	const char *key;
	json_t *member;
	size_t i;
	int r = 0;

	if (json_is_object(value))
		json_object_foreach(value, key, member)
			r |= is_integer(member) ? json_object_set_new(value, key, integer_of(member))
						: restore_integers(member);
	else
		json_array_foreach(value, i, member)
			r |= is_integer(member) ? json_array_set_new(value, i, integer_of(member))
						: restore_integers(member);
	return r;
}

/* Return: 0, VARLINK_E_MALFORMED or -ENOMEM. */
static int load(json_t **message, const char *data, size_t len)
{
	/* NULs are accepted here so that the error can name the parameter that has one. */
	size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
	json_error_t error = {};

	*message = json_loadb(data, len, flags, &error);
	if (*message)
		return 0;
	/* The error can also name a number that is too big. */
	if (json_error_code(&error) == json_error_numeric_overflow) {
		*message = json_loadb(data, len, flags | JSON_DECODE_INT_AS_REAL, &error);
		if (*message)
			return restore_integers(*message) ? -ENOMEM : 0;
	}
	/* When memory runs out, the parser does not report it. */
	return error.text[0] == '\0' || json_error_code(&error) == json_error_out_of_memory
		       ? -ENOMEM
		       : VARLINK_E_MALFORMED;
}

static int take_flag(bool *flag, json_t *message, const char *name)
{
	json_t *value = json_object_get(message, name);

	if (value && !json_is_boolean(value))
		return VARLINK_E_MALFORMED;
	*flag = json_is_true(value);
	return 0;
}

/* A name with a dot is an extension of a vendor, and is ignored. */
static int check_members(json_t *message)
{
	static const char *const known[] = { "method", "parameters", "oneway", "more", "upgrade" };
	const char *name;
	json_t *member;

	json_object_foreach(message, name, member) {
		bool fine = strchr(name, '.');

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			fine |= strcmp(name, known[i]) == 0;
		if (!fine)
			return VARLINK_E_MALFORMED;
	}
	return 0;
}

static int take_members(struct varlink_call *call, json_t *message)
{
	json_t *method = json_object_get(message, "method");

	if (take_flag(&call->oneway, message, "oneway") || take_flag(&call->more, message, "more") ||
	    take_flag(&call->upgrade, message, "upgrade") || call->oneway + call->more + call->upgrade > 1)
		return VARLINK_E_MALFORMED;
	call->method = json_string_value(method);
	if (!call->method || strlen(call->method) != json_string_length(method))
		return VARLINK_E_MALFORMED;
	call->parameters = json_object_get(message, "parameters");
	return !call->parameters || json_is_object(call->parameters) ? 0 : VARLINK_E_MALFORMED;
}

int varlink_call_parse(struct varlink_call *call, const char *data, size_t len)
{
	json_auto_t *message = NULL;
	int r;

	*call = (struct varlink_call){};
	r = load(&message, data, len);
	if (r == 0)
		r = json_is_object(message) ? check_members(message) : VARLINK_E_MALFORMED;
	if (r == 0) {
		drop_nulls(message);
		r = take_members(call, message);
	}
	if (r == 0 && !call->parameters) {
		call->parameters = json_object();
		r = json_object_set_new(message, "parameters", call->parameters) < 0 ? -ENOMEM : 0;
	}
	if (r != 0)
		return r;
	call->message = steal(message);
	return 0;
}

void varlink_call_done(struct varlink_call *call)
{
	json_decref(call->message);
	*call = (struct varlink_call){};
}

char *varlink_reply(const char *error, json_t *parameters, size_t *size)
{
	json_auto_t *message = json_object();
	char *text;
	int r = 0;

	if (error)
		r |= json_object_set_new(message, "error", json_string(error));
	if (parameters)
		r |= json_object_set_new(message, "parameters", parameters);
	if (!message || r)
		return NULL;
	text = json_print(message, JSON_COMPACT, size);
	/* A reply ends with its NUL. */
	++*size;
	return text;
}
