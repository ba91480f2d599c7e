/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The ledger of what each user uses of the broker, over all faces together: for each resource there is a limit for all
 * users and one for each, so that one user cannot exhaust it for the others.
 *
 * A further resource is a further member of the enum, with budget_set() where its limits are known.
 */

#include <stdint.h>

enum budget_resource {
	BUDGET_CONNECTIONS, /* on D-Bus: subscriptions and calls that are being answered */
	BUDGET_PINGS,	    /* on D-Bus: pings without an answer yet */
	BUDGET_QUERIES,	    /* questions to polkit without an answer yet */
	_BUDGET_RESOURCE_MAX,
};

struct budget;

enum {
	_BUDGET_E_SUCCESS,
	BUDGET_E_USER,	/* over the limit of this user */
	BUDGET_E_TOTAL, /* over the limit of all users together */
};

/* budget_new() - without limits */
int budget_new(struct budget **ret);
struct budget *budget_free(struct budget *budget);

/* budget_set() - limits of a resource; what was taken before stays, even beyond them */
void budget_set(struct budget *budget, enum budget_resource resource, uint64_t total_max, uint64_t user_max);

/* budget_used() - how much of a resource all users use together */
uint64_t budget_used(const struct budget *budget, enum budget_resource resource);

/*
 * budget_take() - count @n more of a resource to a user, or nothing if that is over a limit
 * Root is bound by the limit of all users alone.
 * Return: 0, BUDGET_E_USER, BUDGET_E_TOTAL, or -ENOMEM.
 */
int budget_take(struct budget *budget, uint32_t uid, enum budget_resource resource, uint64_t n);

/* budget_give() - @n less; at most what the user took */
void budget_give(struct budget *budget, uint32_t uid, enum budget_resource resource, uint64_t n);
