// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>

#include "serve/dbus/context.h"
#include "serve/dbus/dictionary.h"

struct reader {
	sd_bus_message *message;
	struct filter_error *error;
	const char *key; /* of the request that is being read */
	size_t left;	 /* the rest of its maximum size, counted as JSON */
};

/* All functions below return 0 or a negative errno; -EPROTO: the error is filled. */

static int refuse(struct reader *reader, const char *key, const char *what)
{
	filter_refuse(reader->error, key, "%s", what);
	return -EPROTO;
}

/* Each value counts two more bytes, so that a request that is long as a message is also long as a line of JSON. */
static int count(struct reader *reader, size_t size)
{
	if (size > reader->left)
		return refuse(reader, "", "The request is too long.");
	reader->left -= size;
	return 0;
}

static int leave(struct reader *reader)
{
	int r = sd_bus_message_exit_container(reader->message);

	return r < 0 ? r : 0;
}

static int read_value(struct reader *reader, json_t **ret);

/* Types that JSON has, too. */
static int read_basic(struct reader *reader, char type, json_t **ret)
{
	union {
		uint8_t y;
		int16_t n;
		uint16_t q;
		int32_t i;
		uint32_t u;
		int64_t x;
		uint64_t t;
		int b;
		const char *s;
	} value = {};
	int r;

	if (!strchr("ynqiuxtbsog", type))
		return refuse(reader, reader->key, "has a value of an unsupported type");
	r = sd_bus_message_read_basic(reader->message, type, &value);
	if (r < 0)
		return r;
	if (strchr("sog", type))
		r = count(reader, strlen(value.s));
	if (r < 0)
		return r;
	if (type == 't' && value.t > INT64_MAX)
		return refuse(reader, reader->key, "has a number above 2^63 - 1");
	*ret = strchr("sog", type) ? json_string(value.s)
	       : type == 'b'	   ? json_boolean(value.b)
	       : type == 'y'	   ? json_integer(value.y)
	       : type == 'n'	   ? json_integer(value.n)
	       : type == 'q'	   ? json_integer(value.q)
	       : type == 'i'	   ? json_integer(value.i)
	       : type == 'u'	   ? json_integer(value.u)
	       : type == 'x'	   ? json_integer(value.x)
				   : json_integer((json_int_t)value.t);
	return *ret ? 0 : -ENOMEM;
}

static int read_variant(struct reader *reader, const char *contents, json_t **ret)
{
	int r = sd_bus_message_enter_container(reader->message, 'v', contents);

	if (r >= 0)
		r = read_value(reader, ret);
	return r < 0 ? r : leave(reader);
}

static int read_array(struct reader *reader, const char *contents, json_t **ret)
{
	json_auto_t *array = json_array();
	int r;

	r = array ? sd_bus_message_enter_container(reader->message, 'a', contents) : -ENOMEM;
	while (r >= 0 && (r = sd_bus_message_at_end(reader->message, false)) == 0) {
		json_t *value = NULL;

		r = read_value(reader, &value);
		if (r == 0 && json_array_append_new(array, value) < 0)
			r = -ENOMEM;
	}
	if (r < 0)
		return r;
	*ret = json_incref(array);
	return leave(reader);
}

/* The content of one {sv}. */
static int read_member(struct reader *reader, json_t *object, bool is_request)
{
	const char *name = NULL;
	json_t *value = NULL;
	int r;

	r = sd_bus_message_read_basic(reader->message, 's', &name);
	if (r < 0)
		return r;
	if (is_request)
		reader->key = name;
	r = count(reader, strlen(name));
	if (r < 0)
		return r;
	if (json_object_get(object, name))
		return refuse(reader, name, "is given twice");
	r = read_value(reader, &value);
	if (r == 0 && json_object_set_new(object, name, value) < 0)
		r = -ENOMEM;
	return r;
}

static int read_object(struct reader *reader, bool is_request, json_t **ret)
{
	json_auto_t *object = json_object();
	int r;

	r = object ? sd_bus_message_enter_container(reader->message, 'a', "{sv}") : -ENOMEM;
	while (r >= 0 && (r = sd_bus_message_enter_container(reader->message, 'e', "sv")) > 0) {
		r = read_member(reader, object, is_request);
		if (r == 0)
			r = leave(reader);
	}
	if (r < 0)
		return r;
	*ret = json_incref(object);
	return leave(reader);
}

