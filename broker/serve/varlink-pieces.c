// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "event-json.h"
#include "serve/varlink-internal.h"
#include "util/clock.h"

/* Events of about so many bytes make one reply; one event may be longer. */
#define BATCH 32768

#define EVENTS_BEGIN "{\"parameters\":{\"events\":["
#define LIST_BEGIN   "{\"parameters\":{\"processes\":["
#define CURSOR	     "],\"cursor\":\"%s\"}"

/* Where replies are made; the broker is one thread. */
static char scratch[sizeof(LIST_BEGIN) + (BATCH > EVENT_JSON_MAX ? BATCH : EVENT_JSON_MAX) + 128];

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
			    &encoding_lines, on_wake, error);

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

/* Lines to the members of an array: encoded events have no other newlines. Return: the length. */
static size_t put_members(char *to, const char *lines, size_t size)
{
	char *at = to, *end = to + size - 1;

	memcpy(to, lines, size);
	while ((at = memchr(at, '\n', (size_t)(end - at))))
		*at++ = ',';
	return size - 1;
}

static size_t put(size_t at, const char *text)
{
	size_t len = strlen(text);

	memcpy(scratch + at, text, len);
	return at + len;
}

/* The end of a reply, its NUL included. */
static size_t put_end(size_t at, const struct cursor *cursor, bool continues)
{
	char text[CURSOR_TEXT_MAX];

	at += (size_t)snprintf(scratch + at, sizeof(scratch) - at, CURSOR "%s}",
			       cursor_position(cursor, text), continues ? ",\"continues\":true" : "");
	return at + 1;
}

static ssize_t send_scratch(struct link *link, size_t size)
{
	int r = link_send(link, scratch, size);

	return r < 0 ? r : (ssize_t)size;
}

static ssize_t events_piece(struct link *link)
{
	const char *lines;
	ssize_t n = cursor_peek(&link->cursor, &lines);
	size_t taken, at;
	int r;

	if (n <= 0)
		return n;
	taken = take_lines(lines, (size_t)n);
	at = put(0, EVENTS_BEGIN);
	at += put_members(scratch + at, lines, taken);
	r = cursor_sent(&link->cursor, taken);
	return r < 0 ? r : send_scratch(link, put_end(at, &link->cursor, true));
}

static ssize_t end_list(struct link *link, size_t at)
{
	at = put_end(at, &link->cursor, false);
	link_end(link);
	return send_scratch(link, at);
}

/* One message in pieces: a snapshot, up to where the events would begin. */
static ssize_t list_piece(struct link *link)
{
	struct cursor *cursor = &link->cursor;
	size_t taken, at = 0;
	const char *lines;
	ssize_t n;
	int r;

	if (cursor->phase == CURSOR_READY && !cursor->own)
		return end_list(link, link->list_begun ? 0 : put(0, LIST_BEGIN));
	n = cursor_peek(cursor, &lines);
	if (n == 0)
		return -EAGAIN;
	if (n < 0)
		return n;
	at = put(0, link->list_begun ? "," : LIST_BEGIN);
	link->list_begun = true;
	taken = take_lines(lines, (size_t)n);
	at += put_members(scratch + at, lines, taken);
	r = cursor_sent(cursor, taken);
	return r < 0 ? r : send_scratch(link, at);
}

ssize_t link_piece(struct link *link)
{
	return link->state == LINK_EVENTS ? events_piece(link) : list_piece(link);
}

int link_heartbeat(struct link *link)
{
	if (!cursor_is_idle(&link->cursor))
		return 0;
	return link_send(link, scratch, put_end(put(0, EVENTS_BEGIN), &link->cursor, true));
}
