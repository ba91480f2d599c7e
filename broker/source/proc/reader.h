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

/* What a process can change between a question and its answer. */
enum proc_change {
	PROC_CHANGE_PROGRAM,
	PROC_CHANGE_NAME,
	PROC_CHANGE_IDS,
	PROC_CHANGE_SESSION,
	PROC_CHANGE_OWNER, /* another process has its pid */
	_PROC_CHANGE_MAX,
};

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
	bool awaited;				 /* a caller will read the answer and give it back */
	unsigned int tries;			 /* how many times it was asked */
	uint64_t start_usec;			 /* of the process that was asked about; 0: not known yet */
	uint64_t changed_nsec[_PROC_CHANGE_MAX]; /* the first change after the question; 0: none is known */

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

/* proc_helper_repeat() - ask an answered question once more */
void proc_helper_repeat(struct proc_helper *helper, struct proc_question *question);
/* proc_helper_changed() - a process that may have been asked about has changed */
void proc_helper_changed(struct proc_helper *helper, uint32_t pid, enum proc_change change, uint64_t nsec);
/* proc_helper_doubt() - messages are missing: every process that was asked about may have changed in every way */
void proc_helper_doubt(struct proc_helper *helper);
/* proc_helper_room() - how many questions can be asked now */
unsigned int proc_helper_room(const struct proc_helper *helper);

/* Was the answer read before this change, as far as changes are known? */
static inline bool proc_question_precedes(const struct proc_question *question, enum proc_change change)
{
	return !question->changed_nsec[change] || question->read_nsec < question->changed_nsec[change];
}

/* proc_helper_scan() - start taking a snapshot. Return: 0, or -EBUSY while another is taken. */
int proc_helper_scan(struct proc_helper *helper);
/* proc_helper_scanned() - the snapshot, once: valid until the next proc_helper_scan(); NULL: not yet. @result: 0 or errno. */
const struct proc_snapshot *proc_helper_scanned(struct proc_helper *helper, int *result);