static int read_value(struct reader *reader, json_t **ret)
{
	const char *contents;
	char type;
	int r;

	r = count(reader, 2);
	if (r < 0)
		return r;
	r = sd_bus_message_peek_type(reader->message, &type, &contents);
	if (r <= 0)
		return r < 0 ? r : -EBADMSG;
	if (type == 'v')
		return read_variant(reader, contents, ret);
	if (type == 'a' && strcmp(contents, "{sv}") == 0)
		return read_object(reader, false, ret);
	if (type == 'a' && contents[0] != '{')
		return read_array(reader, contents, ret);
	return read_basic(reader, type, ret);
}

int dbus_read_request(sd_bus_message *message, size_t max, json_t **ret, struct filter_error *error)
{
	struct reader reader = { .message = message, .error = error, .key = "", .left = max };
	int r = read_object(&reader, true, ret);

	return r == -EPROTO ? FILTER_E_INVALID : r;
}

/* JSON to D-Bus */

static int append_value(sd_bus_message *message, json_t *value);

/* The signature of the value that append_value() appends. */
static const char *signature_of(json_t *value)
{
	json_t *first = json_array_get(value, 0), *member;
	size_t i;

	switch (json_typeof(value)) {
	case JSON_STRING:
		return "s";
	case JSON_INTEGER:
		return "t";
	case JSON_OBJECT:
		return "a{sv}";
	case JSON_ARRAY:
		/* Of true and false, which are two types to jansson, and of arrays, the elements are variants, too. */
		json_array_foreach(value, i, member)
			if (json_typeof(member) != json_typeof(first))
				return "av";
		return json_is_string(first)		 ? "as"
		       : json_is_integer(first)		 ? "at"
		       : !first || json_is_object(first) ? "aa{sv}"
							 : "av";
	default:
		return "b";
	}
}

static int append_variant(sd_bus_message *message, json_t *value)
{
	int r = sd_bus_message_open_container(message, 'v', signature_of(value));

	if (r >= 0)
		r = append_value(message, value);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_array(sd_bus_message *message, json_t *array)
{
	const char *contents = signature_of(array) + 1;
	int r = sd_bus_message_open_container(message, 'a', contents);
	json_t *member;
	size_t i;

	json_array_foreach(array, i, member)
		if (r >= 0)
			r = contents[0] == 'v' ? append_variant(message, member)
					       : append_value(message, member);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_value(sd_bus_message *message, json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		return sd_bus_message_append(message, "s", json_string_value(value));
	case JSON_INTEGER:
		return sd_bus_message_append(message, "t", (uint64_t)json_integer_value(value));
	case JSON_OBJECT:
		return dbus_append_object(message, value);
	case JSON_ARRAY:
		return append_array(message, value);
	default:
		return sd_bus_message_append(message, "b", json_is_true(value));
	}
}

int dbus_append_object(sd_bus_message *message, json_t *object)
{
	int r = sd_bus_message_open_container(message, 'a', "{sv}");
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		if (r >= 0)
			r = sd_bus_message_open_container(message, 'e', "sv");
		if (r >= 0)
			r = sd_bus_message_append(message, "s", name);
		if (r >= 0)
			r = append_variant(message, value);
		if (r >= 0)
			r = sd_bus_message_close_container(message);
	}
	return r < 0 ? r : sd_bus_message_close_container(message);
}

/* Refusals */

int dbus_refuse(sd_bus_message *call, int r, const struct filter_error *error)
{
	if (r == -ENOMEM)
		return sd_bus_reply_method_errorf(call, DBUS_ERROR("OutOfMemory"),
						  "The broker is out of memory.");
	if (r < 0)
		return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_INVALID_ARGS,
						  "The message cannot be read.");
	if (error->key[0] == '\0')
		return sd_bus_reply_method_errorf(call, DBUS_ERROR("InvalidFilter"), "%s", error->detail);
	/* In other requests it is an unknown key. */
	if (strcmp(error->key, "since") == 0 && sd_bus_message_is_method_call(call, NULL, "Subscribe") > 0)
		return sd_bus_reply_method_errorf(call, DBUS_ERROR("InvalidCursor"), "%s %s", error->key,
						  error->detail);
	return sd_bus_reply_method_errorf(call, DBUS_ERROR("InvalidFilter"), "%s %s", error->key,
					  error->detail);
}
