// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/sender.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "core/bus.h"
#include "core/log.h"
#include "core/view.h"
#include "util/cleanup.h"
#include "util/clock.h"

/* One part of the time for sending, the others for all else. */
#define PARTS		10
/* Fewer sends take long by chance alone. */
#define MANY		16
/* For less it is not worth waiting: timers of the loop go by milliseconds. */
#define WAIT_MIN_USEC	500
/* Nor where more has come: that is enough to be sent together, and is still encoded even if each is for another. */
#define WAIT_MAX_EVENTS 64

struct senders {
	const struct sender_ops *ops;
	const struct bus *bus;
	const struct face_options *options;
	struct sends *sends;
	struct event *turn;  /* after all that the loop does in this turn, or in a later one */
	bool at_once;	     /* in this one */
	uint64_t next_usec;  /* CLOCK_MONOTONIC: until then what is new waits */
	uint64_t sent_until; /* the log's end when all was sent last */
	TAILQ_HEAD(, sender) due;
};

DEFINE_CLEANUP(struct senders, senders_free)

static void on_turn(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what;
	senders_run(userdata);
}

int senders_new(struct senders **ret, struct event_base *base, const struct bus *bus,
		const struct face_options *options, const struct sender_ops *ops)
{
	_cleanup_(senders_free_p) struct senders *senders = calloc(1, sizeof(*senders));
	int r;

	if (!senders)
		return -ENOMEM;
	senders->ops = ops;
	senders->bus = bus;
	senders->options = options;
	TAILQ_INIT(&senders->due);
	r = sends_new(&senders->sends);
	if (r < 0)
		return r;
	senders->turn = event_new(base, -1, 0, on_turn, senders);
	if (!senders->turn)
		return -ENOMEM;
	*ret = steal(senders);
	return 0;
}

struct senders *senders_free(struct senders *senders)
{
	if (!senders)
		return NULL;
	if (senders->turn)
		event_free(senders->turn);
	sends_free(senders->sends);
	free(senders);
	return NULL;
}

static void become_due(struct sender *sender)
{
	sender->due = true;
	TAILQ_INSERT_TAIL(&sender->senders->due, sender, link);
}

static void run_at_once(struct senders *senders)
{
	if (!senders->at_once)
		event_active(senders->turn, EV_TIMEOUT, 0);
	senders->at_once = true;
}

static void run_later(struct senders *senders)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	uint64_t wait = senders->next_usec > now ? senders->next_usec - now : 0;
	const struct timeval time = { (time_t)(wait / USEC_PER_SEC), (suseconds_t)(wait % USEC_PER_SEC) };

	if (wait == 0)
		run_at_once(senders);
	else
		event_add(senders->turn, &time);
}

static void begin_turn(struct sender *sender)
{
	if (sender->due)
		return;
	sender->turn_size = 0;
	become_due(sender);
}

void sender_due(struct sender *sender)
{
	run_at_once(sender->senders);
	begin_turn(sender);
}

void sender_wake(struct sender *sender)
{
	struct senders *senders = sender->senders;

	if (log_next(senders->bus->log) - senders->sent_until > WAIT_MAX_EVENTS)
		run_at_once(senders);
	else if (TAILQ_EMPTY(&senders->due))
		run_later(senders); /* the first one sets the time for all */
	begin_turn(sender);
}

void sender_not_due(struct sender *sender)
{
	if (sender->due)
		TAILQ_REMOVE(&sender->senders->due, sender, link);
	sender->due = false;
}

/* The send of a piece has ended. Return: 0, or a negative errno where there is nothing more to do for it. */
static int on_sent(struct sender *sender, const struct sends_op *op)
{
	const struct sender_ops *ops = sender->senders->ops;
	ssize_t n = op->result;
	int r;

	if (n == -EAGAIN || n == -EINTR || n == -ENOBUFS || n == -ENOMEM)
		n = 0;
	r = n < 0 ? (int)n : ops->sent(sender, op, (size_t)n);
	if (r < 0)
		return r;
	sender->turn_size += (size_t)n;
	/* One that is not full can be written to at once: it waits for the loop's next turn. */
	if ((size_t)n < op->size)
		ops->wait(sender, true);
	else if (sender->turn_size >= FACE_SEND_SLICE)
		ops->wait(sender, false);
	else
		become_due(sender);
	return 0;
}

struct round {
	struct sends_op ops[SENDS_MAX];
	struct sender *of[SENDS_MAX]; /* whose they are */
	unsigned int n;
	struct sender *gone[SENDS_MAX];
	unsigned int n_gone;
};

/* Ask one of those who are due what it wants to send. */
static void round_ask(struct round *round, struct sender *sender)
{
	const struct sender_ops *ops = sender->senders->ops;
	struct sends_op *op = &round->ops[round->n];
	int r;

	sender_not_due(sender);
	op->fd = sender->fd;
	op->n_parts = 0;
	op->size = 0;
	r = ops->piece(sender, op);
	if (r == -EAGAIN)
		ops->wait(sender, false);
	else if (r < 0)
		round->gone[round->n_gone++] = sender;
	else if (op->size > 0)
		round->of[round->n++] = sender;
}

/*
 * One piece for each of some. Nobody goes before all of it is over: with one's view goes what another one's send points to,
 * and the source may publish that it has less to tell. Return: how many there were.
 */
static unsigned int run_round(struct senders *senders, unsigned int max)
{
	struct round round;

	round.n = round.n_gone = 0;
	for (unsigned int i = 0; i < max && !TAILQ_EMPTY(&senders->due); i++)
		round_ask(&round, TAILQ_FIRST(&senders->due));
	sends_run(senders->sends, round.ops, round.n);
	for (unsigned int i = 0; i < round.n; i++)
		if (on_sent(round.of[i], &round.ops[i]) < 0)
			round.gone[round.n_gone++] = round.of[i];
	for (unsigned int i = 0; i < round.n_gone; i++)
		senders->ops->go(round.gone[i]);
	return round.n;
}

/* What is new waits in proportion to what was just done. */
static void set_next(struct senders *senders, unsigned int sends, uint64_t took_usec, uint64_t now_usec)
{
	uint64_t wait = sends < MANY ? 0 : took_usec * (PARTS - 1);

	if (wait > senders->options->coalesce_usec)
		wait = senders->options->coalesce_usec;
	senders->next_usec = wait < WAIT_MIN_USEC ? 0 : now_usec + wait;
	senders->sent_until = log_next(senders->bus->log);
}

void senders_run(struct senders *senders)
{
	uint64_t began = clock_usec(CLOCK_MONOTONIC), ended;
	unsigned int max = views_kept(senders->bus->views);
	unsigned int sends = 0;

	while (!TAILQ_EMPTY(&senders->due))
		sends += run_round(senders, max < SENDS_MAX ? max : SENDS_MAX);
	senders->at_once = false;
	ended = clock_usec(CLOCK_MONOTONIC);
	set_next(senders, sends, ended - began, ended);
}
