/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How many connections each user holds, on all faces together, so that one user cannot take the place of all.
 */

#include <stdint.h>

struct budget;

enum {
	_QUOTA_E_SUCCESS,
	BUDGET_E_USER,	/* this user has as many as one may */
	BUDGET_E_TOTAL, /* the broker has */
};

int budget_new(struct budget **ret, unsigned int total_max, unsigned int user_max);
struct budget *budget_free(struct budget *budget);
/* New limits; those who are over stay. */
void budget_set(struct budget *budget, unsigned int total_max, unsigned int user_max);
unsigned int budget_used(const struct budget *budget);

/* budget_take() - Return: 0, BUDGET_E_USER, BUDGET_E_TOTAL, or -ENOMEM. Root is bound by the total alone. */
int budget_take(struct budget *budget, uint32_t uid);
void budget_give(struct budget *budget, uint32_t uid);
