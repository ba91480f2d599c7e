/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A broker's Varlink socket in the test's directory, which sends what the test specifies, and a handle of the library: all
 * in one thread, so that the order of messages is fixed.
 */

#include <jansson.h>

#include "clients/lib/forkbus.h"

struct fake {
	int listener;
	int link; /* to the client that was accepted last */
};

extern struct fake fake;

int fake_setup(void **state);
int fake_teardown(void **state);
#define FAKE_TEST(_test) cmocka_unit_test_setup_teardown(_test, fake_setup, fake_teardown)

void fake_listen(void);
void fake_stop_listening(void);
void fake_accept(void);
void fake_hang_up(void);

/* fake_expect() - the next call is this one, key for key; @call is JSON */
void fake_expect(const char *call);
/* fake_say() - send bytes, with or without a final NUL */
void fake_say(const char *text);
void fake_say_bytes(const char *data, size_t size);
void fake_say_with_fd(const char *text, int fd);

/* handle_open() - a handle, not started */
struct forkbus *handle_open(uint64_t flags);

/* handle_started() - start it, accept its connection, and check that it subscribes */
void handle_started(struct forkbus *client, const char *expected);

/* Get the next item, and check that it is the only one. */
void assert_nothing(struct forkbus *client);
/* An event of a type, with a seq (0: none) */
void assert_event(struct forkbus *client, enum forkbus_type type, uint64_t seq);
void assert_item(struct forkbus *client, int item);

#define SUBSCRIBE "{\"method\":\"org.forkbus1.Subscribe\",\"parameters\":{\"filter\":{}},\"more\":true}"
#define EVENTS(_events, _seq)                                                            \
	"{\"parameters\":{\"events\":[" _events "],\"cursor\":\"0123456789abcdef:" #_seq \
	"\"},\"continues\":true}"
#define READY(_seq)  "{\"type\":\"ready\",\"cursor\":\"0123456789abcdef:" #_seq "\"}"
#define FORK(_seq)   "{\"seq\":" #_seq ",\"type\":\"fork\",\"pid\":7}"
#define CURSOR(_seq) "0123456789abcdef:" #_seq
