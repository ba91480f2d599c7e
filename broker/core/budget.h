/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts the broker's resources that each user uses, on all faces together. For each resource there is a limit for all users
 * together and one for each user, so that no user can exhaust it for the others.
 *
 * To add a resource, add a member to the enum, and call budget_set() where its limits are known.
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

/* budget_set() - set the limits of a resource; earlier use stays valid, even if it exceeds them */
void budget_set(struct budget *budget, enum budget_resource resource, uint64_t total_max, uint64_t user_max);

/* budget_used() - how much of a resource all users use together */
uint64_t budget_used(const struct budget *budget, enum budget_resource resource);

/*
 * budget_take() - count @n more of a resource for a user, or nothing if that exceeds a limit
 * For root only the limit of all users counts.
 * Return: 0, BUDGET_E_USER, BUDGET_E_TOTAL, or -ENOMEM.
 */
int budget_take(struct budget *budget, uint32_t uid, enum budget_resource resource, uint64_t n);

/* budget_give() - count @n less, at most the number that the user took */
void budget_give(struct budget *budget, uint32_t uid, enum budget_resource resource, uint64_t n);
