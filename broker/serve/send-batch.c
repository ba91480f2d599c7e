// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <event2/event.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM	    1
#define uthash_nonfatal_oom(_entry) (oom = true)
#include "serve/send-batch.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"
#include "core/hub.h"
#include "core/log.h"
#include "core/priority.h"
#include "core/slice.h"
#include "core/view.h"

#define FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)

/* Bytes that one outbox may send in one turn of the loop before the others. */
#define SEND_SLICE	(256 * 1024)
/* Sending may take one of this many parts of the time. */
#define PARTS		10
/* With fewer sends, a long time is only chance. */
#define MANY		16
/* What sending may take of one turn of the loop, and sending to users who had their share of the time while there are others. */
#define TURN_NSEC	(2 * NSEC_PER_MSEC)
#define LATE_NSEC	(250 * NSEC_PER_USEC)
/* A shorter wait is useless: timers of the loop have a resolution of milliseconds. */
#define WAIT_MIN_USEC	500
/*
 * More events than this do not wait: they are enough to be sent together, and their encodings are still in the cache, even
 * if each is for another subscriber.
 */
#define WAIT_MAX_EVENTS 64

/* The system calls */

struct send_batch {
	struct io_uring ring;
	bool has_ring;
};

int send_batch_new_plain(struct send_batch **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

/* Completions run in the call that waits for them (since Linux 6.1); otherwise at any time. */
static int begin_ring(struct io_uring *ring)
{
	int r = io_uring_queue_init(SENDS_MAX, ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

	return r == -EINVAL ? io_uring_queue_init(SENDS_MAX, ring, 0) : r;
}

static void end_ring(struct send_batch *batch)
{
	io_uring_queue_exit(&batch->ring);
	batch->has_ring = false;
}

int send_batch_new(struct send_batch **ret)
{
	int r = send_batch_new_plain(ret);

	if (r < 0)
		return r;
	r = begin_ring(&(*ret)->ring);
	(*ret)->has_ring = r == 0;
	if (r < 0)
		msg_debug("no io_uring, falling back to sendmsg(): %s", strerror(-r));
	return 0;
}

struct send_batch *send_batch_free(struct send_batch *batch)
{
	if (batch && batch->has_ring)
		end_ring(batch);
	free(batch);
	return NULL;
}

static void send_one(struct send_op *op)
{
	op->message = (struct msghdr){ .msg_iov = op->parts, .msg_iovlen = op->n_parts };
	op->result = sendmsg(op->fd, &op->message, FLAGS);
	if (op->result < 0)
		op->result = -errno;
}

static void prepare(struct io_uring *ring, struct send_op *op)
{
	/* There is room for all of them: none was left from before. */
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	/* With MSG_DONTWAIT a send ends at once if a socket is full; without it, it would wait in the background. */
	if (op->n_parts == 1) {
		io_uring_prep_send(sqe, op->fd, op->parts[0].iov_base, op->size, FLAGS);
	} else {
		op->message = (struct msghdr){ .msg_iov = op->parts, .msg_iovlen = op->n_parts };
		io_uring_prep_sendmsg(sqe, op->fd, &op->message, FLAGS);
	}
	io_uring_sqe_set_data(sqe, op);
}

/* Return: how many have ended. */
static unsigned int reap(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(ring, head, cqe)
	{
		struct send_op *op = io_uring_cqe_get_data(cqe);

		op->result = cqe->res;
		n++;
	}
	io_uring_cq_advance(ring, n);
	return n;
}

/*
 * Return: how many of them were accepted, the first ones; all of these have ended. Fewer than @n: the ring is not usable any
 * more.
 */
static unsigned int run_ring(struct io_uring *ring, struct send_op *ops, unsigned int n)
{
	unsigned int taken = 0, ended = 0;

	for (unsigned int i = 0; i < n; i++)
		prepare(ring, &ops[i]);
	while (ended < n) {
		int r = io_uring_submit_and_wait(ring, n - ended);

		if (r > 0)
			taken += (unsigned int)r;
		ended += reap(ring);
		/*
		 * A signal ends the wait; after another error nothing can be submitted, and waiting for the submitted ones
		 * is useless.
		 */
		if (r < 0 && r != -EINTR && ended == taken)
			return taken;
	}
	return n;
}

void send_batch_run(struct send_batch *batch, struct send_op *ops, unsigned int n)
{
	unsigned int done = 0;

	if (batch->has_ring && n > 1) {
		done = run_ring(&batch->ring, ops, n);
		if (done < n) {
			msg_warning("io_uring fails; falling back to sendmsg()");
			end_ring(batch);
		}
	}
	for (; done < n; done++)
		send_one(&ops[done]);
}

/* The outboxes */

/* The connections of one user. */
struct sender {
	struct budget_account *account; /* the key; may be NULL */
	unsigned int n_outboxes;
	TAILQ_HEAD(, outbox) due;
	bool waits; /* has some that are due: is in outboxes.senders */
	TAILQ_ENTRY(sender) turn;
	UT_hash_handle hh;
};

/* How many there were, and how long they took. */
struct sends {
	unsigned int n;
	uint64_t nsec;
};

struct outboxes {
	const struct outbox_ops *ops;
	const struct hub *hub;
	const struct face_options *options;
	struct send_batch *batch;
	struct event *turn;  /* after everything else in this turn of the loop, or in a later one */
	bool scheduled;	     /* for either */
	bool at_once;	     /* in this one */
	uint64_t next_usec;  /* CLOCK_MONOTONIC: until then new events wait */
	uint64_t sent_until; /* the log's end when all was sent last */
	struct sends timely,
		late;	    /* to users who have time left, since all was sent to these; and to the others */
	struct event *rest; /* in a later turn, after requests */
	struct sender *by_account;
	TAILQ_HEAD(, sender) senders; /* in the order of their turns */
};

DEFINE_CLEANUP(struct outboxes, outboxes_free)

static void on_turn(evutil_socket_t fd, short what, void *userdata);
static void on_rest(evutil_socket_t fd, short what, void *userdata);

int outboxes_new(struct outboxes **ret, struct event_base *base, const struct hub *hub,
		 const struct face_options *options, const struct outbox_ops *ops)
{
	_cleanup_(outboxes_free_p) struct outboxes *outboxes = calloc(1, sizeof(*outboxes));
	int r;

	if (!outboxes)
		return -ENOMEM;
	outboxes->ops = ops;
	outboxes->hub = hub;
	outboxes->options = options;
	TAILQ_INIT(&outboxes->senders);
	r = send_batch_new(&outboxes->batch);
	if (r < 0)
		return r;
	outboxes->turn = event_new(base, -1, 0, on_turn, outboxes);
	outboxes->rest = event_new(base, -1, 0, on_rest, outboxes);
	if (!outboxes->turn || !outboxes->rest)
		return -ENOMEM;
	event_priority_set(outboxes->turn, PRIORITY_DELIVERY);
	*ret = steal(outboxes);
	return 0;
}

struct outboxes *outboxes_free(struct outboxes *outboxes)
{
	if (!outboxes)
		return NULL;
	if (outboxes->turn)
		event_free(outboxes->turn);
	if (outboxes->rest)
		event_free(outboxes->rest);
	send_batch_free(outboxes->batch);
	free(outboxes);
	return NULL;
}

static struct sender *sender_get(struct outboxes *outboxes, struct budget_account *account)
{
	struct sender *sender;
	bool oom = false;

	HASH_FIND_PTR(outboxes->by_account, &account, sender);
	if (!sender) {
		sender = calloc(1, sizeof(*sender));
		if (!sender)
			return NULL;
		sender->account = account;
		TAILQ_INIT(&sender->due);
		HASH_ADD_PTR(outboxes->by_account, account, sender);
	}
	if (oom) {
		free(sender);
		return NULL;
	}
	sender->n_outboxes++;
	return sender;
}

static void sender_put(struct outboxes *outboxes, struct sender *sender)
{
	if (--sender->n_outboxes > 0)
		return;
	HASH_DEL(outboxes->by_account, sender);
	free(sender);
}

int outbox_init(struct outbox *outbox, struct outboxes *outboxes, int fd, struct budget_account *account)
{
	struct sender *sender = sender_get(outboxes, account);

	if (!sender)
		return -ENOMEM;
	*outbox = (struct outbox){ .outboxes = outboxes, .fd = fd, .sender = sender };
	return 0;
}

static void become_due(struct outbox *outbox)
{
	struct sender *sender = outbox->sender;

	outbox->due = true;
	TAILQ_INSERT_TAIL(&sender->due, outbox, link);
	if (sender->waits)
		return;
	sender->waits = true;
	TAILQ_INSERT_TAIL(&outbox->outboxes->senders, sender, turn);
}

static void not_due(struct outbox *outbox)
{
	struct sender *sender = outbox->sender;

	if (!outbox->due)
		return;
	outbox->due = false;
	TAILQ_REMOVE(&sender->due, outbox, link);
	if (!TAILQ_EMPTY(&sender->due))
		return;
	sender->waits = false;
	TAILQ_REMOVE(&outbox->outboxes->senders, sender, turn);
}

void outbox_done(struct outbox *outbox)
{
	if (!outbox->sender)
		return;
	not_due(outbox);
	sender_put(outbox->outboxes, outbox->sender);
	outbox->sender = NULL;
}

static void run_at_once(struct outboxes *outboxes)
{
	if (!outboxes->at_once)
		event_active(outboxes->turn, EV_TIMEOUT, 0);
	outboxes->scheduled = outboxes->at_once = true;
}

static void run_later(struct outboxes *outboxes)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	uint64_t wait = outboxes->next_usec > now ? outboxes->next_usec - now : 0;
	const struct timeval time = usec_to_timeval(wait);

	if (wait == 0)
		run_at_once(outboxes);
	else
		event_add(outboxes->turn, &time);
	outboxes->scheduled = true;
}

/* In a later turn of the loop, after requests. */
static void run_rest(struct outboxes *outboxes, const struct sender *sender, uint64_t now_usec)
{
	if (event_pending(outboxes->rest, EV_TIMEOUT, NULL))
		return;
	event_priority_set(outboxes->rest, budget_priority(sender->account, now_usec));
	event_active(outboxes->rest, EV_TIMEOUT, 0);
}

static void begin_turn(struct outbox *outbox)
{
	if (outbox->due)
		return;
	outbox->turn_size = 0;
	become_due(outbox);
}

void outbox_due(struct outbox *outbox)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	if (budget_wait(outbox->sender->account, now) == 0)
		run_at_once(outbox->outboxes);
	else
		run_rest(outbox->outboxes, outbox->sender, now);
	begin_turn(outbox);
}

