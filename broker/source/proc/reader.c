// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/proc/reader.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"

TAILQ_HEAD(question_list, proc_question);

enum scan_state { SCAN_NONE, SCAN_WANTED, SCAN_RUNNING, SCAN_DONE };

struct proc_helper {
	int proc, fd;
	pthread_t thread;
	bool running;
	struct question_list all; /* used by the event loop: asked and not given back */
	struct question_list spare;
	unsigned int n_spare;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool quit, sleeping;
	bool notified; /* the event loop has been woken and has not looked yet */
	enum scan_state scan;
	int scan_result;
	struct proc_snapshot snapshot;
	/* Rings of questions, as pointers, because each is also in @all. */
	struct proc_question *asked[PROC_QUESTIONS_MAX], *answered[PROC_QUESTIONS_MAX];
	unsigned int asked_first, n_asked, answered_first, n_answered;

	struct proc_question questions[PROC_QUESTIONS_MAX];
};

static void helper_answer(struct proc_helper *helper, struct proc_question *question)
{
	int r = procfs_read(helper->proc, question->pid, 0, question->fields, &question->event,
			    &question->text, &question->stat);

	question->found = r == 0;
	question->gone = r == PROCFS_E_GONE || (r == 0 && procfs_stat_is_dead(&question->stat));
	question->read_nsec = monotonic_nsec();
}

/* Called with the lock held. */
static void helper_notify(struct proc_helper *helper)
{
	uint64_t one = 1;

	if (helper->notified)
		return;
	helper->notified = true;
	if (write(helper->fd, &one, sizeof(one)) < 0)
		helper->notified = false;
}

/* Called with the lock held, which is released meanwhile. */
static void helper_work(struct proc_helper *helper)
{
	struct proc_question *question;

	if (helper->scan == SCAN_WANTED) {
		helper->scan = SCAN_RUNNING;
		pthread_mutex_unlock(&helper->lock);
		helper->scan_result = proc_snapshot_take(&helper->snapshot, helper->proc);
		pthread_mutex_lock(&helper->lock);
		helper->scan = SCAN_DONE;
		helper_notify(helper);
		return;
	}
	question = helper->asked[helper->asked_first];
	pthread_mutex_unlock(&helper->lock);
	helper_answer(helper, question);
	pthread_mutex_lock(&helper->lock);
	helper->asked_first = (helper->asked_first + 1) % PROC_QUESTIONS_MAX;
	helper->n_asked--;
	helper->answered[(helper->answered_first + helper->n_answered++) % PROC_QUESTIONS_MAX] = question;
	helper_notify(helper);
}

static void *helper_run(void *userdata)
{
	struct proc_helper *helper = userdata;

	pthread_mutex_lock(&helper->lock);
	while (!helper->quit) {
		if (helper->n_asked > 0 || helper->scan == SCAN_WANTED) {
			helper_work(helper);
			continue;
		}
		helper->sleeping = true;
		pthread_cond_wait(&helper->wake, &helper->lock);
		helper->sleeping = false;
	}
	pthread_mutex_unlock(&helper->lock);
	return NULL;
}

/* Signals are handled by the event loop. */
static int helper_start(struct proc_helper *helper)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&helper->thread, NULL, helper_run, helper);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	helper->running = r == 0;
	return r;
}

DEFINE_CLEANUP(struct proc_helper, proc_helper_free)

int proc_helper_new(struct proc_helper **ret)
{
	_cleanup_(proc_helper_free_p) struct proc_helper *helper = calloc(1, sizeof(*helper));
	int r;

	if (!helper)
		return -ENOMEM;
	pthread_mutex_init(&helper->lock, NULL);
	pthread_cond_init(&helper->wake, NULL);
	TAILQ_INIT(&helper->all);
	TAILQ_INIT(&helper->spare);
	for (size_t i = 0; i < PROC_QUESTIONS_MAX; i++)
		TAILQ_INSERT_TAIL(&helper->spare, &helper->questions[i], link);
	helper->n_spare = PROC_QUESTIONS_MAX;
	helper->proc = -1;
	helper->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (helper->fd < 0)
		return -errno;
	helper->proc = procfs_open();
	if (helper->proc < 0)
		return helper->proc;
	r = helper_start(helper);
	if (r < 0)
		return r;
	*ret = steal(helper);
	return 0;
}

static void helper_wake(struct proc_helper *helper)
{
	if (helper->sleeping)
		pthread_cond_signal(&helper->wake);
}

