/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which user owns a uid. A user may have ranges of subordinate uids, which programs of the user can take at any time
 * (subuid(5)): all of them count as one owner. For root's ranges, each line counts as an owner of its own: they are given to
 * containers.
 *
 * The owner of a range is found in the file of users only: asking the name service could block. A range whose owner is not
 * found there is an owner of its own, so write the number of such a user instead of the name. An owner that is no user is
 * identified by the first uid of its range.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OWNERS_PASSWD_FILE "/etc/passwd"

struct owners;

/* owners_new() - read the files; a file that is missing or cannot be read is as an empty one. Return: 0 or -ENOMEM. */
int owners_new(struct owners **ret, const char *subuid, const char *passwd);
struct owners *owners_free(struct owners *owners);

/* owners_find() - the owner of a uid; the uid itself, if it is in no range */
uint32_t owners_find(const struct owners *owners, uint32_t uid);

/*
 * owners_refresh() - read the files again if the one with the ranges has changed
 * It looks at most once a second. @now_usec: CLOCK_MONOTONIC
 */
void owners_refresh(struct owners *owners, uint64_t now_usec);
