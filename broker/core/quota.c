// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/hash-number.h"

#include "core/quota.h"

struct quota_user {
	uint32_t uid;
	unsigned int used; /* never 0: who holds nothing is not here */
	UT_hash_handle hh;
};

struct quota {
	struct quota_user *users;
	unsigned int used, total_max, user_max;
};

int quota_new(struct quota **ret, unsigned int total_max, unsigned int user_max)
{
	struct quota *quota = calloc(1, sizeof(*quota));

	if (!quota)
		return -ENOMEM;
	quota_set(quota, total_max, user_max);
	*ret = quota;
	return 0;
}

struct quota *quota_free(struct quota *quota)
{
	struct quota_user *user;

	if (!quota)
		return NULL;
	while ((user = quota->users)) {
		HASH_DEL(quota->users, user);
		free(user);
	}
	free(quota);
	return NULL;
}

void quota_set(struct quota *quota, unsigned int total_max, unsigned int user_max)
{
	quota->total_max = total_max;
	quota->user_max = user_max;
}

unsigned int quota_used(const struct quota *quota)
{
	return quota->used;
}

static struct quota_user *user_find(const struct quota *quota, uint32_t uid)
{
	struct quota_user *user;

	HASH_FIND(hh, quota->users, &uid, sizeof(uid), user);
	return user;
}

static struct quota_user *user_new(struct quota *quota, uint32_t uid)
{
	struct quota_user *user = calloc(1, sizeof(*user));
	bool oom = false;

	if (!user)
		return NULL;
	user->uid = uid;
	HASH_ADD(hh, quota->users, uid, sizeof(uid), user);
	if (oom) {
		free(user);
		return NULL;
	}
	return user;
}

int quota_take(struct quota *quota, uint32_t uid)
{
	struct quota_user *user = user_find(quota, uid);
	unsigned int used = user ? user->used : 0;

	/* A user who is over is told of the own limit, which that user can do something about. */
	if (uid != 0 && used >= quota->user_max)
		return QUOTA_E_USER;
	if (quota->used >= quota->total_max)
		return QUOTA_E_TOTAL;
	if (!user) {
		user = user_new(quota, uid);
		if (!user)
			return -ENOMEM;
	}
	user->used++;
	quota->used++;
	return 0;
}

void quota_give(struct quota *quota, uint32_t uid)
{
	struct quota_user *user = user_find(quota, uid);

	if (!user)
		return;
	quota->used--;
	if (--user->used > 0)
		return;
	HASH_DEL(quota->users, user);
	free(user);
}