struct proc_helper *proc_helper_free(struct proc_helper *helper)
{
	struct timespec until;

	if (!helper)
		return NULL;
	if (helper->running) {
		pthread_mutex_lock(&helper->lock);
		helper->quit = true;
		pthread_cond_signal(&helper->wake);
		pthread_mutex_unlock(&helper->lock);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 1;
		if (pthread_timedjoin_np(helper->thread, NULL, &until) != 0) {
			/* The thread may still write to its data, so they are not freed. */
			pthread_detach(helper->thread);
			return NULL;
		}
	}
	close_fd(helper->fd);
	close_fd(helper->proc);
	proc_snapshot_done(&helper->snapshot);
	pthread_cond_destroy(&helper->wake);
	pthread_mutex_destroy(&helper->lock);
	free(helper);
	return NULL;
}

int proc_helper_fd(const struct proc_helper *helper)
{
	return helper->fd;
}

void proc_helper_repeat(struct proc_helper *helper, struct proc_question *question)
{
	question->answered = question->found = question->gone = false;
	question->tries++;
	pthread_mutex_lock(&helper->lock);
	helper->asked[(helper->asked_first + helper->n_asked++) % PROC_QUESTIONS_MAX] = question;
	helper_wake(helper);
	pthread_mutex_unlock(&helper->lock);
}

struct proc_question *proc_helper_ask(struct proc_helper *helper, uint32_t pid, field_set fields)
{
	struct proc_question *question = TAILQ_FIRST(&helper->spare);

	if (!question)
		return NULL;
	TAILQ_REMOVE(&helper->spare, question, link);
	helper->n_spare--;
	TAILQ_INSERT_TAIL(&helper->all, question, link);
	question->pid = pid;
	question->fields = fields;
	question->awaited = false;
	question->tries = 0;
	question->start_usec = 0;
	memset(question->changed_nsec, 0, sizeof(question->changed_nsec));
	proc_helper_repeat(helper, question);
	return question;
}

void proc_helper_give(struct proc_helper *helper, struct proc_question *question)
{
	TAILQ_REMOVE(&helper->all, question, link);
	TAILQ_INSERT_HEAD(&helper->spare, question, link);
	helper->n_spare++;
}

unsigned int proc_helper_room(const struct proc_helper *helper)
{
	return helper->n_spare;
}

struct proc_question *proc_helper_collect(struct proc_helper *helper)
{
	struct proc_question *question = NULL;
	uint64_t count;

	pthread_mutex_lock(&helper->lock);
	if (helper->n_answered > 0) {
		question = helper->answered[helper->answered_first];
		helper->answered_first = (helper->answered_first + 1) % PROC_QUESTIONS_MAX;
		helper->n_answered--;
		question->answered = true;
	} else if (helper->notified && helper->scan != SCAN_DONE) {
		helper->notified = false;
		(void)!read(helper->fd, &count, sizeof(count));
	}
	pthread_mutex_unlock(&helper->lock);
	return question;
}

void proc_helper_changed(struct proc_helper *helper, uint32_t pid, enum proc_change change, uint64_t nsec)
{
	struct proc_question *question;

	TAILQ_FOREACH(question, &helper->all, link)
		if (question->pid == pid && !question->changed_nsec[change])
			question->changed_nsec[change] = nsec;
}

void proc_helper_doubt(struct proc_helper *helper)
{
	struct proc_question *question;

	TAILQ_FOREACH(question, &helper->all, link)
		for (unsigned int change = 0; change < _PROC_CHANGE_MAX; change++)
			question->changed_nsec[change] = 1;
}

int proc_helper_scan(struct proc_helper *helper)
{
	int r = -EBUSY;

	pthread_mutex_lock(&helper->lock);
	if (helper->scan == SCAN_NONE) {
		helper->scan = SCAN_WANTED;
		helper_wake(helper);
		r = 0;
	}
	pthread_mutex_unlock(&helper->lock);
	return r;
}

const struct proc_snapshot *proc_helper_scanned(struct proc_helper *helper, int *result)
{
	const struct proc_snapshot *snapshot = NULL;

	pthread_mutex_lock(&helper->lock);
	if (helper->scan == SCAN_DONE) {
		helper->scan = SCAN_NONE;
		*result = helper->scan_result;
		snapshot = &helper->snapshot;
	}
	pthread_mutex_unlock(&helper->lock);
	return snapshot;
}
