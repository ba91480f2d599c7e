/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How many connections each user holds, on all faces together, so that one user cannot take the place of all.
 */

#include <stdint.h>

struct quota;

enum {
	_QUOTA_E_SUCCESS,
	QUOTA_E_USER,  /* this user has as many as one may */
	QUOTA_E_TOTAL, /* the broker has */
};

int quota_new(struct quota **ret, unsigned int total_max, unsigned int user_max);
struct quota *quota_free(struct quota *quota);
/* New limits; those who are over stay. */
void quota_set(struct quota *quota, unsigned int total_max, unsigned int user_max);
unsigned int quota_used(const struct quota *quota);

/* quota_take() - Return: 0, QUOTA_E_USER, QUOTA_E_TOTAL, or -ENOMEM. Root is bound by the total alone. */
int quota_take(struct quota *quota, uint32_t uid);
void quota_give(struct quota *quota, uint32_t uid);
