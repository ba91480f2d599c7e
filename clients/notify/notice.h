/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The text of a notification: about one process that ended, or about many. Valid UTF-8 without markup.
 */

#include "rules.h"

#define NOTICE_NAME_MAX	   64
#define NOTICE_SUMMARY_MAX 256
#define NOTICE_BODY_MAX	   1024

struct notice {
	enum kind kind; /* if it is about many, the most remarkable kind */
	enum urgency urgency;
	char name[NOTICE_NAME_MAX]; /* of the program; "" if it is about many */
	char summary[NOTICE_SUMMARY_MAX];
	char body[NOTICE_BODY_MAX]; /* lines, without a newline at the end */
};

void notice_of_ending(struct notice *notice, const struct ending *ending, enum kind kind,
		      enum urgency urgency);

/* A notice about many processes names this many programs, and counts the others. */
#define TALLY_NAMES 5

/* A summary of many processes: how many ended in each way, and which programs they ran. */
struct tally {
	uint64_t kinds[_KIND_MAX];
	uint64_t total, others;
	enum kind kind; /* the most remarkable kind */
	enum urgency urgency;
	struct {
		char name[NOTICE_NAME_MAX];
		uint64_t count;
	} names[TALLY_NAMES];
	unsigned int n_names;
};

void tally_add(struct tally *tally, const struct notice *notice);

/* tally_merge() - add all processes of another tally */
void tally_merge(struct tally *tally, const struct tally *other);

/* tally_describe() - @when: the beginning of the summary, like "In quiet hours: "; @tally must not be empty */
void tally_describe(const struct tally *tally, struct notice *notice, const char *when);

/* In the terms of the notification protocol: x-VENDOR.CLASS.NAME, and a name of the icon naming specification. */
const char *notice_category(const struct notice *notice);
const char *notice_icon(const struct notice *notice);

/* notice_is_transient() - may the server forget the notification after it was shown? */
bool notice_is_transient(const struct notice *notice);

/*
 * notice_print() - print the notice as a line of JSON, for people who test their rules
 * @quiet: the notice would be held until quiet hours are over
 * Return: 0 or a negative errno.
 */
int notice_print(const struct notice *notice, const struct ending *ending, bool quiet);

#define DURATION_MAX 48
#define SIGNAL_MAX   24

/* duration_print() - "240 ms", "3.2 s", "45 s", "2 min 5 s", "1 h 3 min", "2 d 4 h". Return: @buf. */
char *duration_print(char buf[static DURATION_MAX], uint64_t usec);

/* signal_print() - "SIGSEGV", or "signal 40". Return: @buf. */
char *signal_print(char buf[static SIGNAL_MAX], uint64_t number);
