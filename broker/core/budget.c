// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/hash-number.h"

#include "base/clock.h"
#include "budget.h"
#include "owners.h"
#include "priority.h"

#define RESERVE 8   /* the part of a total that is a reserve: 1/8 */
#define PARTS	512 /* the equal parts of the pool; half of them are for the first part of each owner */
#define RIVALS	4   /* beyond its part, an owner leaves room for this many others who take as much */
#define ROOTS	4   /* the part of the reserve that is for root alone: 1/4 */

struct budget_account {
	struct budget *budget;
	unsigned int references;
	uint32_t owner;
	bool sees_all;
	uint64_t used[_BUDGET_RESOURCE_MAX];
	uint64_t time_usec, time_at; /* processor time that is not made up for yet, at CLOCK_MONOTONIC */
	UT_hash_handle hh;
};

/* What all accounts of one kind use of a resource. */
struct use {
	uint64_t used;
	uint64_t extra;	 /* beyond each owner's part */
	uint64_t owners; /* who use any */
};

struct ledger {
	uint64_t total_max, owner_max;
	struct use pool, privileged; /* @privileged: of accounts that see all */
};

struct budget {
	struct owners *owners;		    /* NULL: none */
	struct budget_account *accounts[2]; /* by owner; [1]: those that see all */
	struct ledger ledgers[_BUDGET_RESOURCE_MAX];
	unsigned int time_percent; /* 0: no limit */
	uint64_t time_burst_usec;
};

