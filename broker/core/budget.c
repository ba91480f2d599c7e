// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/hash-number.h"

#include "budget.h"

struct budget_user {
	uint32_t uid;
	unsigned int used; /* never 0: who holds nothing is not here */
	UT_hash_handle hh;
};

struct budget {
	struct budget_user *users;
	unsigned int used, total_max, user_max;
};

int budget_new(struct budget **ret, unsigned int total_max, unsigned int user_max)
{
	struct budget *budget = calloc(1, sizeof(*budget));

	if (!budget)
		return -ENOMEM;
	budget_set(budget, total_max, user_max);
	*ret = budget;
	return 0;
}

struct budget *budget_free(struct budget *budget)
{
	struct budget_user *user;

	if (!budget)
		return NULL;
	while ((user = budget->users)) {
		HASH_DEL(budget->users, user);
		free(user);
	}
	free(budget);
	return NULL;
}

void budget_set(struct budget *budget, unsigned int total_max, unsigned int user_max)
{
	budget->total_max = total_max;
	budget->user_max = user_max;
}

unsigned int budget_used(const struct budget *budget)
{
	return budget->used;
}

static struct budget_user *user_find(const struct budget *budget, uint32_t uid)
{
	struct budget_user *user;

	HASH_FIND(hh, budget->users, &uid, sizeof(uid), user);
	return user;
}

static struct budget_user *user_new(struct budget *budget, uint32_t uid)
{
	struct budget_user *user = calloc(1, sizeof(*user));
	bool oom = false;

	if (!user)
		return NULL;
	user->uid = uid;
	HASH_ADD(hh, budget->users, uid, sizeof(uid), user);
	if (oom) {
		free(user);
		return NULL;
	}
	return user;
}

int budget_take(struct budget *budget, uint32_t uid)
{
	struct budget_user *user = user_find(budget, uid);
	unsigned int used = user ? user->used : 0;

	/* A user who is over is told of the own limit, which that user can do something about. */
	if (uid != 0 && used >= budget->user_max)
		return BUDGET_E_USER;
	if (budget->used >= budget->total_max)
		return BUDGET_E_TOTAL;
	if (!user) {
		user = user_new(budget, uid);
		if (!user)
			return -ENOMEM;
	}
	user->used++;
	budget->used++;
	return 0;
}

void budget_give(struct budget *budget, uint32_t uid)
{
	struct budget_user *user = user_find(budget, uid);

	if (!user)
		return;
	budget->used--;
	if (--user->used > 0)
		return;
	HASH_DEL(budget->users, user);
	free(user);
}
