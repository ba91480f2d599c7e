/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A stream face on a stage, and clients of it, all in one loop of one process: who speaks when is no accident.
 */

#include "serve/face.h"
#include "stage.h"

#define REQUEST_MAX 4000

extern struct stage stage;
extern struct event_base *base;
extern struct budget *budget;
extern struct face *stream;
extern struct face_options options; /* set_options() gives the face others */
extern const char *status_text;	    /* what the status is said to be; NULL: none */

/* fill_context() - the context of a face in this loop, whose sockets are in @directory */
void fill_context(struct face_context *context, const char *directory);
/* stream_open() - a stream face in a directory below the test's. Return: as face_ops.new(). */
int stream_open(struct face **ret, const char *directory);

int stream_setup(void **state);
/* With a log that is soon full */
int stream_setup_small(void **state);
/* Whatever a test did, all is given back by then. */
int stream_teardown(void **state);
#define STREAM_TEST(_test) cmocka_unit_test_setup_teardown(_test, stream_setup, stream_teardown)

/* One at the other end. What it got is kept as a subscriber's, so that it can be compared. */
struct client {
	int fd;
	bool ended;
	struct subscriber subscriber;
};

void client_open(struct client *client);
void client_done(struct client *client);
void client_send(struct client *client, const char *data, size_t size);
void client_say(struct client *client, const char *text);

/* client_read() - take at most @limit bytes of what is there. Return: how many. */
size_t client_read(struct client *client, size_t limit);

/* turn() - the loop turns, as long as there is something to do */
void turn(void);

/* exchange() - the broker has its turns and the client reads, until nothing comes any more */
void exchange(struct client *client);

/* client_subscribed() - it was understood; what it gets from here on can be checked */
void client_subscribed(struct client *client, const char *request, struct visibility visibility);
/* client_subscribe() - open, ask, see that it was understood */
void client_subscribe(struct client *client, const char *request);

/*
 * assert_refused() - it got one line more, an error, and no byte after; then it is done
 * @key: that the error names, NULL: none
 */
void assert_refused(struct client *client, const char *error, const char *key);

/* assert_nobody() - all connections are gone, and their places are free */
void assert_nobody(void);
