// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/dbus/job.h"

#include <errno.h>
#include <event2/event.h>

#include "core/slice.h"
#include "serve/dbus/dictionary.h"

/* The most messages in one turn of the loop: in total, and of one job before the others. */
#define MESSAGES_PER_TURN 100
#define MESSAGES_PER_JOB  16
#define TURN_NSEC	  (2 * NSEC_PER_MSEC)
/* The most messages that wait until the bus reads them. More events wait in the log. Half is for users who have time left. */
#define QUEUE_MAX	  1024
#define QUEUE_MAX_LATE	  (QUEUE_MAX / 2)

static void on_wake(struct cursor *cursor)
{
	dbus_job_ready((struct dbus_job *)((char *)cursor - offsetof(struct dbus_job, cursor)));
}

/* Jobs of users who had their share of the time come after the others. */
static void add_to_ready(struct dbus_job *job)
{
	struct dbus *dbus = job->peer->dbus;
	bool late = budget_wait(job->peer->account, clock_usec(CLOCK_MONOTONIC)) > 0;

	job->ready = late ? &dbus->late : &dbus->ready;
	TAILQ_INSERT_TAIL(job->ready, job, turn);
}

void dbus_job_ready(struct dbus_job *job)
{
	struct dbus *dbus = job->peer->dbus;

	if (job->ready)
		return;
	add_to_ready(job);
	event_active(job->ready == &dbus->late ? dbus->later : dbus->work, EV_TIMEOUT, 0);
}

void dbus_job_block(struct dbus_job *job)
{
	job->blocked = true;
	TAILQ_REMOVE(&job->peer->jobs, job, of_peer);
	TAILQ_INSERT_TAIL(&job->peer->jobs, job, of_peer);
	cursor_block(&job->cursor);
}

void dbus_jobs_unblock(struct dbus_peer *peer)
{
	struct dbus_job *job;

	TAILQ_FOREACH(job, &peer->jobs, of_peer) {
		if (!job->blocked)
			continue;
		job->blocked = false;
		dbus_job_ready(job);
	}
}

static void remove_from_ready(struct dbus_job *job)
{
	if (!job->ready)
		return;
	TAILQ_REMOVE(job->ready, job, turn);
	job->ready = NULL;
}

int dbus_job_reserve(struct dbus_peer *peer, sd_bus_message *call)
{
	int r = budget_take(peer->account, BUDGET_CONNECTIONS, 1);
	char detail[BUDGET_TEXT_MAX];

	if (r == 0)
		return 0;
	(void)sd_bus_reply_method_errorf(call, DBUS_ERROR("TooManySubscriptions"), "%s",
					 budget_refusal(detail, peer->account, BUDGET_CONNECTIONS, r));
	return 1;
}

int dbus_job_begin(struct dbus_job *job, struct dbus_peer *peer, struct request *request, bool all,
		   struct filter_error *error)
{
	struct visibility visibility = access_of(&peer->identity);

	visibility.all |= all;
	job->peer = peer;
	TAILQ_INSERT_TAIL(&peer->jobs, job, of_peer);
	peer->dbus->stats.connections++;
	return cursor_init(&job->cursor, peer->dbus->context.hub, request, visibility, peer->account,
			   &encoding_packed, on_wake, error);
}

void dbus_job_end(struct dbus_job *job)
{
	struct dbus *dbus = job->peer->dbus;

	remove_from_ready(job);
	TAILQ_REMOVE(&job->peer->jobs, job, of_peer);
	cursor_done(&job->cursor);
	dbus->stats.connections--;
	budget_give(job->peer->account, BUDGET_CONNECTIONS, 1);
}

static bool has_room(const struct dbus *dbus, uint64_t max)
{
	uint64_t waiting = 0;

	return sd_bus_get_n_queued_write(dbus->connection, &waiting) >= 0 && waiting < max;
}

/* Return: messages sent. */
static unsigned int run(struct dbus_job *job, unsigned int budget)
{
	unsigned int left = budget < MESSAGES_PER_JOB ? budget : MESSAGES_PER_JOB, share = left;
	struct budget_account *account = budget_account_ref(job->peer->account);
	uint64_t began = monotonic_nsec(), ended;
	int r;

	remove_from_ready(job);
	r = job->run(job, &left);
	ended = monotonic_nsec();
	budget_spend(account, (ended - began + NSEC_PER_USEC / 2) / NSEC_PER_USEC, ended / NSEC_PER_USEC);
	budget_account_put(account);
	if (r == -EAGAIN && !job->ready)
		add_to_ready(job);
	else if (r < 0 && r != -EAGAIN)
		job->free(job);
	return share - left;
}

/* Jobs in turn, as long as one of them sends something. Return: whether there is more to do in the next turn. */
static bool run_jobs(struct dbus *dbus, struct dbus_jobs *jobs, struct slice slice, uint64_t queue_max)
{
	unsigned int budget = MESSAGES_PER_TURN, sent = 1;

	while (sent > 0 && !TAILQ_EMPTY(jobs)) {
		struct dbus_job *job, *last = TAILQ_LAST(jobs, dbus_jobs);
		bool was_last = false;

		for (sent = 0; !was_last && (job = TAILQ_FIRST(jobs));) {
			if (!has_room(dbus, queue_max))
				return false; /* the loop continues when the bus can take more */
			if (sent == budget || slice_is_over(&slice, SLICE_DEAR))
				return true;
			was_last = job == last;
			sent += run(job, budget - sent);
		}
		budget -= sent;
	}
	return !TAILQ_EMPTY(jobs);
}

void dbus_jobs_run(struct dbus *dbus)
{
	dbus->again |= run_jobs(dbus, &dbus->ready, slice_begin(TURN_NSEC), QUEUE_MAX);
	if (!TAILQ_EMPTY(&dbus->late) && has_room(dbus, QUEUE_MAX_LATE))
		event_active(dbus->later, EV_TIMEOUT, 0);
}

void dbus_jobs_run_late(struct dbus *dbus)
{
	if (slice_turn_is_over(monotonic_nsec()) ||
	    run_jobs(dbus, &dbus->late, slice_begin(SLICE_NSEC), QUEUE_MAX_LATE))
		event_active(dbus->later, EV_TIMEOUT, 0);
}
