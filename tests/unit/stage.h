/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A hub on a log in the test's directory, a world that fills it, and subscribers. Everything that is published is kept, so
 * that the bytes that a subscriber received can be compared with the expected ones: a simple filter over all events.
 */

#include "core/cursor.h"
#include "world.h"

#define STAGE_EVENTS_MAX 300000

struct stage {
	struct hub *hub;
	struct world world;
	struct stage_event {
		const struct world_process *process; /* NULL: source or lost */
		unsigned char *packed;
		size_t size;
	} * events; /* by sequence number */
};

/* stage_open() - @blocks: of the log, @cache: bytes for encoded lines; @seed, @users: of the world */
void stage_open(struct stage *stage, uint64_t blocks, size_t cache, uint64_t seed, unsigned int users);
void stage_close(struct stage *stage);

/* stage_publish() - publish an event to the hub, and keep a copy. Return: its sequence number. */
uint64_t stage_publish(struct stage *stage, struct fb_event *event, const struct world_process *process);
/* An event in the world. */
uint64_t stage_happen(struct stage *stage);
/* Many events, flushed every @batch events. */
void stage_run(struct stage *stage, unsigned int events, unsigned int batch);
/* Until the log has overwritten its content. */
void stage_lap(struct stage *stage);
/* The published event with a sequence number. */
void stage_event(const struct stage *stage, uint64_t seq, struct fb_event *event);

struct subscriber {
	struct cursor cursor;
	struct stage *stage;
	struct visibility visibility;
	struct filter *filter;		  /* a separate one, to compare with */
	const struct world_process *root; /* of its tree */
	uint64_t begin;			  /* first sequence number of the log that it should receive */
	unsigned int wakes;
	char *got;
	size_t size, room;

	/* The results of subscriber_check(). */
	unsigned int n_events, n_processes, n_heartbeats, n_lost;
	uint64_t lost_from, lost_to, lost_count; /* the last; 0 if unknown */
	uint64_t lost_since, lost_until;
	char lost_reason[16];
	uint64_t reported; /* the number in the last heartbeat, up to which everything was reported */
	size_t checked;	   /* bytes of @got */
	uint64_t next;	   /* all events before it were reported, or are irrelevant */
	bool is_ready;
};

#define SEE_ALL ((struct visibility){ .all = true })

/*
 * subscribe() - start a request
 * @error: set on failure. Return: as cursor_init(), or an error of request_parse().
 */
int subscribe(struct subscriber *subscriber, struct stage *stage, const char *request,
	      struct visibility visibility, struct filter_error *error);
void unsubscribe(struct subscriber *subscriber);

/*
 * subscriber_read() - read the available bytes
 * @piece: at most this many bytes at a time, a random number; @limit: after this many bytes the socket is full Return:
 * whether everything is reported.
 */
bool subscriber_read(struct subscriber *subscriber, size_t piece, size_t limit);

/* Everything, in one piece each. */
static inline void subscriber_read_all(struct subscriber *subscriber)
{
	while (!subscriber_read(subscriber, SIZE_MAX, SIZE_MAX))
		;
}

/* subscriber_check() - has it received the right events since the last call? All must have been read. */
void subscriber_check(struct subscriber *subscriber);

/* The fields of an event that it should receive, 0: none. */
field_set subscriber_fields(const struct subscriber *subscriber, uint64_t seq);

/* The keys of a random request, without braces, for the events of a world. */
const char *random_filter(struct random *random);