static const struct {
	const char *name, *text;
} resources[_BUDGET_RESOURCE_MAX] = {
	[BUDGET_CONNECTIONS] = { "connections", "connections" },
	[BUDGET_SUBSCRIPTIONS] = { "subscriptions", "subscriptions" },
	[BUDGET_FILTER_BYTES] = { "filterBytes", "bytes of filters" },
	[BUDGET_LABELS] = { "labels", "bytes of trees and their past" },
	[BUDGET_CACHED_BYTES] = { "cachedBytes", "bytes of requests and unsent lines" },
	[BUDGET_PINGS] = { "pings", "pings" },
	[BUDGET_QUERIES] = { "queries", "questions to polkit" },
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

struct budget *budget_free(struct budget *budget)
{
	free(budget);
	return NULL;
}

void budget_set_owners(struct budget *budget, struct owners *owners)
{
	budget->owners = owners;
}

uint64_t budget_used(const struct budget *budget, enum budget_resource resource)
{
	const struct ledger *ledger = &budget->ledgers[resource];

	return ledger->pool.used + ledger->privileged.used;
}

/* Accounts */

struct budget_account *budget_account_get(struct budget *budget, uint32_t uid, bool sees_all)
{
	struct budget_account *account, **accounts = &budget->accounts[sees_all];
	uint32_t owner = uid;
	bool oom = false;

	if (budget->owners) {
		owners_refresh(budget->owners, clock_usec(CLOCK_MONOTONIC));
		owner = owners_find(budget->owners, uid);
	}
	HASH_FIND(hh, *accounts, &owner, sizeof(owner), account);
	if (account)
		return budget_account_ref(account);
	account = calloc(1, sizeof(*account));
	if (!account)
		return NULL;
	*account = (struct budget_account){
		.budget = budget, .references = 1, .owner = owner, .sees_all = sees_all
	};
	HASH_ADD(hh, *accounts, owner, sizeof(owner), account);
	if (oom) {
		free(account);
		return NULL;
	}
	return account;
}

struct budget_account *budget_account_ref(struct budget_account *account)
{
	if (account)
		account->references++;
	return account;
}

struct budget_account *budget_account_put(struct budget_account *account)
{
	if (!account || --account->references > 0)
		return NULL;
	for (unsigned int i = 0; i < _BUDGET_RESOURCE_MAX; i++)
		budget_give(account, (enum budget_resource)i, account->used[i]);
	HASH_DEL(account->budget->accounts[account->sees_all], account);
	free(account);
	return NULL;
}

static bool is_root(const struct budget_account *account)
{
	return account->sees_all && account->owner == 0;
}

/* Shares */

static uint64_t reserve_of(const struct ledger *ledger)
{
	if (ledger->total_max == UINT64_MAX || ledger->total_max < 2)
		return 0;
	return ledger->total_max < RESERVE ? 1 : ledger->total_max / RESERVE;
}

static uint64_t pool_of(const struct ledger *ledger)
{
	return ledger->total_max - reserve_of(ledger);
}

/* What every owner may have. */
static uint64_t part_of(const struct ledger *ledger)
{
	uint64_t pool = pool_of(ledger);

	return pool < PARTS ? 1 : pool / PARTS;
}

static uint64_t above(uint64_t used, uint64_t part)
{
	return used > part ? used - part : 0;
}

static bool has_room(uint64_t used, uint64_t max, uint64_t n)
{
	return used <= max && n <= max - used;
}

/* Is @wanted of one owner still left for the others of @max, after @used and @n more? */
static bool is_fair(uint64_t wanted, uint64_t owners, uint64_t used, uint64_t n, uint64_t max)
{
	uint64_t all;

	return has_room(used, max, n) &&
	       !__builtin_mul_overflow(wanted, owners < RIVALS ? owners : RIVALS, &all) &&
	       all <= max - used - n;
}

static int take_of_pool(const struct ledger *ledger, uint64_t used, uint64_t n)
{
	uint64_t pool = pool_of(ledger), part = part_of(ledger), owners = ledger->pool.owners + (used == 0);
	/* What privileged accounts took from the pool, since their reserve was full. */
	uint64_t borrowed = above(ledger->privileged.used, reserve_of(ledger));
	uint64_t more = above(used + n, part) - above(used, part);

	if (more > 0 &&
	    !is_fair(above(used + n, part), owners, ledger->pool.extra + borrowed, more, pool / 2))
		return BUDGET_E_USER;
	return has_room(ledger->pool.used + borrowed, pool, n) ? 0 : BUDGET_E_TOTAL;
}

static int take_privileged(const struct ledger *ledger, uint64_t used, uint64_t n, bool root)
{
	uint64_t all = ledger->pool.used + ledger->privileged.used;
	uint64_t max = root ? ledger->total_max : ledger->total_max - reserve_of(ledger) / ROOTS;
	uint64_t owners = ledger->privileged.owners + (used == 0);

	if (!has_room(all, max, n))
		return BUDGET_E_TOTAL;
	if (root || used + n <= part_of(ledger) || is_fair(used + n, owners, all, n, max))
		return 0;
	return BUDGET_E_USER;
}

static void count(struct budget_account *account, enum budget_resource resource, uint64_t used)
{
	struct ledger *ledger = &account->budget->ledgers[resource];
	struct use *use = account->sees_all ? &ledger->privileged : &ledger->pool;
	uint64_t before = account->used[resource], part = part_of(ledger);

	use->used += used - before;
	use->extra += above(used, part) - above(before, part);
	use->owners += (uint64_t)(used > 0) - (uint64_t)(before > 0);
	account->used[resource] = used;
}

int budget_take(struct budget_account *account, enum budget_resource resource, uint64_t n)
{
	const struct ledger *ledger;
	uint64_t used;
	int r;

	if (!account || n == 0)
		return 0;
	ledger = &account->budget->ledgers[resource];
	used = account->used[resource];
	if (!is_root(account) && !has_room(used, ledger->owner_max, n))
		return BUDGET_E_USER;
	r = account->sees_all ? take_privileged(ledger, used, n, is_root(account))
			      : take_of_pool(ledger, used, n);
	if (r == 0)
		count(account, resource, used + n);
	return r;
}

void budget_give(struct budget_account *account, enum budget_resource resource, uint64_t n)
{
	uint64_t used;

	if (!account)
		return;
	used = account->used[resource];
	count(account, resource, n < used ? used - n : 0);
}

uint64_t budget_taken(const struct budget_account *account, enum budget_resource resource)
{
	return account ? account->used[resource] : 0;
}

/* The size of a part depends on the total. */
static void recount(const struct budget *budget, enum budget_resource resource, struct ledger *ledger)
{
	const struct budget_account *account;

	ledger->pool.extra = 0;
	for (account = budget->accounts[false]; account; account = account->hh.next)
		ledger->pool.extra += above(account->used[resource], part_of(ledger));
}

void budget_set(struct budget *budget, enum budget_resource resource, uint64_t total_max, uint64_t owner_max)
{
	struct ledger *ledger = &budget->ledgers[resource];

	ledger->total_max = total_max;
	ledger->owner_max = owner_max;
	recount(budget, resource, ledger);
}

/* Processor time: what was spent, less what the account may have spent since. */

void budget_set_time(struct budget *budget, unsigned int percent, uint64_t burst_usec)
{
	budget->time_percent = percent;
	budget->time_burst_usec = burst_usec;
}

static uint64_t time_spent(const struct budget_account *account, uint64_t now_usec)
{
	uint64_t since = above(now_usec, account->time_at);

	return above(account->time_usec, since / 100 * account->budget->time_percent +
						 since % 100 * account->budget->time_percent / 100);
}

void budget_spend(struct budget_account *account, uint64_t usec, uint64_t now_usec)
{
	if (!account)
		return;
	account->time_usec = time_spent(account, now_usec) + usec;
	account->time_at = now_usec;
}

uint64_t budget_wait(const struct budget_account *account, uint64_t now_usec)
{
	uint64_t over;

	if (!account || account->budget->time_percent == 0)
		return 0;
	over = above(time_spent(account, now_usec), account->budget->time_burst_usec);
	return over * 100 / account->budget->time_percent;
}

int budget_priority(const struct budget_account *account, uint64_t now_usec)
{
	return budget_wait(account, now_usec) > 0 ? PRIORITY_LATE : PRIORITY_REQUEST;
}

/* Names */

const char *budget_name(enum budget_resource resource)
{
	return resources[resource].name;
}

const char *budget_refusal(char buf[static BUDGET_TEXT_MAX], const struct budget_account *account,
			   enum budget_resource resource, int reason)
{
	if (reason == BUDGET_E_USER)
		snprintf(buf, BUDGET_TEXT_MAX,
			 "uid %" PRIu32 " and its subordinate uids have their share of %s", account->owner,
			 resources[resource].text);
	else
		snprintf(buf, BUDGET_TEXT_MAX, "all %s that users may have together are in use",
			 resources[resource].text);
	return buf;
}
