/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The ledger of what each owner uses of the broker, on all faces together.
 *
 * An owner is a user together with the user's subordinate uids (core/owners.h). Each resource has a total. One eighth of it
 * is a reserve, which only root and members of the group can use. The rest, the pool, is shared so that no owner, and no
 * number of owners that a person can have, takes it from the others:
 *
 *   - Half of the pool consists of equal parts, 1/512 of the pool each: every owner may have one.
 *   - The other half goes to those who want more: an owner may take from it as long as the others who use the resource, or
 *     four of them, could still take as much. So the first can take at most half of it, the second a third of the rest, and
 *     those after the third a fifth of the rest.
 *
 * So 256 owners can be sure of their part, whatever the others do. A limit for one owner can lower the share further. Members
 * of the group share what is left of pool and reserve by the same two rules, but a quarter of the reserve is for root alone;
 * for root only the total counts.
 *
 * To add a resource, add a member to the enum and its name in budget.c, and call budget_set() where its limits are known.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum budget_resource {
	BUDGET_CONNECTIONS,   /* on D-Bus: subscriptions and calls that are being answered */
	BUDGET_SUBSCRIPTIONS, /* and lists, while they are sent */
	BUDGET_FILTER_BYTES,  /* memory of filters */
	BUDGET_LABELS,	      /* memory of trees of filters, and of their past while it is read */
	BUDGET_CACHED_BYTES,  /* requests and lines that are kept in memory for one peer */
	BUDGET_PINGS,	      /* on D-Bus: pings without an answer yet */
	BUDGET_QUERIES,	      /* questions to polkit without an answer yet */
	_BUDGET_RESOURCE_MAX,
};

struct owners;
struct budget;
struct budget_account;

enum {
	_BUDGET_E_SUCCESS,
	BUDGET_E_USER,	/* over the share or the limit of this owner */
	BUDGET_E_TOTAL, /* nothing is left for this owner, who uses little */
};

/* budget_new() - without limits; every uid is its own owner */
int budget_new(struct budget **ret);
/* All accounts must have been put. */
struct budget *budget_free(struct budget *budget);

/* budget_set_owners() - who owns which uids, for accounts from now on; @owners stays the caller's, NULL: none */
void budget_set_owners(struct budget *budget, struct owners *owners);

/*
 * budget_set() - set the limits of a resource; earlier use stays valid, even if it exceeds them
 * @owner_max: for each owner but root. UINT64_MAX: no limit.
 */
void budget_set(struct budget *budget, enum budget_resource resource, uint64_t total_max, uint64_t owner_max);

/* budget_used() - how much of a resource all owners use together */
uint64_t budget_used(const struct budget *budget, enum budget_resource resource);

/*
 * budget_account_get() - the account that @uid is counted in
 * @sees_all: is root or a member of the group, who may use the reserve
 * Return: a reference, or NULL without memory. It stays the same account, even if the owner of the uid changes.
 */
struct budget_account *budget_account_get(struct budget *budget, uint32_t uid, bool sees_all);
struct budget_account *budget_account_ref(struct budget_account *account);
/* Without references, and with nothing taken, it is gone. Return: NULL. */
struct budget_account *budget_account_put(struct budget_account *account);

/*
 * budget_take() - count @n more of a resource, or nothing if that exceeds a limit
 * @account: NULL counts nothing. Return: 0, BUDGET_E_USER or BUDGET_E_TOTAL.
 */
int budget_take(struct budget_account *account, enum budget_resource resource, uint64_t n);

/* budget_give() - count @n less, at most the number that was taken */
void budget_give(struct budget_account *account, enum budget_resource resource, uint64_t n);

/* budget_taken() - how much of a resource the account uses */
uint64_t budget_taken(const struct budget_account *account, enum budget_resource resource);

/*
 * Processor time that the broker spends for an owner (catching up, matching its filters): not taken, but spent. An account
 * may spend a share of a processor, and a burst at once; beyond that it waits.
 *
 * budget_set_time() - @percent of one processor for each owner, @burst_usec at once
 * budget_spend() - note that @usec were spent. @now_usec: CLOCK_MONOTONIC
 * budget_wait() - how long the account should wait before it spends more, in µs; 0: it may
 * budget_priority() - PRIORITY_REQUEST; PRIORITY_LATE if it should wait, so that all others come first
 */
void budget_set_time(struct budget *budget, unsigned int percent, uint64_t burst_usec);
void budget_spend(struct budget_account *account, uint64_t usec, uint64_t now_usec);
uint64_t budget_wait(const struct budget_account *account, uint64_t now_usec);
int budget_priority(const struct budget_account *account, uint64_t now_usec);

/* The name of a resource in errors and in the status, like "filterBytes". */
const char *budget_name(enum budget_resource resource);

/* budget_refusal() - a sentence about a refusal of budget_take(): which resource, whose limit. Return: @buf. */
#define BUDGET_TEXT_MAX 160
const char *budget_refusal(char buf[static BUDGET_TEXT_MAX], const struct budget_account *account,
			   enum budget_resource resource, int reason);
