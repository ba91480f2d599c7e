/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A hub on a log in the test's directory, a world that fills it, and subscribers. Everything that is published is kept, so
 * that what a subscriber got can be compared, byte for byte, with what it should have got: the plainest filter over all that
 * has ever happened.
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

/* stage_publish() - give an event to the hub, and keep it. Return: its sequence number. */
uint64_t stage_publish(struct stage *stage, struct fb_event *event, const struct world_process *process);
/* Something happens in the world. */
uint64_t stage_happen(struct stage *stage);
/* Much, flushed every @batch events. */
void stage_run(struct stage *stage, unsigned int events, unsigned int batch);
/* Until what the log held has gone. */
void stage_lap(struct stage *stage);
/* The event with a sequence number, as it was published. */
void stage_event(const struct stage *stage, uint64_t seq, struct fb_event *event);

struct subscriber {
	struct cursor cursor;
	struct stage *stage;
	struct visibility visibility;
	struct filter *filter;		  /* one of its own, to compare with */
	const struct world_process *root; /* of its tree */
	uint64_t begin;			  /* first sequence number of the log that it is to get */
	unsigned int wakes;
	char *got;
	size_t size, room;

	/* What subscriber_check() found. */
	unsigned int n_events, n_processes, n_heartbeats, n_lost;
	uint64_t lost_from, lost_to, lost_count; /* the last; 0 where not told */
	uint64_t lost_since, lost_until;
	char lost_reason[16];
	uint64_t told;	/* up to which number the last heartbeat says that all was reported */
	size_t checked; /* bytes of @got */
	uint64_t next;	/* all before was reported, or is of no interest */
	bool is_ready;
};

#define SEE_ALL ((struct visibility){ .all = true })

/*
 * subscribe() - begin what a request asks for
 * @error: where a failure is reported. Return: as cursor_init(), and what request_parse() refuses.
 */
int subscribe(struct subscriber *subscriber, struct stage *stage, const char *request,
	      struct visibility visibility, struct filter_error *error);
void unsubscribe(struct subscriber *subscriber);

/*
 * subscriber_read() - take what there is
 * @piece: at most so many bytes at a time, a random number of them; @limit: and then so many in all, and the socket is full
 * Return: whether all is reported.
 */
bool subscriber_read(struct subscriber *subscriber, size_t piece, size_t limit);

/* All of it, in one piece each. */
static inline void subscriber_read_all(struct subscriber *subscriber)
{
	while (!subscriber_read(subscriber, SIZE_MAX, SIZE_MAX))
		;
}

/* subscriber_check() - is what it got since the last call what it should have got? All must have been read. */
void subscriber_check(struct subscriber *subscriber);

/* The fields of an event that it should get, 0: none of it. */
field_set subscriber_fields(const struct subscriber *subscriber, uint64_t seq);

/* A random request's keys, without braces, for what happens in a world. */
const char *random_filter(struct random *random);
