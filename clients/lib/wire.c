// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "event-json.h"
#include "json-print.h"
#include "wire.h"

#define FDS_MAX	 4
#define SIZE_MIN (64 * 1024)

/* A larger buffer, for long events or messages with many of them, is freed once it is empty. */
#define SIZE_KEPT (1024 * 1024)

struct wire {
	int fd;
	char *out; /* [sent, out_size) is still to be sent */
	size_t sent, out_size;
	char *in; /* [begin, end) is not parsed yet; it has no NUL before searched */
	size_t size, begin, searched, end;
	size_t message_max;
	int fds[FDS_MAX];
	size_t n_fds;
};

/* --- the connection ----------------------------------------------------------------------------------------------- */

int wire_new(struct wire **ret, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct wire *wire;
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	wire = calloc(1, sizeof(*wire));
	if (!wire)
		return -ENOMEM;
	wire->message_max = WIRE_MESSAGE_MAX;
	wire->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (wire->fd < 0 || connect(wire->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		r = -errno;
		wire_free(wire);
		return r;
	}
	*ret = wire;
	return 0;
}

static void fds_close(struct wire *wire)
{
	for (size_t i = 0; i < wire->n_fds; i++)
		if (wire->fds[i] >= 0)
			close(wire->fds[i]);
	wire->n_fds = 0;
}

struct wire *wire_free(struct wire *wire)
{
	if (wire) {
		fds_close(wire);
		if (wire->fd >= 0)
			close(wire->fd);
		free(wire->out);
		free(wire->in);
		free(wire);
	}
	return NULL;
}

int wire_fd(const struct wire *wire)
{
	return wire->fd;
}

short wire_events(const struct wire *wire)
{
	return wire->sent < wire->out_size ? POLLIN | POLLOUT : POLLIN;
}

static void flush(struct wire *wire)
{
	while (wire->sent < wire->out_size) {
		ssize_t n = send(wire->fd, wire->out + wire->sent, wire->out_size - wire->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		/* A broker that refuses the connection does not read the call, but its reply may still arrive. */
		if (n < 0)
			break;
		wire->sent += (size_t)n;
	}
	free(wire->out);
	wire->out = NULL;
	wire->sent = wire->out_size = 0;
}

int wire_call(struct wire *wire, const char *method, json_t *parameters, bool more)
{
	json_t *call = json_pack("{ss sO}", "method", method, "parameters", parameters);
	char *text = NULL, *out;
	size_t len;

	if (call && (!more || json_object_set_new(call, "more", json_true()) == 0))
		text = json_print(call, JSON_COMPACT, NULL);
	json_decref(call);
	if (!text)
		return -ENOMEM;
	/* Append it with its NUL: part of an earlier call may not be sent yet. */
	len = strlen(text) + 1;
	out = realloc(wire->out, wire->out_size + len);
	if (out) {
		memcpy(out + wire->out_size, text, len);
		wire->out = out;
		wire->out_size += len;
	}
	free(text);
	if (!out)
		return -ENOMEM;
	wire->message_max = more ? WIRE_MESSAGE_MAX : WIRE_ANSWER_MAX;
	fds_close(wire);
	flush(wire);
	return 0;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static unsigned int hex4(const char *at)
{
	unsigned int value = 0;

	for (int i = 0; i < 4; i++) {
		unsigned int c = (unsigned char)at[i];

		value = value << 4 | (c <= '9' ? c & 15 : ((c & 7) + 9) & 15);
	}
	return value;
}

/* Count the bytes that an escape stands for, and move @at to its end. Each half of a surrogate pair counts 2 bytes. */
static size_t escape_measure(const char **at, const char *end)
{
	unsigned int code;

	if (**at != 'u' || end - *at < 5) {
		(*at)++;
		return 1;
	}
	code = hex4(*at + 1);
	*at += 5;
	if (code >= 0xd800 && code < 0xe000)
		return 2;
	return code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
}

/* Count the bytes of a string. @at is moved from after its first quote to after the last. */
static size_t string_measure(const char **at, const char *end)
{
	size_t size = 0;

	while (*at < end && **at != '"') {
		if (*(*at)++ != '\\')
			size++;
		else if (*at < end)
			size += escape_measure(at, end);
	}
	if (*at < end)
		(*at)++;
	return size;
}

/* Count the characters of an integer; 0 for another number. */
static size_t number_measure(const char **at, const char *end)
{
	const char *begin = *at;
	bool is_integer = true;

	for (; *at < end && memchr("+-.0123456789Ee", **at, 15); (*at)++)
		is_integer = is_integer && **at != '.' && (**at | 0x20) != 'e';
	return is_integer ? (size_t)(*at - begin) : 0;
}

static size_t text_measure(const char *at, const char *end)
{
	size_t size = 0;

	while (at < end) {
		if (*at == '"') {
			at++;
			size += string_measure(&at, end);
		} else if (*at == '-' || (*at >= '0' && *at <= '9')) {
			size += number_measure(&at, end);
		} else {
			at++;
		}
	}
	return size;
}

static size_t integer_length(json_int_t integer)
{
	size_t length = integer < 0 ? 2 : 1;

	while (integer /= 10)
		length++;
	return length;
}

static size_t value_measure(json_t *value)
{
	size_t size = 0, i;
	const char *key;
	json_t *member;

	if (json_is_string(value))
		return json_string_length(value);
	if (json_is_integer(value))
		return integer_length(json_integer_value(value));
	json_object_foreach(value, key, member)
		size += strlen(key) + value_measure(member);
	json_array_foreach(value, i, member)
		size += value_measure(member);
	return size;
}

bool json_is_whole(json_t *value, const char *text, size_t len)
{
	return value_measure(value) == text_measure(text, text + len);
}

static int read_once(json_t **ret, const char *text, size_t len)
{
	json_error_t error;
	json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	/* When memory runs out, the parser does not report it. */
	if (!object && (error.text[0] == '\0' || json_error_code(&error) == json_error_out_of_memory))
		return -ENOMEM;
	if (!json_is_object(object) || !json_is_whole(object, text, len)) {
		json_decref(object);
		return -EBADMSG;
	}
	*ret = object;
	return 0;
}

int json_read(json_t **ret, const char *text, size_t len)
{
	int r = read_once(ret, text, len);

	/* If the parser lacks memory for a string, it reports an invalid token, too. An invalid text fails twice. */
	return r == -EBADMSG ? read_once(ret, text, len) : r;
}

/* --- replies ------------------------------------------------------------------------------------------------------ */

static void fds_receive(struct wire *wire, struct msghdr *header)
{
	for (struct cmsghdr *at = CMSG_FIRSTHDR(header); at; at = CMSG_NXTHDR(header, at)) {
		size_t n = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fd;

		if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(at) + i * sizeof(fd), sizeof(fd));
			if (wire->n_fds < FDS_MAX)
				wire->fds[wire->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

/* Make room at the end of the buffer. */
static int make_room(struct wire *wire)
{
	size_t size;
	char *in;

	if (wire->begin > 0) {
		memmove(wire->in, wire->in + wire->begin, wire->end - wire->begin);
		wire->end -= wire->begin;
		wire->searched -= wire->begin;
		wire->begin = 0;
	}
	if (wire->end == 0 && wire->size > SIZE_KEPT) {
		free(wire->in);
		wire->in = NULL;
		wire->size = 0;
	}
	if (wire->end < wire->size)
		return 0;
	size = wire->size == 0 ? SIZE_MIN : 2 * wire->size;
	/* There is always room left for a message that is not refused as too long. */
	if (size > wire->message_max + SIZE_MIN)
		size = wire->message_max + SIZE_MIN;
	in = realloc(wire->in, size);
	if (!in)
		return -ENOMEM;
	wire->in = in;
	wire->size = size;
	return 0;
}

static int fill(struct wire *wire)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct msghdr header = { .msg_iovlen = 1 };
	struct iovec data;
	ssize_t n;
	int r;

	r = make_room(wire);
	if (r < 0)
		return r;
	data = (struct iovec){ wire->in + wire->end, wire->size - wire->end };
	do {
		header.msg_iov = &data;
		header.msg_control = control;
		header.msg_controllen = sizeof(control);
		n = recvmsg(wire->fd, &header, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN			     ? WIRE_E_MORE
		       : errno == ENOMEM || errno == ENOBUFS ? -ENOMEM
							     : WIRE_E_END;
	fds_receive(wire, &header);
	wire->end += (size_t)n;
	return n > 0 ? 0 : WIRE_E_END;
}

/* The next message, an object. Return: as wire_read(). */
static int read_object(struct wire *wire, json_t **ret)
{
	const char *begin, *nul = NULL;
	int r;

	flush(wire);
	for (;;) {
		if (wire->end > wire->searched)
			nul = memchr(wire->in + wire->searched, '\0', wire->end - wire->searched);
		if (nul)
			break;
		wire->searched = wire->end;
		r = wire->end - wire->begin > wire->message_max ? -EMSGSIZE : fill(wire);
		if (r)
			return r;
	}
	/* If the message has to be read again, the search starts at its NUL. */
	wire->searched = (size_t)(nul - wire->in);
	begin = wire->in + wire->begin;
	r = (size_t)(nul - begin) > wire->message_max ? -EMSGSIZE
						      : json_read(ret, begin, (size_t)(nul - begin));
	if (r == 0)
		wire->begin = wire->searched = (size_t)(nul + 1 - wire->in);
	return r;
}

static int reply_check(const struct reply *reply)
{
	json_t *continues = json_object_get(reply->message, "continues");
	json_t *error = json_object_get(reply->message, "error");

	if ((reply->parameters && !json_is_object(reply->parameters)) ||
	    (continues && !json_is_boolean(continues)) || (error && !json_is_string(error)) ||
	    (!error && !reply->parameters))
		return -EBADMSG;
	return 0;
}

int wire_read(struct wire *wire, struct reply *ret)
{
	struct reply reply = { 0 };
	int r = read_object(wire, &reply.message);

	if (r != 0)
		return r;
	reply.parameters = json_object_get(reply.message, "parameters");
	reply.error = json_string_value(json_object_get(reply.message, "error"));
	reply.continues = json_is_true(json_object_get(reply.message, "continues"));
	r = reply_check(&reply);
	if (r == 0)
		*ret = reply;
	else
		reply_done(&reply);
	return r;
}

int wire_take_fd(struct wire *wire, size_t index)
{
	int fd;

	if (index >= wire->n_fds || wire->fds[index] < 0)
		return -EBADMSG;
	fd = wire->fds[index];
	wire->fds[index] = -1;
	return fd;
}

void reply_done(struct reply *reply)
{
	json_decref(reply->message);
	*reply = (struct reply){ 0 };
}

int reply_cursor(const struct reply *reply, uint64_t *epoch, uint64_t *seq)
{
	json_t *cursor = json_object_get(reply->parameters, "cursor");
	const char *text = json_string_value(cursor);

	if (!text || strlen(text) != json_string_length(cursor) || cursor_parse(text, epoch, seq) < 0)
		return -EBADMSG;
	return 0;
}
