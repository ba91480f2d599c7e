// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/hash-number.h"

#include "budget.h"

struct budget_user {
	uint32_t uid;
	uint64_t used[_BUDGET_RESOURCE_MAX]; /* not all 0: there is no entry for a user who uses nothing */
	UT_hash_handle hh;
};

struct budget {
	struct budget_user *users;
	struct {
		uint64_t used, total_max, user_max;
	} resources[_BUDGET_RESOURCE_MAX];
};

int budget_new(struct budget **ret)
{
	struct budget *budget = calloc(1, sizeof(*budget));

	if (!budget)
		return -ENOMEM;
	for (unsigned int i = 0; i < _BUDGET_RESOURCE_MAX; i++)
		budget_set(budget, (enum budget_resource)i, UINT64_MAX, UINT64_MAX);
	*ret = budget;
	return 0;
}

static void user_free(struct budget *budget, struct budget_user *user)
{
	HASH_DEL(budget->users, user);
	free(user);
}

struct budget *budget_free(struct budget *budget)
{
	if (!budget)
		return NULL;
	while (budget->users)
		user_free(budget, budget->users);
	free(budget);
	return NULL;
}

void budget_set(struct budget *budget, enum budget_resource resource, uint64_t total_max, uint64_t user_max)
{
	budget->resources[resource].total_max = total_max;
	budget->resources[resource].user_max = user_max;
}

uint64_t budget_used(const struct budget *budget, enum budget_resource resource)
{
	return budget->resources[resource].used;
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

static bool has_room(uint64_t used, uint64_t max, uint64_t n)
{
	return used <= max && n <= max - used;
}

int budget_take(struct budget *budget, uint32_t uid, enum budget_resource resource, uint64_t n)
{
	struct budget_user *user = user_find(budget, uid);
	uint64_t total = budget->resources[resource].used;

	if (n == 0)
		return 0;
	/* The user's own limit first: the user can do something about that one. */
	if (uid != 0 && !has_room(user ? user->used[resource] : 0, budget->resources[resource].user_max, n))
		return BUDGET_E_USER;
	if (!has_room(total, budget->resources[resource].total_max, n))
		return BUDGET_E_TOTAL;
	if (!user) {
		user = user_new(budget, uid);
		if (!user)
			return -ENOMEM;
	}
	user->used[resource] += n;
	budget->resources[resource].used += n;
	return 0;
}

void budget_give(struct budget *budget, uint32_t uid, enum budget_resource resource, uint64_t n)
{
	struct budget_user *user = user_find(budget, uid);

	if (!user)
		return;
	if (n > user->used[resource])
		n = user->used[resource];
	user->used[resource] -= n;
	budget->resources[resource].used -= n;
	for (unsigned int i = 0; i < _BUDGET_RESOURCE_MAX; i++)
		if (user->used[i] > 0)
			return;
	user_free(budget, user);
}