void outbox_wake(struct outbox *outbox)
{
	struct outboxes *outboxes = outbox->outboxes;

	if (log_next(hub_log(outboxes->hub)) - outboxes->sent_until > WAIT_MAX_EVENTS)
		run_at_once(outboxes);
	else if (!outboxes->scheduled)
		run_later(outboxes); /* the first event sets the time for all */
	begin_turn(outbox);
}

/* The send of a piece has ended. Return: 0, or a negative errno if there is nothing more to do for this outbox. */
static int on_sent(struct outbox *outbox, const struct send_op *op)
{
	const struct outbox_ops *ops = outbox->outboxes->ops;
	ssize_t n = op->result;
	int r;

	if (n == -EAGAIN || n == -EINTR || n == -ENOBUFS || n == -ENOMEM)
		n = 0;
	r = n < 0 ? (int)n : ops->sent(outbox, op, (size_t)n);
	if (r < 0)
		return r;
	outbox->turn_size += (size_t)n;
	/* If the socket is not full, it can be written to at once: it waits for the loop's next turn. */
	if ((size_t)n < op->size)
		ops->wait(outbox, true);
	else if (outbox->turn_size >= SEND_SLICE)
		ops->wait(outbox, false);
	else
		become_due(outbox);
	return 0;
}

struct round {
	struct send_op ops[SENDS_MAX];
	struct outbox *of[SENDS_MAX]; /* the outbox of each */
	unsigned int n;
	struct outbox *closed[SENDS_MAX];
	unsigned int n_closed;
};

