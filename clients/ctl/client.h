/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The broker's stream: one request goes there, lines come back.
 */

#include <stddef.h>

#include <jansson.h>

struct client;

enum {
	_CLIENT_E_SUCCESS,
	CLIENT_E_MORE, /* no whole line yet: client_fill() */
	CLIENT_E_END,  /* the broker closed the connection */
	CLIENT_E_NO_REFUSAL,
};

/* Longest line that is believed: far above what any event needs (EVENT_JSON_MAX), and bounded. */
#define CLIENT_LINE_MAX (4 * 1024 * 1024)

/*
 * client_connect() - connect to @runtime_dir/stream and send a request
 * Return: 0 or a negative errno: -ENOENT and -ECONNREFUSED where no broker runs.
 */
int client_connect(struct client **ret, const char *runtime_dir, const json_t *request);
struct client *client_free(struct client *client);

static inline void client_p(struct client **client)
{
	client_free(*client);
}

int client_fd(const struct client *client);

/*
 * client_line() - the next line that is here already
 * @line: without its newline, terminated, valid until the next call of anything here
 * Return: 0, CLIENT_E_MORE, or -EMSGSIZE where it is longer than CLIENT_LINE_MAX.
 */
int client_line(struct client *client, char **line, size_t *len);

/* client_fill() - read what is there, waiting if there is nothing. Return: 0, CLIENT_E_END, a negative errno. */
int client_fill(struct client *client);

/*
 * client_query() - ask a question that has one answer, and wait for it some seconds
 * @ret: the answer, an object, the caller's; it may be the broker's refusal
 * Return: 0 or a negative errno: -EBADMSG where it is no JSON object, -ENODATA where nothing came.
 */
int client_query(json_t **ret, const char *runtime_dir, const char *query);

/*
 * client_refusal() - is this the broker's {"error": …}?
 * @status: set to the exit status that it means: CTL_USAGE where another request would be taken
 * Return: the sentence to be shown, to be freed; NULL if it is none.
 */
char *client_refusal(const json_t *object, int *status);

/* client_explain() - say on standard error why client_connect() or client_query() failed */
void client_explain(const char *runtime_dir, int error);
