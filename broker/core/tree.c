// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <sys/queue.h>

#include "core/tree.h"
#include "util/cleanup.h"

/* The dead that are remembered for a subscriber that is behind; beyond it the longest dead go. */
#define TREE_DEAD_MAX 65536

struct identity {
	uint64_t start_usec;
	uint64_t pid; /* wide, so that there is no padding in the key */
};

struct member {
	struct identity identity;
	uint64_t ended; /* seq of its exit, 0: it lives */
	TAILQ_ENTRY(member) dead;
	UT_hash_handle hh;
};

struct tree {
	struct member *members;
	TAILQ_HEAD(, member) dead; /* in the order of their ends */
	unsigned int n_dead;
};

DEFINE_CLEANUP(struct tree, tree_free)

static struct member *find(struct tree *tree, uint32_t pid, uint64_t start_usec)
{
	struct identity key = { start_usec, pid };
	struct member *member;

	HASH_FIND(hh, tree->members, &key, sizeof(key), member);
	return member;
}

static int add(struct tree *tree, uint32_t pid, uint64_t start_usec)
{
	struct member *member;

	if (find(tree, pid, start_usec))
		return 0;
	member = calloc(1, sizeof(*member));
	if (!member)
		return -ENOMEM;
	member->identity = (struct identity){ start_usec, pid };
	HASH_ADD(hh, tree->members, identity, sizeof(member->identity), member);
	return 0;
}

static void forget_oldest(struct tree *tree)
{
	struct member *member = TAILQ_FIRST(&tree->dead);

	TAILQ_REMOVE(&tree->dead, member, dead);
	tree->n_dead--;
	HASH_DEL(tree->members, member);
	free(member);
}

/* Members are visited in the order in which they came, so those that are added on the way get their turn. */
static int add_living(struct tree *tree, const struct table *table)
{
	for (const struct member *member = tree->members; member; member = member->hh.next) {
		const struct process *process = table_find(table, (uint32_t)member->identity.pid);

		if (!process || process->start_usec != member->identity.start_usec)
			continue;
		for (const struct process *child = process->children; child; child = child->sibling) {
			int r = add(tree, child->pid, child->start_usec);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int tree_new(struct tree **ret, uint32_t pid, uint64_t start_usec, const struct table *table)
{
	_cleanup_(tree_free_p) struct tree *tree = calloc(1, sizeof(*tree));
	int r;

	if (!tree)
		return -ENOMEM;
	TAILQ_INIT(&tree->dead);
	r = add(tree, pid, start_usec);
	if (r == 0)
		r = add_living(tree, table);
	if (r < 0)
		return r;
	*ret = steal(tree);
	return 0;
}

struct tree *tree_free(struct tree *tree)
{
	struct member *member, *next;

	if (!tree)
		return NULL;
	HASH_ITER (hh, tree->members, member, next) {
		HASH_DEL(tree->members, member);
		free(member);
	}
	free(tree);
	return NULL;
}

bool tree_take(struct tree *tree, const struct fb_event *event)
{
	struct member *member;

	if (!EVENT_HAS(event, pid) || !EVENT_HAS(event, start_usec))
		return false;
	if (event->type == EVENT_FORK && EVENT_HAS(event, ppid) && EVENT_HAS(event, parent_start_usec) &&
	    find(tree, event->ppid, event->parent_start_usec))
		(void)add(tree, event->pid, event->start_usec);
	member = find(tree, event->pid, event->start_usec);
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
