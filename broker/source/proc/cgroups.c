// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/proc/cgroups.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>

#define HASH_NONFATAL_OOM	    1
#define uthash_nonfatal_oom(_entry) (oom = true)
#include <uthash.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "source/proc/cgroups-read.h"

/* Reading takes at most this fraction (1/n) of the time. */
#define READING_SHARE 4
/* Wait for the end of a pause that is not longer than this. */
#define PATIENCE_NSEC (20 * NSEC_PER_MSEC)
/* How long to wait before searching again for a number that was not found. */
#define UNKNOWN_NSEC  (1 * NSEC_PER_SEC)
/* How long to keep a removed cgroup: events of its processes may still arrive. */
#define REMOVED_NSEC  (30 * NSEC_PER_SEC)

struct cgroup {
	uint64_t id;
	char *path;	       /* owned; NULL: there was none with this id */
	uint64_t asked_nsec;   /* of one without a path */
	uint64_t removed_nsec; /* since when it is known to be removed; 0: it exists */
	uint64_t reading;      /* the last reading that found it */
	TAILQ_ENTRY(cgroup) use;
	UT_hash_handle hh;
};

enum reading { READING_NONE, READING_WANTED, READING_RUNS, READING_DONE };

struct cgroups {
	char *root;
	struct cgroup *known;		 /* by id */
	TAILQ_HEAD(, cgroup) uses;	 /* least recent first */
	uint64_t begun_nsec, ended_nsec; /* of the last reading */
	struct cgroups_stats stats;

	int fd;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool quit;
	enum reading reading;
	int result;
	struct cgroups_list list; /* the thread's while it reads */
};

/* The thread */

static void read_once(struct cgroups *cgroups)
{
	uint64_t one = 1;

	cgroups->reading = READING_RUNS;
	pthread_mutex_unlock(&cgroups->lock);
	cgroups->result = cgroups_read(&cgroups->list, cgroups->root);
	pthread_mutex_lock(&cgroups->lock);
	cgroups->reading = READING_DONE;
	(void)!write(cgroups->fd, &one, sizeof(one));
}

static void *run(void *userdata)
{
	struct cgroups *cgroups = userdata;

	pthread_mutex_lock(&cgroups->lock);
	while (!cgroups->quit) {
		if (cgroups->reading == READING_WANTED)
			read_once(cgroups);
		else
			pthread_cond_wait(&cgroups->wake, &cgroups->lock);
	}
	pthread_mutex_unlock(&cgroups->lock);
	return NULL;
}

/* Signals are the event loop's. */
static int start_thread(struct cgroups *cgroups)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&cgroups->thread, NULL, run, cgroups);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	cgroups->running = r == 0;
	return r;
}

static void ask(struct cgroups *cgroups, uint64_t now)
{
	pthread_mutex_lock(&cgroups->lock);
	if (cgroups->reading == READING_NONE) {
		cgroups->reading = READING_WANTED;
		cgroups->begun_nsec = now;
		pthread_cond_signal(&cgroups->wake);
	}
	pthread_mutex_unlock(&cgroups->lock);
}

/* The known paths */

static struct cgroup *lookup(const struct cgroups *cgroups, uint64_t id)
{
	struct cgroup *cgroup;

	HASH_FIND(hh, cgroups->known, &id, sizeof(id), cgroup);
	return cgroup;
}

static void forget(struct cgroups *cgroups, struct cgroup *cgroup)
{
	HASH_DEL(cgroups->known, cgroup);
	TAILQ_REMOVE(&cgroups->uses, cgroup, use);
	free(cgroup->path);
	free(cgroup);
	cgroups->stats.kept--;
}

static struct cgroup *add(struct cgroups *cgroups, uint64_t id)
{
	struct cgroup *cgroup;
	bool oom = false;

	if (cgroups->stats.kept == CGROUPS_MAX)
		forget(cgroups, TAILQ_FIRST(&cgroups->uses));
	cgroup = calloc(1, sizeof(*cgroup));
	if (!cgroup)
		return NULL;
	cgroup->id = id;
	HASH_ADD(hh, cgroups->known, id, sizeof(id), cgroup);
	if (oom) {
		free(cgroup);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&cgroups->uses, cgroup, use);
	cgroups->stats.kept++;
	return cgroup;
}

/* Keep a cgroup that was found. If no caller asked for it, it gets only a free place. */
static void take(struct cgroups *cgroups, uint64_t id, const char *path)
{
	struct cgroup *cgroup = lookup(cgroups, id);

	if (!cgroup && cgroups->stats.kept < CGROUPS_MAX)
		cgroup = add(cgroups, id);
	if (!cgroup)
		return;
	cgroup->reading = cgroups->stats.readings;
	cgroup->removed_nsec = 0;
	if (cgroup->path && strcmp(cgroup->path, path) == 0)
		return;
	free(cgroup->path);
	cgroup->path = strdup(path);
}

/* Numbers that were not found. */
static void expire(struct cgroups *cgroups)
{
	struct cgroup *cgroup, *next;

	for (cgroup = TAILQ_FIRST(&cgroups->uses); cgroup; cgroup = next) {
		next = TAILQ_NEXT(cgroup, use);
		if (cgroup->reading == cgroups->stats.readings || !cgroup->path)
			continue;
		if (!cgroup->removed_nsec)
			cgroup->removed_nsec = cgroups->ended_nsec;
		else if (cgroups->ended_nsec > cgroup->removed_nsec + REMOVED_NSEC)
			forget(cgroups, cgroup);
	}
}