/* Get the next piece of an outbox that is due. */
static void round_ask(struct round *round, struct outbox *outbox)
{
	const struct outbox_ops *ops = outbox->outboxes->ops;
	struct send_op *op = &round->ops[round->n];
	int r;

	not_due(outbox);
	op->fd = outbox->fd;
	op->n_parts = 0;
	op->size = 0;
	r = ops->piece(outbox, op);
	if (r == -EAGAIN)
		ops->wait(outbox, false);
	else if (r < 0)
		round->closed[round->n_closed++] = outbox;
	else if (op->size > 0)
		round->of[round->n++] = outbox;
}

/* The user whose turn it is: the first who has time left, or the first. NULL: none. @late: has no time left */
static struct sender *next_sender(const struct outboxes *outboxes, uint64_t now, bool *late)
{
	struct sender *sender;

	*late = false;
	TAILQ_FOREACH(sender, &outboxes->senders, turn)
		if (budget_wait(sender->account, now / NSEC_PER_USEC) == 0)
			return sender;
	*late = true;
	return TAILQ_FIRST(&outboxes->senders);
}

static void spend(const struct sender *sender, uint64_t nsec, uint64_t now)
{
	budget_spend(sender->account, (nsec + NSEC_PER_USEC / 2) / NSEC_PER_USEC, now / NSEC_PER_USEC);
}

/* One piece of a user, who is the last then. Return: the time. */
static uint64_t ask(struct outboxes *outboxes, struct round *round, struct sender *sender, uint64_t now)
{
	struct outbox *outbox = TAILQ_FIRST(&sender->due);
	uint64_t ended;

	if (TAILQ_NEXT(sender, turn)) {
		TAILQ_REMOVE(&outboxes->senders, sender, turn);
		TAILQ_INSERT_TAIL(&outboxes->senders, sender, turn);
	}
	round_ask(round, outbox);
	ended = monotonic_nsec();
	spend(sender, ended - now, ended);
	return ended;
}

