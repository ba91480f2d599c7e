// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The methods of org.varlink.service and org.forkbus1.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "event-json.h"
#include "serve/varlink/idl.h"
#include "serve/varlink/link.h"
#include "serve/varlink/message.h"

#define SERVICE "org.varlink.service."
#define FORKBUS "org.forkbus1."

/* The documentation is installed on the machine. */
#define PROJECT_URL "man:forkbusd(8)"

static const struct face_context *context_of(const struct link *link)
{
	return &link->connection.all->context;
}

/* Refusals */

static void refuse_parameter(struct link *link, const char *name)
{
	link_fail_with(link, SERVICE "InvalidParameter", json_pack("{s:s}", "parameter", name));
}

/* Reports an error of filter_parse(). */
static void refuse_filter(struct link *link, int r, const struct filter_error *error)
{
	if (r < 0)
		link_fail(link, FORKBUS "OutOfMemory");
	else if (error->key[0] == '\0')
		link_fail_with(link, FORKBUS "InvalidFilter", json_pack("{s:s}", "reason", error->detail));
	else
		link_fail_with(link, FORKBUS "InvalidFilter",
			       json_pack("{s:s, s:s}", "key", error->key, "reason", error->detail));
}

/* Reports an error of request_parse_since(). */
static void refuse_cursor(struct link *link, const struct filter_error *error)
{
	link_fail_with(link, FORKBUS "InvalidCursor", json_pack("{s:s}", "reason", error->detail));
}

/* Parameters */

struct parameter {
	const char *name;
	json_type type; /* JSON_TRUE: a bool */
	bool required;
};

static bool has_type(const json_t *value, json_type type)
{
	return type == JSON_TRUE ? json_is_boolean(value) : json_typeof(value) == type;
}

static const struct parameter *find_parameter(const struct parameter *parameters, const char *name)
{
	for (; parameters->name; parameters++)
		if (strcmp(parameters->name, name) == 0)
			return parameters;
	return NULL;
}

/* Return: whether the parameters are valid for the method; otherwise the call was refused. */
static bool check_parameters(struct link *link, const struct parameter *known, json_t *given)
{
	const struct parameter *parameter;
	const char *name;
	json_t *value;

	json_object_foreach(given, name, value) {
		parameter = find_parameter(known, name);
		if (!parameter || !has_type(value, parameter->type)) {
			refuse_parameter(link, name);
			return false;
		}
	}
	for (parameter = known; parameter->name; parameter++)
		if (parameter->required && !json_object_get(given, parameter->name)) {
			refuse_parameter(link, parameter->name);
			return false;
		}
	return true;
}

/* org.varlink.service */

static void get_info(struct link *link, const struct varlink_call *call)
{
	json_auto_t *names = json_array();
	int r = 0;

	(void)call;
	for (size_t i = 0; i < varlink_n_interfaces; i++)
		r |= json_array_append_new(names, json_string(varlink_interfaces[i].name));
	link_reply(link,
		   r ? NULL
		     : json_pack("{s:s, s:s, s:s, s:s, s:O}", "vendor", "forkbus", "product", "forkbusd",
				 "version", FORKBUS_VERSION, "url", PROJECT_URL, "interfaces", names));
}

static const struct parameter description_parameters[] = { { "interface", JSON_STRING, true }, {} };

static void get_description(struct link *link, const struct varlink_call *call)
{
	json_t *interface = json_object_get(call->parameters, "interface");

	for (size_t i = 0; i < varlink_n_interfaces; i++)
		if (json_string_length(interface) == strlen(varlink_interfaces[i].name) &&
		    strcmp(json_string_value(interface), varlink_interfaces[i].name) == 0) {
			link_reply(link,
				   json_pack("{s:s}", "description", varlink_interfaces[i].description));
			return;
		}
	link_fail_with(link, SERVICE "InterfaceNotFound", json_pack("{s:O}", "interface", interface));
}

/* org.forkbus1 */

/* The part of a request that the two methods share. Return: whether it is valid; otherwise the call was refused. */
static bool take_filter(struct link *link, const struct varlink_call *call, struct request *request)
{
	json_auto_t *empty = json_object();
	json_t *filter = json_object_get(call->parameters, "filter");
	struct filter_error error = {};
	int r;

	r = empty ? filter_parse(&request->filter, filter ? filter : empty, &error) : -ENOMEM;
	if (r != 0)
		refuse_filter(link, r, &error);
	return r == 0;
}

static void begin(struct link *link, enum link_state state, struct request *request)
{
	struct filter_error error = {};
	int r = link_begin(link, state, request, &error);

	if (r > 0 && strcmp(error.key, "since") == 0)
		refuse_cursor(link, &error);
	else if (r != 0)
		refuse_filter(link, r, &error);
}

static const struct parameter subscribe_parameters[] = {
	{ "filter", JSON_OBJECT, false },
	{ "snapshot", JSON_TRUE, false },
	{ "since", JSON_STRING, false },
	{ "complete", JSON_TRUE, false },
	{},
};