void cgroups_collect(struct cgroups *cgroups)
{
	const struct cgroups_list *list = &cgroups->list;
	uint64_t count;
	bool done;

	pthread_mutex_lock(&cgroups->lock);
	done = cgroups->reading == READING_DONE;
	if (done)
		cgroups->reading = READING_NONE;
	pthread_mutex_unlock(&cgroups->lock);
	if (!done)
		return;
	(void)!read(cgroups->fd, &count, sizeof(count));
	cgroups->ended_nsec = monotonic_nsec();
	cgroups->stats.readings++;
	for (size_t i = 0; i < list->n; i++)
		take(cgroups, list->entries[i].id, list->texts + list->entries[i].path);
	if (cgroups->result == 0 && list->n < CGROUPS_READ_MAX)
		expire(cgroups);
}

static void use(struct cgroups *cgroups, struct cgroup *cgroup)
{
	TAILQ_REMOVE(&cgroups->uses, cgroup, use);
	TAILQ_INSERT_TAIL(&cgroups->uses, cgroup, use);
}

/* Was there a search since it was requested, or is it too soon to search again? */
static int answer_unknown(struct cgroups *cgroups, struct cgroup *cgroup, uint64_t now)
{
	uint64_t took =
		cgroups->ended_nsec > cgroups->begun_nsec ? cgroups->ended_nsec - cgroups->begun_nsec : 0;
	bool runs = cgroups->begun_nsec > cgroups->ended_nsec;
	uint64_t again;

	if (cgroup->asked_nsec && !runs && cgroups->begun_nsec >= cgroup->asked_nsec &&
	    now < cgroup->asked_nsec + UNKNOWN_NSEC) {
		cgroups->stats.unknown++;
		return CGROUPS_E_UNKNOWN;
	}
	if (!cgroup->asked_nsec || now >= cgroup->asked_nsec + UNKNOWN_NSEC)
		cgroup->asked_nsec = now;
	if (runs)
		return CGROUPS_E_LATER;
	again = cgroups->ended_nsec + READING_SHARE * took;
	if (now + PATIENCE_NSEC < again) {
		cgroups->stats.unknown++;
		return CGROUPS_E_UNKNOWN;
	}
	if (now >= again)
		ask(cgroups, now);
	return CGROUPS_E_LATER;
}

int cgroups_find(struct cgroups *cgroups, uint64_t id, struct event_text *path)
{
	struct cgroup *cgroup = lookup(cgroups, id);

	if (!cgroup)
		cgroup = add(cgroups, id);
	if (!cgroup)
		return CGROUPS_E_UNKNOWN;
	use(cgroups, cgroup);
	if (!cgroup->path)
		return answer_unknown(cgroups, cgroup, monotonic_nsec());
	*path = event_text(cgroup->path);
	return 0;
}

int cgroups_fd(const struct cgroups *cgroups)
{
	return cgroups->fd;
}

const struct cgroups_stats *cgroups_stats(const struct cgroups *cgroups)
{
	return &cgroups->stats;
}

DEFINE_CLEANUP(struct cgroups, cgroups_free)

int cgroups_new(struct cgroups **ret, const char *root)
{
	_cleanup_(cgroups_free_p) struct cgroups *cgroups = calloc(1, sizeof(*cgroups));
	int r;

	if (!cgroups)
		return -ENOMEM;
	TAILQ_INIT(&cgroups->uses);
	pthread_mutex_init(&cgroups->lock, NULL);
	pthread_cond_init(&cgroups->wake, NULL);
	cgroups->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (cgroups->fd < 0)
		return -errno;
	cgroups->root = root ? strdup(root) : cgroups_root();
	if (!cgroups->root)
		return -ENOENT;
	cgroups->begun_nsec = monotonic_nsec();
	r = cgroups_read(&cgroups->list, cgroups->root);
	if (r < 0)
		return r;
	cgroups->reading = READING_DONE;
	cgroups_collect(cgroups);
	r = start_thread(cgroups);
	if (r < 0)
		return r;
	*ret = steal(cgroups);
	return 0;
}

struct cgroups *cgroups_free(struct cgroups *cgroups)
{
	struct timespec until;

	if (!cgroups)
		return NULL;
	if (cgroups->running) {
		pthread_mutex_lock(&cgroups->lock);
		cgroups->quit = true;
		pthread_cond_signal(&cgroups->wake);
		pthread_mutex_unlock(&cgroups->lock);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 1;
		if (pthread_timedjoin_np(cgroups->thread, NULL, &until) != 0) {
			/* The thread may still write to its data, so they are not freed. */
			pthread_detach(cgroups->thread);
			return NULL;
		}
	}
	while (!TAILQ_EMPTY(&cgroups->uses))
		forget(cgroups, TAILQ_FIRST(&cgroups->uses));
	close_fd(cgroups->fd);
	cgroups_list_done(&cgroups->list);
	free(cgroups->root);
	pthread_cond_destroy(&cgroups->wake);
	pthread_mutex_destroy(&cgroups->lock);
	free(cgroups);
	return NULL;
}
