// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/view-index.h"
#include "random-event.h"

/* The index knows of a view no more than where it is. */
#define VIEWS 200
static char views[VIEWS];
static struct view_index *index_;
static struct {
	struct view_place place;
	struct filter filter;
	struct visibility visibility;
	uint32_t uids[8];
	bool there;
} entries[VIEWS];

static struct view *view_at(size_t i)
{
	return (struct view *)&views[i];
}

static int setup(void **state)
{
	(void)state;
	memset(entries, 0, sizeof(entries));
	return view_index_new(&index_);
}

static int teardown(void **state)
{
	(void)state;
	assert_null(view_index_free(index_));
	return 0;
}

static void add(size_t i, struct visibility visibility, bool tree, size_t n_uids)
{
	entries[i].filter = (struct filter){ .uids = n_uids ? entries[i].uids : NULL,
					     .n_uids = n_uids,
					     .has_tree = tree };
	entries[i].visibility = visibility;
	entries[i].there = true;
	assert_int_equal(
		view_index_add(index_, view_at(i), &entries[i].place, &entries[i].filter, visibility), 0);
}

static void drop(size_t i)
{
	view_index_remove(index_, &entries[i].place);
	entries[i].there = false;
}

static void note(struct view_entry_list *list, unsigned int offered[static VIEWS])
{
	struct view_entry *entry;

	if (list)
		LIST_FOREACH(entry, list, link)
			offered[(char *)entry->view - views]++;
}

/* Who is offered what concerns a uid, and maybe an old one? */
static void look(uint32_t uid, uint32_t old_uid, bool has_old, unsigned int offered[static VIEWS])
{
	memset(offered, 0, VIEWS * sizeof(*offered));
	note(view_index_others(index_), offered);
	note(view_index_uid(index_, uid), offered);
	if (has_old)
		note(view_index_uid(index_, old_uid), offered);
}

static bool names(size_t i, uint32_t uid)
{
	for (size_t u = 0; u < entries[i].filter.n_uids; u++)
		if (entries[i].filter.uids[u] == uid)
			return true;
	return false;
}

static void test_kinds(void **state)
{
	const struct visibility all = { .all = true }, mine = { .uid = 1000 };
	unsigned int offered[VIEWS];

	(void)state;
	assert_null(view_index_free(NULL));
	entries[1].uids[0] = 5;
	entries[1].uids[1] = 7;
	entries[3].uids[0] = 5;
	entries[4].uids[0] = 1000;
	entries[5].uids[0] = 5;
	add(0, all, false, 0);
	add(1, all, false, 2);
	add(2, mine, false, 0);
	add(3, mine, false, 1);
	add(4, mine, false, 1);
	add(5, all, true, 1);
	add(6, mine, true, 0);
	look(7, 0, false, offered);
	assert_int_equal(offered[0], 1);
	assert_int_equal(offered[1], 1);
	assert_int_equal(offered[2], 0);
	assert_int_equal(offered[5], 1);
	assert_int_equal(offered[6], 1);
	/* One of this tenant's becomes another's, and another's filter asks for that. */
	look(5, 1000, true, offered);
	assert_int_equal(offered[2], 1);
	assert_int_equal(offered[3], 1);
	assert_int_equal(offered[4], 1);
	look(1000, 0, false, offered);
	assert_int_equal(offered[1], 0);
	assert_int_equal(offered[4], 1);
	for (size_t i = 0; i <= 6; i++)
		drop(i);
	assert_true(LIST_EMPTY(view_index_others(index_)));
	assert_null(view_index_uid(index_, 5));
	assert_null(view_index_uid(index_, 1000));
	/* Removed once more, there is nothing to remove. */
	drop(0);
}

/* As uids are: one after the other, or each at the beginning of a range of its own. */
static uint32_t random_uid(struct random *random, uint32_t most)
{
	return (uint32_t)random_below(random, most) * (random_below(random, 2) ? 1 : 65536);
}

/* Many come and go: whoever can want an event is asked, and of whom that can be told by uid no one else. */
static void test_random(void **state)
{
	struct random random = { 3 };
	unsigned int offered[VIEWS];

	(void)state;
	for (int op = 0; op < 40000; op++) {
		/* At first there are few uids, which many want; then many, which go one by one. */
		uint32_t most = op < 20000 ? 10 : 500;
		size_t i = random_below(&random, VIEWS);
		uint32_t uid = random_uid(&random, most);
		uint32_t old_uid = random_uid(&random, most);
		bool has_old = random_below(&random, 2);

		if (entries[i].there) {
			drop(i);
		} else {
			size_t n = random_below(&random, 2) ? random_below(&random, 8) : 0;
			struct visibility visibility = { .all = random_below(&random, 2),
							 .uid = random_uid(&random, most) };

			/* Sorted, without doubles */
			for (size_t u = 0; u < n; u++)
				entries[i].uids[u] = (uint32_t)(u ? entries[i].uids[u - 1] + 1 : 0) +
						     (uint32_t)random_below(&random, most / 4);
			add(i, visibility, random_below(&random, 10) == 0, n);
		}
		look(uid, old_uid, has_old, offered);
		for (i = 0; i < VIEWS; i++) {
			bool by_uid = entries[i].visibility.all
					      ? names(i, uid) || (has_old && names(i, old_uid))
					      : entries[i].visibility.uid == uid ||
							(has_old && entries[i].visibility.uid == old_uid);
			bool asked = entries[i].filter.has_tree ||
				     (entries[i].visibility.all && entries[i].filter.n_uids == 0) || by_uid;

			assert_int_equal(offered[i] > 0, entries[i].there && asked);
		}
	}
	for (size_t i = 0; i < VIEWS; i++)
		if (entries[i].there)
			drop(i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};

	return cmocka_run_group_tests_name("view-index", tests, NULL, NULL);
}
