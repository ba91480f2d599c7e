/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a reply says. */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "reason.h"

struct reply {
	json_t *message;    /* owned */
	json_t *parameters; /* its; an object */
	bool continues;
};

enum {
	_REPLY_E_SUCCESS,
	REPLY_E_REFUSED, /* it is an error: reply_errno(), reply_explain() */
};

/*
 * reply_set() - look at a message
 * @message: the reply's from now on
 * Return: 0, REPLY_E_REFUSED; -EBADMSG where it is no reply, and it is empty then.
 */
int reply_set(struct reply *reply, json_t *message);

/* reply_done() - free what it holds, and empty it; an empty one is fine. */
void reply_done(struct reply *reply);

/* reply_errno() - what a refusal means. Return: a negative errno, as forkbus_process() has it. */
int reply_errno(const struct reply *reply);

/* reply_explain() - a sentence for people on a refusal */
void reply_explain(const struct reply *reply, struct reason *ret);

/*
 * reply_cursor() - the cursor of a reply
 * Return: 0 or -EBADMSG.
 */
int reply_cursor(const struct reply *reply, uint64_t *epoch, uint64_t *seq);
