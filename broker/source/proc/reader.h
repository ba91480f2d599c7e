/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A thread that reads /proc for the event loop, which must not sleep there. Questions are answered in the order in which
 * they are asked; there is room for a fixed number of them.
 */

#include <sys/queue.h>

#include "source/proc/procfs.h"
#include "source/proc/snapshot.h"

#define PROC_QUESTIONS_MAX 256

struct proc_question {
	uint32_t pid;
	field_set fields; /* as procfs_read() takes them */

	/* The answer */
	bool answered;
	bool found;
	bool gone;	    /* there is no such process, or it is dead; neither: unknown */
	uint64_t read_nsec; /* CLOCK_MONOTONIC, after it was read */
	struct fb_event event;
	struct procfs_text text;
	struct procfs_stat stat;

	/* The asker's */
	unsigned int purpose;
	bool awaited;	     /* a caller will read the answer and give it back */
	uint64_t start_usec; /* of the process that was asked about; 0: not known yet */
	uint64_t exec_nsec,
		comm_nsec; /* when the program or the name changed after the question; 0: no change is known */

	TAILQ_ENTRY(proc_question) link;
};

struct proc_helper;

int proc_helper_new(struct proc_helper **ret);
/* If the thread stays asleep in the kernel, it is left running. NULL is allowed. Return: NULL. */
struct proc_helper *proc_helper_free(struct proc_helper *helper);

/* proc_helper_fd() - readable when there are answers */
int proc_helper_fd(const struct proc_helper *helper);

/* proc_helper_ask() - Return: the question, to be given back when it is answered; NULL: there are too many questions. */
struct proc_question *proc_helper_ask(struct proc_helper *helper, uint32_t pid, field_set fields);
/* proc_helper_give() - done with an answered question */
void proc_helper_give(struct proc_helper *helper, struct proc_question *question);

/* proc_helper_collect() - the next new answer, NULL: none */
struct proc_question *proc_helper_collect(struct proc_helper *helper);

/* proc_helper_changed() - a process that may have been asked about runs another program (@exec), or has another name */
void proc_helper_changed(struct proc_helper *helper, uint32_t pid, uint64_t nsec, bool exec);

/* proc_helper_scan() - start taking a snapshot. Return: 0, or -EBUSY while another is taken. */
int proc_helper_scan(struct proc_helper *helper);
/* proc_helper_scanned() - the snapshot, once: valid until the next proc_helper_scan(); NULL: not yet. @result: 0 or errno. */
const struct proc_snapshot *proc_helper_scanned(struct proc_helper *helper, int *result);
