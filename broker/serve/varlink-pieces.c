// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "serve/varlink-internal.h"

/* Events of about so many bytes make one reply; one event may be longer. */
#define BATCH 32768

#define EVENTS_BEGIN "{\"parameters\":{\"events\":["
#define LIST_BEGIN   "{\"parameters\":{\"processes\":["
#define CURSOR	     "],\"cursor\":\"%s\"}"
/* Between one event and the next, and behind the last, where it is left out (encoding_members). */
#define SEPARATOR    ",\n"

/* Where it is made; the broker is one thread. */
static char end_text[sizeof(CURSOR) + CURSOR_TEXT_MAX + 32];
/* What is a cursor's own does not outlive its being sent. */
static char scratch[BATCH > ENCODED_MAX ? BATCH : ENCODED_MAX];

static void on_wake(struct cursor *cursor)
{
	struct link *link = (struct link *)((char *)cursor - offsetof(struct link, cursor));

	/* One that waits for its socket already will look by itself. */
	if (!event_pending(link->writable, EV_WRITE, NULL))
		link_run(link);
}

int link_begin(struct link *link, enum link_state state, struct request *request, struct filter_error *error)
{
	int r = cursor_init(&link->cursor, link->varlink->bus, request, access_of(&link->peer),
			    &encoding_members, on_wake, error);

	if (r != 0)
		return r;
	link->state = state;
	link->list_begun = false;
	if (state == LINK_EVENTS)
		link->varlink->stats.subscribers++;
	return 0;
}

void link_end(struct link *link)
{
	if (link->state == LINK_EVENTS)
		link->varlink->stats.subscribers--;
	if (link->state != LINK_IDLE)
		cursor_done(&link->cursor);
	link->state = LINK_IDLE;
}

/* How much of the lines that are there goes into one reply: whole ones. */
static size_t take_lines(const char *lines, size_t size)
{
	const char *end;

	if (size <= BATCH)
		return size;
	end = memrchr(lines, '\n', BATCH);
	if (!end)
		end = memchr(lines, '\n', size);
	return (size_t)(end + 1 - lines);
}

static struct iovec part(const char *text, size_t size)
{
	return (struct iovec){ (char *)(uintptr_t)text, size };
}

/* The end of a reply, its NUL included. */
static struct iovec make_end(const struct cursor *cursor, bool continues)
{
	char text[CURSOR_TEXT_MAX];
	int size = snprintf(end_text, sizeof(end_text), CURSOR "%s}", cursor_position(cursor, text),
			    continues ? ",\"continues\":true" : "");

	return part(end_text, (size_t)size + 1);
}

/* Return: the bytes that were handed over, or a negative errno. */
static ssize_t send_parts(struct link *link, const struct iovec *parts, size_t n)
{
	size_t size = 0;
	int r = link_send(link, parts, n);

	for (size_t i = 0; i < n; i++)
		size += parts[i].iov_len;
	return r < 0 ? r : (ssize_t)size;
}

/* The next members, which the cursor is told to be sent. Return: their number of bytes, or as cursor_peek(). */
static ssize_t take_members(struct cursor *cursor, struct iovec *members)
{
	const char *lines;
	ssize_t n = cursor_peek(cursor, &lines);
	size_t taken;
	int r;

	if (n <= 0)
		return n;
	taken = take_lines(lines, (size_t)n);
	if (cursor->own)
		lines = memcpy(scratch, lines, taken);
	*members = part(lines, taken - strlen(SEPARATOR));
	r = cursor_sent(cursor, taken);
	return r < 0 ? r : (ssize_t)taken;
}

static ssize_t events_piece(struct link *link)
{
	struct iovec parts[3] = { part(EVENTS_BEGIN, strlen(EVENTS_BEGIN)) };
	ssize_t n = take_members(&link->cursor, &parts[1]);

	if (n <= 0)
		return n;
	parts[2] = make_end(&link->cursor, true);
	return send_parts(link, parts, 3);
}

static ssize_t end_list(struct link *link)
{
	const char *begin = link->list_begun ? "" : LIST_BEGIN;
	struct iovec parts[2] = { part(begin, strlen(begin)), make_end(&link->cursor, false) };

	link_end(link);
	return send_parts(link, parts, 2);
}

/* One message in pieces: a snapshot, up to where the events would begin. */
static ssize_t list_piece(struct link *link)
{
	const char *begin = link->list_begun ? SEPARATOR : LIST_BEGIN;
	struct iovec parts[2] = { part(begin, strlen(begin)) };
	struct cursor *cursor = &link->cursor;
	ssize_t n;

	if (cursor->phase == CURSOR_READY && !cursor->own)
		return end_list(link);
	n = take_members(cursor, &parts[1]);
	if (n <= 0)
		return n == 0 ? -EAGAIN : n;
	link->list_begun = true;
	return send_parts(link, parts, 2);
}

ssize_t link_piece(struct link *link)
{
	return link->state == LINK_EVENTS ? events_piece(link) : list_piece(link);
}

int link_heartbeat(struct link *link)
{
	struct iovec parts[2] = { part(EVENTS_BEGIN, strlen(EVENTS_BEGIN)) };

	if (!cursor_is_idle(&link->cursor))
		return 0;
	parts[1] = make_end(&link->cursor, true);
	return link_send(link, parts, 2);
}