/* Refuses the call if "complete" is set and the log no longer has all requested events. */
static bool refuse_gap(struct link *link, const struct varlink_call *call)
{
	const struct log *log = hub_log(context_of(link)->hub);
	char first[CURSOR_TEXT_MAX];

	if (!json_is_true(json_object_get(call->parameters, "complete")) ||
	    !link->connection.cursor.gap_reason)
		return false;
	link_end(link);
	cursor_print(first, log_epoch(log), log_first(log) - 1);
	link_fail_with(link, FORKBUS "CursorExpired", json_pack("{s:s}", "first", first));
	return true;
}

static void subscribe(struct link *link, const struct varlink_call *call)
{
	json_t *since = json_object_get(call->parameters, "since");
	struct request request = { .snapshot = json_is_true(json_object_get(call->parameters, "snapshot")) };
	struct filter_error error = {};

	if (!call->more) {
		link_fail(link, SERVICE "ExpectedMore");
		return;
	}
	if (since && request_parse_since(&request, since, &error) != 0) {
		refuse_cursor(link, &error);
		return;
	}
	if (!take_filter(link, call, &request))
		return;
	begin(link, LINK_EVENTS, &request);
	if (link->state == LINK_EVENTS)
		(void)refuse_gap(link, call);
	request_done(&request);
}

static const struct parameter list_parameters[] = { { "filter", JSON_OBJECT, false }, {} };

static void list_processes(struct link *link, const struct varlink_call *call)
{
	struct request request = { .snapshot = true };

	/* The reply is made in pieces, which would not be sent for a oneway call. */
	if (call->oneway || !take_filter(link, call, &request))
		return;
	begin(link, LINK_LIST, &request);
	request_done(&request);
}

static const struct parameter process_parameters[] = {
	{ "pid", JSON_INTEGER, true },
	{ "startUsec", JSON_INTEGER, false },
	{},
};

static void get_process(struct link *link, const struct varlink_call *call)
{
	static char text[EVENT_JSON_MAX + 1];
	json_int_t pid = json_integer_value(json_object_get(call->parameters, "pid"));
	json_t *start = json_object_get(call->parameters, "startUsec");
	struct fb_event event;
	field_set fields = 0;
	char *reply = NULL;

	if (pid > 0 && pid <= INT32_MAX)
		fields = hub_find_process(context_of(link)->hub, (uint32_t)pid,
					  access_of(&link->connection.peer), &event);
	if (fields && start &&
	    !(EVENT_HAS(&event, start_usec) &&
	      event_start_means(event.start_usec, (uint64_t)json_integer_value(start))))
		fields = 0;
	/* A caller that may not see the process must not learn that it exists. */
	if (fields == 0) {
		link_fail(link, FORKBUS "NoSuchProcess");
		return;
	}
	text[event_json_encode(&event, fields, text)] = '\0';
	if (asprintf(&reply, "{\"process\":%s}", text) < 0)
		reply = NULL;
	link_reply_text(link, reply);
}

static void get_status(struct link *link, const struct varlink_call *call)
{
	const struct face_context *context = context_of(link);

	(void)call;
	link_reply_text(link, context->status(context->userdata, access_of(&link->connection.peer).all));
}

static void open_ring(struct link *link, const struct varlink_call *call)
{
	int fd;

	if (!access_of(&link->connection.peer).all) {
		link_fail(link, SERVICE "PermissionDenied");
		return;
	}
	if (call->oneway)
		return;
	fd = log_share(hub_log(context_of(link)->hub));
	if (fd < 0) {
		link_fail(link, FORKBUS "OutOfMemory");
		return;
	}
	link->out_fd = fd;
	link_reply(link, json_pack("{s:i}", "ring", 0));
}

static const struct parameter no_parameters[] = { {} };

static const struct method {
	const char *name;
	const struct parameter *parameters;
	void (*call)(struct link *link, const struct varlink_call *call);
} methods[] = {
	{ SERVICE "GetInfo", no_parameters, get_info },
	{ SERVICE "GetInterfaceDescription", description_parameters, get_description },
	{ FORKBUS "Subscribe", subscribe_parameters, subscribe },
	{ FORKBUS "ListProcesses", list_parameters, list_processes },
	{ FORKBUS "GetProcess", process_parameters, get_process },
	{ FORKBUS "GetStatus", no_parameters, get_status },
	{ FORKBUS "OpenRing", no_parameters, open_ring },
};

static void refuse_method(struct link *link, const char *method)
{
	const char *dot = strrchr(method, '.');
	size_t len = dot ? (size_t)(dot - method) : strlen(method);

	for (size_t i = 0; i < varlink_n_interfaces; i++)
		if (strlen(varlink_interfaces[i].name) == len &&
		    memcmp(varlink_interfaces[i].name, method, len) == 0) {
			link_fail_with(link, SERVICE "MethodNotFound", json_pack("{s:s}", "method", method));
			return;
		}
	link_fail_with(link, SERVICE "InterfaceNotFound", json_pack("{s:s%}", "interface", method, len));
}

void varlink_dispatch(struct link *link, const struct varlink_call *call)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(methods[i].name, call->method) != 0)
			continue;
		/* After a reply without an error, the connection would change to another protocol. */
		if (call->upgrade)
			link_fail_with(link, SERVICE "MethodNotImplemented",
				       json_pack("{s:s}", "method", call->method));
		else if (check_parameters(link, methods[i].parameters, call->parameters))
			methods[i].call(link, call);
		return;
	}
	refuse_method(link, call->method);
}
