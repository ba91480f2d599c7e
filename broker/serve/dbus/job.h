/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A job sends from a cursor, in turn with all other jobs: a subscription, or a list.
 */

#include "core/cursor.h"
#include "serve/dbus/context.h"

struct dbus_job {
	struct dbus_peer *peer; /* its owner */
	struct cursor cursor;
	struct dbus_jobs
		*ready; /* the list that it is in: dbus.ready or dbus.late; NULL: it has nothing to send */
	bool blocked;	/* its peer must first read the signals that were sent */
	TAILQ_ENTRY(dbus_job) turn;
	TAILQ_ENTRY(dbus_job) of_peer;
	/*
	 * Send up to @budget messages, and subtract them.
	 * Return: 0 if there is nothing more now, -EAGAIN if there may be in another turn; another negative errno: it has
	 * ended, and is to be freed.
	 */
	int (*run)(struct dbus_job *job, unsigned int *budget);
	void (*free)(struct dbus_job *job);
};

/* dbus_job_reserve() - a place in the budget for one of the peer's jobs. Return: 0, or 1 after the call was refused. */
int dbus_job_reserve(struct dbus_peer *peer, sd_bus_message *call);
/*
 * dbus_job_begin() - start a job of a peer, whose place is reserved. @request: its filter is taken. Return: as
 * cursor_init().
 */
int dbus_job_begin(struct dbus_job *job, struct dbus_peer *peer, struct request *request, bool all,
		   struct filter_error *error);
/* dbus_job_end() - remove it from the lists it is in, and give its place back */
void dbus_job_end(struct dbus_job *job);

/* dbus_job_ready() - it may have something to send */
void dbus_job_ready(struct dbus_job *job);
/* dbus_job_block() - wait until its peer has read the signals: then it is ready again, after jobs that wait longer */
void dbus_job_block(struct dbus_job *job);
/* dbus_jobs_unblock() - the peer has read the signals */
void dbus_jobs_unblock(struct dbus_peer *peer);

/* dbus_jobs_run() - run all in turn, within the limits of one turn of the loop; sets dbus.again if more is left */
void dbus_jobs_run(struct dbus *dbus);
/* dbus_jobs_run_late() - the same for those that come later, in a slice */
void dbus_jobs_run_late(struct dbus *dbus);
