/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A stream face on a stage, and clients of it, all in one loop of one process, so that the order of messages is fixed.
 */

#include "serve/face.h"
#include "stage.h"

#define REQUEST_MAX 4000

extern struct stage stage;
extern struct event_base *base;
extern struct budget *budget;
extern struct face *stream;
extern struct face_options options; /* set_options() gives the face other options */
extern const char *status_text;	    /* the status to return; NULL: none */

/* fill_context() - the context of a face in this loop, whose sockets are in @directory */
void fill_context(struct face_context *context, const char *directory);
/* stream_open() - a stream face in a directory below the test's. Return: as face_ops.new(). */
int stream_open(struct face **ret, const char *directory);

int stream_setup(void **state);
/* With a small log */
int stream_setup_small(void **state);
/* After each test everything must be given back. */
int stream_teardown(void **state);
#define STREAM_TEST(_test) cmocka_unit_test_setup_teardown(_test, stream_setup, stream_teardown)

/* A client. Its input is kept like that of a subscriber, so that it can be compared. */
struct client {
	int fd;
	bool ended;
	struct subscriber subscriber;
};

void client_open(struct client *client);
void client_done(struct client *client);
void client_send(struct client *client, const char *data, size_t size);
void client_say(struct client *client, const char *text);

/* client_read() - read at most @limit of the available bytes. Return: how many. */
size_t client_read(struct client *client, size_t limit);

/* turn() - run the loop as long as there is something to do */
void turn(void);

/* exchange() - run the broker and read, until nothing more arrives */
void exchange(struct client *client);

/* client_subscribed() - its request was accepted; the events from here on can be checked */
void client_subscribed(struct client *client, const char *request, struct visibility visibility);
/* client_subscribe() - connect, send a request, check that it was accepted */
void client_subscribe(struct client *client, const char *request);

/*
 * assert_refused() - check that it received one more line, an error, and then the end
 * @key: the key in the error, NULL: none
 */
void assert_refused(struct client *client, const char *error, const char *key);

/* assert_nobody() - check that all connections are closed, and their places free */
void assert_nobody(void);
