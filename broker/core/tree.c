// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "core/hash-number.h"
#include "core/tree.h"

#include "base/cleanup.h"

/* The number of dead members to keep for a subscriber that is behind; if there are more, the longest dead are dropped. */
#define TREE_DEAD_MAX 65536

struct member {
	struct holder *holder;
	uint64_t start_usec; /* 0: unknown */
	uint64_t ended;	     /* seq of its exit, 0: it lives */
	LIST_ENTRY(member) namesake;
	TAILQ_ENTRY(member) dead;
};

/* A pid, and the members that have had it, the latest first. */
struct holder {
	uint32_t pid;
	LIST_HEAD(, member) members;
	UT_hash_handle hh;
};

struct tree {
	struct holder *holders;
	TAILQ_HEAD(, member) dead; /* in the order of their exit events */
	unsigned int n_dead;
};

DEFINE_CLEANUP(struct tree, tree_free)

static struct holder *find_holder(const struct tree *tree, uint32_t pid)
{
	struct holder *holder;

	HASH_FIND(hh, tree->holders, &pid, sizeof(pid), holder);
	return holder;
}

/* If one side does not know the start, the pid decides. */
static struct member *find(const struct tree *tree, struct process_id id)
{
	const struct holder *holder = find_holder(tree, id.pid);
	struct member *member;

	if (holder)
		LIST_FOREACH(member, &holder->members, namesake)
			if (id.start_usec == 0 || member->start_usec == 0 ||
			    event_same_start(member->start_usec, id.start_usec))
				return member;
	return NULL;
}

static struct holder *get_holder(struct tree *tree, uint32_t pid)
{
	struct holder *holder = find_holder(tree, pid);
	bool oom = false;

	if (holder)
		return holder;
	holder = calloc(1, sizeof(*holder));
	if (!holder)
		return NULL;
	holder->pid = pid;
	LIST_INIT(&holder->members);
	HASH_ADD(hh, tree->holders, pid, sizeof(pid), holder);
	if (oom) {
		free(holder);
		return NULL;
	}
	return holder;
}

static void drop_empty(struct tree *tree, struct holder *holder)
{
	if (!LIST_EMPTY(&holder->members))
		return;
	HASH_DEL(tree->holders, holder);
	free(holder);
}

static int add(struct tree *tree, struct process_id id)
{
	struct member *member;
	struct holder *holder;

	if (find(tree, id))
		return 0;
	holder = get_holder(tree, id.pid);
	if (!holder)
		return -ENOMEM;
	member = calloc(1, sizeof(*member));
	if (!member) {
		drop_empty(tree, holder);
		return -ENOMEM;
	}
	member->holder = holder;
	member->start_usec = id.start_usec;
	LIST_INSERT_HEAD(&holder->members, member, namesake);
	return 0;
}

static void forget_oldest(struct tree *tree)
{
	struct member *member = TAILQ_FIRST(&tree->dead);

	TAILQ_REMOVE(&tree->dead, member, dead);
	tree->n_dead--;
	LIST_REMOVE(member, namesake);
	drop_empty(tree, member->holder);
	free(member);
}

/* Pids are visited in the order in which they were added, so pids that are added meanwhile are visited, too. */
static int add_living(struct tree *tree, const struct table *table)
{
	for (const struct holder *holder = tree->holders; holder; holder = holder->hh.next) {
		const struct process *process = table_find(table, holder->pid);

		if (!process || !find(tree, process->id))
			continue;
		for (const struct process *child = process->children; child; child = child->sibling) {
			int r = add(tree, child->id);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int tree_new(struct tree **ret, struct process_id root, const struct table *table)
{
	_cleanup_(tree_free_p) struct tree *tree = calloc(1, sizeof(*tree));
	int r;

	if (!tree)
		return -ENOMEM;
	TAILQ_INIT(&tree->dead);
	r = add(tree, root);
	if (r == 0)
		r = add_living(tree, table);
	if (r < 0)
		return r;
	*ret = steal(tree);
	return 0;
}

struct tree *tree_free(struct tree *tree)
{
	struct holder *holder, *next;
	struct member *member;

	if (!tree)
		return NULL;
	HASH_ITER(hh, tree->holders, holder, next) {
		while ((member = LIST_FIRST(&holder->members))) {
			LIST_REMOVE(member, namesake);
			free(member);
		}
		drop_empty(tree, holder);
	}
	free(tree);
	return NULL;
}

/* Is it a fork by a member? A thread is not a child; events of other types may name a parent that the process got later. */
static bool is_birth(const struct tree *tree, const struct fb_event *event)
{
	struct process_id parent = { 0 };

	if (event->type != EVENT_FORK || fb_event_is_thread(event) || !EVENT_HAS(event, ppid))
		return false;
	parent.pid = event->ppid;
	if (EVENT_HAS(event, parent_start_usec))
		parent.start_usec = event->parent_start_usec;
	return find(tree, parent);
}

bool tree_take(struct tree *tree, const struct fb_event *event)
{
	struct process_id id = { 0 };
	struct member *member;

	if (!EVENT_HAS(event, pid))
		return false;
	id.pid = event->pid;
	if (EVENT_HAS(event, start_usec))
		id.start_usec = event->start_usec;
	if (is_birth(tree, event))
		(void)add(tree, id);
	member = find(tree, id);
	if (!member)
		return false;
	if (event->type == EVENT_EXIT && !fb_event_is_thread(event) && member->ended == 0) {
		member->ended = event->seq;
		TAILQ_INSERT_TAIL(&tree->dead, member, dead);
		tree->n_dead++;
		if (tree->n_dead > TREE_DEAD_MAX)
			forget_oldest(tree);
	}
	return true;
}

void tree_forget(struct tree *tree, uint64_t seq)
{
	while (!TAILQ_EMPTY(&tree->dead) && TAILQ_FIRST(&tree->dead)->ended < seq)
		forget_oldest(tree);
}
