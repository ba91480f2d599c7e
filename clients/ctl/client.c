// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "client.h"
#include "ctl.h"
#include "filter-options.h"
#include "util.h"

#define ANSWER_TIMEOUT_SEC 10

struct client {
	int fd;
	char *data; /* [begin, end) is to be read; no newline before searched */
	size_t size, begin, searched, end;
};

static int connect_stream(const char *runtime_dir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_SEC };
	_cleanup_close_ int fd = -1;
	int len, owned;

	len = snprintf(address.sun_path, sizeof(address.sun_path), "%s/stream", runtime_dir);
	if (len < 0 || (size_t)len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Bounds connect(2) too, which waits while the broker's backlog is full. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	owned = fd;
	fd = -1;
	return owned;
}

static int send_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		/* A broker that refuses at sight may be gone before all is sent; its answer says why. */
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0;
		if (sent < 0)
			return -errno;
		data += sent;
		size -= (size_t)sent;
	}
	return 0;
}

int client_connect(struct client **ret, const char *runtime_dir, const json_t *request)
{
	_cleanup_free_ char *text = json_dumps(request, JSON_COMPACT);
	_cleanup_(client_p) struct client *client = calloc(1, sizeof(*client));
	int r;

	if (!client || !text)
		return -ENOMEM;
	client->fd = connect_stream(runtime_dir);
	if (client->fd < 0)
		return client->fd;
	r = send_all(client->fd, text, strlen(text));
	if (r == 0)
		r = send_all(client->fd, "\n", 1);
	if (r < 0)
		return r;
	*ret = client;
	client = NULL;
	return 0;
}

struct client *client_free(struct client *client)
{
	if (!client)
		return NULL;
	close_p(&client->fd);
	free(client->data);
	free(client);
	return NULL;
}

int client_fd(const struct client *client)
{
	return client->fd;
}

int client_line(struct client *client, char **line, size_t *len)
{
	char *newline = NULL;

	if (client->end > client->searched)
		newline = memchr(client->data + client->searched, '\n', client->end - client->searched);
	if (!newline) {
		client->searched = client->end;
		return client->end - client->begin > CLIENT_LINE_MAX ? -EMSGSIZE : CLIENT_E_MORE;
	}
	*newline = '\0';
	*line = client->data + client->begin;
	*len = (size_t)(newline - *line);
	client->begin = client->searched = (size_t)(newline + 1 - client->data);
	return 0;
}

int client_fill(struct client *client)
{
	ssize_t got;

	if (client->begin > 0) {
		memmove(client->data, client->data + client->begin, client->end - client->begin);
		client->end -= client->begin;
		client->searched -= client->begin;
		client->begin = 0;
	}
	if (client->end == client->size) {
		size_t size = client->size > 0 ? 2 * client->size : 64 * 1024;
		char *data = realloc(client->data, size);

		if (!data)
			return -ENOMEM;
		client->data = data;
		client->size = size;
	}
	got = recv(client->fd, client->data + client->end, client->size - client->end, 0);
	if (got < 0)
		return -errno;
	client->end += (size_t)got;
	return got > 0 ? 0 : CLIENT_E_END;
}

int client_query(json_t **ret, const char *runtime_dir, const char *query)
{
	const struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_SEC };
	_cleanup_(client_p) struct client *client = NULL;
	_cleanup_json_ json_t *request = json_pack("{ss}", "query", query);
	char *line;
	size_t len;
	int r;

	if (!request)
		return -ENOMEM;
	r = client_connect(&client, runtime_dir, request);
	if (r < 0)
		return r;
	setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	while ((r = client_line(client, &line, &len)) == CLIENT_E_MORE) {
		r = client_fill(client);
		if (r == -EINTR)
			continue;
		if (r == CLIENT_E_END || r == -ECONNRESET)
			return -ENODATA;
		if (r < 0)
			return r == -EAGAIN ? -ETIMEDOUT : r;
	}
	if (r < 0)
		return r;
	*ret = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
	if (json_is_object(*ret))
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return -EBADMSG;
}

char *client_refusal(const json_t *object, int *status)
{
	const char *error = json_string_value(json_object_get(object, "error"));
	const char *key = json_string_value(json_object_get(object, "key"));
	const char *detail = json_string_value(json_object_get(object, "detail"));
	const char *option = key ? filter_option_of_key(key) : NULL;
	char *sentence;

	if (!error || json_object_get(object, "type"))
		return NULL;
	*status = strcmp(error, "invalidRequest") == 0 || strcmp(error, "requestTooLong") == 0 ? CTL_USAGE
											       : CTL_FAILURE;
	if (asprintf(&sentence, "%s: %s",
		     option ? option
		     : key  ? key
			    : "refused by the broker",
		     detail ? detail : error) < 0)
		return NULL;
	return sentence;
}

void client_explain(const char *runtime_dir, int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		ctl_error("no broker runs at %s (%s); see forkbusd(8), or try: forkbusctl doctor",
			  runtime_dir, strerror(-error));
		break;
	case -ENODATA:
		ctl_error("the broker at %s closed the connection without an answer", runtime_dir);
		break;
	case -EBADMSG:
		ctl_error("what answers at %s/stream is no forkbus broker", runtime_dir);
		break;
	case -ETIMEDOUT:
	case -EAGAIN:
		ctl_error("the broker at %s did not answer within %d seconds", runtime_dir,
			  ANSWER_TIMEOUT_SEC);
		break;
	default:
		ctl_error("%s/stream: %s", runtime_dir, strerror(-error));
	}
}