/* Each user pays a part of the time. Return: the time. */
static uint64_t send_all(struct outboxes *outboxes, struct round *round, uint64_t now)
{
	unsigned int same = 0;
	uint64_t ended;

	if (round->n == 0)
		return now;
	send_batch_run(outboxes->batch, round->ops, round->n);
	ended = monotonic_nsec();
	for (unsigned int i = 0; i < round->n; i++) {
		same++;
		if (i + 1 < round->n && round->of[i + 1]->sender == round->of[i]->sender)
			continue;
		spend(round->of[i]->sender, (ended - now) * same / round->n, ended);
		same = 0;
	}
	return ended;
}

/* What was sent is taken from all of them before any is closed. */
static void finish_round(struct outboxes *outboxes, struct round *round)
{
	for (unsigned int i = 0; i < round->n; i++)
		if (on_sent(round->of[i], &round->ops[i]) < 0)
			round->closed[round->n_closed++] = round->of[i];
	for (unsigned int i = 0; i < round->n_closed; i++)
		outboxes->ops->close(round->closed[i]);
}

/*
 * Send one piece for each of some outboxes, of users who have time left or of the others, and at least one. None is closed
 * before all have sent: closing one frees its view, which the send of another one may point into, and can make the source
 * publish an event because it is asked for fewer types.
 */
static void run_round(struct outboxes *outboxes, uint64_t until)
{
	unsigned int max = views_kept(hub_views(outboxes->hub));
	uint64_t began = monotonic_nsec(), now = began;
	bool late, other;
	struct sender *sender = next_sender(outboxes, now, &late);
	struct sends *sends = late ? &outboxes->late : &outboxes->timely;
	struct round round;

	round.n = round.n_closed = 0;
	if (max > SENDS_MAX)
		max = SENDS_MAX;
	for (unsigned int i = 0; i < max && sender; i++) {
		now = ask(outboxes, &round, sender, now);
		sender = next_sender(outboxes, now, &other);
		if (now >= until || other != late)
			break;
	}
	now = send_all(outboxes, &round, now);
	finish_round(outboxes, &round);
	sends->n += round.n;
	sends->nsec += now - began;
}

/*
 * New events wait in proportion to the time that sending took; for users who have time left they do not wait because of what the
 * others are sent.
 */
static void set_next(struct outboxes *outboxes, uint64_t now_usec)
{
	const struct sends *sends = outboxes->timely.n > 0 ? &outboxes->timely : &outboxes->late;
	uint64_t wait = sends->n < MANY ? 0 : sends->nsec / NSEC_PER_USEC * (PARTS - 1);

	if (wait > outboxes->options->coalesce_usec)
		wait = outboxes->options->coalesce_usec;
	outboxes->next_usec = wait < WAIT_MIN_USEC ? 0 : now_usec + wait;
	outboxes->sent_until = log_next(hub_log(outboxes->hub));
	outboxes->timely = outboxes->late = (struct sends){ 0 };
}

/* When sending has to end that began then: who has had the share does not keep others waiting. */
static uint64_t end_of(const struct outboxes *outboxes, uint64_t began, bool late)
{
	return began + (late && HASH_COUNT(outboxes->by_account) > 1 ? LATE_NSEC : TURN_NSEC);
}

/* Send until nothing is due, or the time has come. */
static void run_turn(struct outboxes *outboxes)
{
	uint64_t began = monotonic_nsec(), now = began;
	const struct sender *rest;
	bool late;

	outboxes->scheduled = outboxes->at_once = true;
	while ((rest = next_sender(outboxes, now, &late)) && now < end_of(outboxes, began, late)) {
		run_round(outboxes, end_of(outboxes, began, late));
		now = monotonic_nsec();
	}
	outboxes->scheduled = outboxes->at_once = false;
	if (!rest || late)
		set_next(outboxes, now / NSEC_PER_USEC);
	if (rest)
		run_rest(outboxes, rest, now / NSEC_PER_USEC);
}

void outboxes_run(struct outboxes *outboxes)
{
	while (!TAILQ_EMPTY(&outboxes->senders))
		run_round(outboxes, UINT64_MAX);
}

static void on_turn(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what;
	run_turn(userdata);
}

static void on_rest(evutil_socket_t fd, short what, void *userdata)
{
	struct outboxes *outboxes = userdata;

	(void)fd, (void)what;
	if (slice_turn_is_over(monotonic_nsec()))
		event_active(outboxes->rest, EV_TIMEOUT, 0);
	else
		run_turn(outboxes);
}
