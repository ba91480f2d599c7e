// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/view-index.h"
#include "tests/unit/allocations.h"
#include "tests/unit/random-event.h"

/* The index knows only the address of a view. */
#define VIEWS	 200
#define KEYS_MAX 8
static char views[VIEWS];
static struct view_index *index_;
static struct {
	struct view_place place;
	struct filter filter;
	struct visibility visibility;
	uint32_t uids[KEYS_MAX];
	struct process_id pids[KEYS_MAX];
	bool there;
} entries[VIEWS];

static const struct visibility all = { .all = true };

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

static void add(size_t i, struct visibility visibility, struct filter filter)
{
	filter.uids = filter.n_uids ? entries[i].uids : NULL;
	filter.pids = filter.n_pids ? entries[i].pids : NULL;
	entries[i].filter = filter;
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

static struct fb_event event_of(enum event_type type, uint32_t pid, uint32_t uid)
{
	struct fb_event event;

	fb_event_init(&event, type);
	EVENT_SET(&event, pid, pid);
	EVENT_SET(&event, uid, uid);
	return event;
}

/* How often each view is found. */
static void look(const struct fb_event *event, unsigned int found[static VIEWS])
{
	struct view_entry_list *lists[VIEW_INDEX_LISTS];
	struct view_entry *entry;
	unsigned int n = view_index_find(index_, event, lists);

	memset(found, 0, VIEWS * sizeof(*found));
	for (unsigned int i = 0; i < n; i++) {
		assert_false(LIST_EMPTY(lists[i]));
		LIST_FOREACH(entry, lists[i], link)
			found[(char *)entry->view - views]++;
	}
}

static void test_kinds(void **state)
{
	enum { ANY, UIDS, MINE, MINE_AND_UID, TYPES, PIDS, N };
	const struct visibility mine = { .uid = 1000 };
	unsigned int found[VIEWS];
	struct fb_event event;

	(void)state;
	assert_null(view_index_free(NULL));
	entries[UIDS].uids[0] = 5;
	entries[UIDS].uids[1] = 7;
	entries[MINE_AND_UID].uids[0] = 5;
	entries[PIDS].pids[0] = (struct process_id){ 10, 1 };
	entries[PIDS].pids[1] = (struct process_id){ 10, 2 };
	entries[PIDS].pids[2] = (struct process_id){ 12, 2 };
	add(ANY, all, (struct filter){ .n_uids = 0 });
	add(UIDS, all, (struct filter){ .n_uids = 2 });
	add(MINE, mine, (struct filter){ .types = EVENT_TYPE_BIT(EVENT_EXIT) });
	add(MINE_AND_UID, mine, (struct filter){ .n_uids = 1 });
	add(TYPES, all, (struct filter){ .types = EVENT_TYPE_BIT(EVENT_EXEC) | EVENT_TYPE_BIT(EVENT_COMM) });
	add(PIDS, mine, (struct filter){ .n_pids = 3, .types = EVENT_TYPE_BIT(EVENT_COMM) });

	event = event_of(EVENT_FORK, 10, 7);
	look(&event, found);
	for (int i = 0; i < N; i++)
		assert_int_equal(found[i], i == ANY || i == UIDS || i == PIDS);
	event = event_of(EVENT_COMM, 11, 1000);
	look(&event, found);
	for (int i = 0; i < N; i++)
		assert_int_equal(found[i], i == ANY || i == MINE || i == MINE_AND_UID || i == TYPES);
	/* A process of this tenant changes to another user, whose uid is in another filter. */
	event = event_of(EVENT_ID, 12, 5);
	EVENT_SET(&event, old_uid, 1000);
	look(&event, found);
	for (int i = 0; i < N; i++)
		assert_int_equal(found[i], i != TYPES);
	/* Twice, if both are requested. */
	event = event_of(EVENT_ID, 1, 5);
	EVENT_SET(&event, old_uid, 7);
	look(&event, found);
	assert_int_equal(found[UIDS], 2);
	/* Events without a process, uid or known type reach only filters without these. */
	fb_event_init(&event, EVENT_PTRACE);
	look(&event, found);
	for (int i = 0; i < N; i++)
		assert_int_equal(found[i], i == ANY);
	for (size_t i = 0; i < N; i++)
		drop(i);
	event = event_of(EVENT_EXEC, 10, 5);
	look(&event, found);
	for (int i = 0; i < N; i++)
		assert_int_equal(found[i], 0);
	/* Removed once more, there is nothing to remove. */
	drop(0);
}

/* As numbers are: one after the other, or each at the beginning of a range of its own. */
static uint32_t random_number(struct random *random, uint32_t most)
{
	return (uint32_t)random_below(random, most) * (random_below(random, 2) ? 1 : 65536);
}

/* Sorted, without doubles */
static void add_random(struct random *random, size_t i, uint32_t most)
{
	const uint32_t types[] = { 0, EVENT_TYPE_BIT(EVENT_FORK),
				   EVENT_TYPE_BIT(EVENT_EXEC) | EVENT_TYPE_BIT(EVENT_EXIT) };
	struct visibility visibility = { .all = random_below(random, 2), .uid = random_number(random, most) };
	struct filter filter = { .types = types[random_below(random, 3)] };

	if (random_below(random, 2))
		filter.n_uids = random_below(random, KEYS_MAX);
	if (random_below(random, 4) == 0)
		filter.n_pids = random_below(random, KEYS_MAX);
	for (size_t n = 0; n < KEYS_MAX; n++) {
		uint32_t step = 1 + (uint32_t)random_below(random, most / 4);

		entries[i].uids[n] = n ? entries[i].uids[n - 1] + step : step;
		entries[i].pids[n].pid = entries[i].uids[n] - 1;
	}
	add(i, visibility, filter);
}

static bool has_uid(size_t i, const struct fb_event *event)
{
	for (size_t n = 0; n < entries[i].filter.n_uids; n++)
		if (entries[i].uids[n] == event->uid ||
		    (EVENT_HAS(event, old_uid) && entries[i].uids[n] == event->old_uid))
			return true;
	return false;
}

static bool has_pid(size_t i, const struct fb_event *event)
{
	for (size_t n = 0; n < entries[i].filter.n_pids; n++)
		if (entries[i].pids[n].pid == event->pid)
			return true;
	return false;
}

/* The first of these that is in a view's filter decides. */
static bool can_want(size_t i, const struct fb_event *event)
{
	const struct filter *filter = &entries[i].filter;

	if (filter->n_pids > 0)
		return has_pid(i, event);
	if (!entries[i].visibility.all)
		return entries[i].visibility.uid == event->uid ||
		       (EVENT_HAS(event, old_uid) && entries[i].visibility.uid == event->old_uid);
	if (filter->n_uids > 0)
		return has_uid(i, event);
	return filter->types == 0 || (filter->types & EVENT_TYPE_BIT(event->type));
}

/* Many views come and go: every view that an event can match is found, and none that it cannot match. */
static void test_random(void **state)
{
	static const enum event_type types[] = { EVENT_FORK, EVENT_EXEC, EVENT_EXIT, EVENT_ID };
	struct random random = { 3 };
	unsigned int found[VIEWS];
	struct fb_event event;

	(void)state;
	for (int op = 0; op < 40000; op++) {
		/* At first there are few numbers, which many want; then many, which go one by one. */
		uint32_t most = op < 20000 ? 10 : 500;
		size_t i = random_below(&random, VIEWS);

		if (entries[i].there)
			drop(i);
		else
			add_random(&random, i, most);
		event = event_of(types[random_below(&random, 4)], random_number(&random, most),
				 random_number(&random, most));
		if (event.type == EVENT_ID)
			EVENT_SET(&event, old_uid, random_number(&random, most));
		look(&event, found);
		for (i = 0; i < VIEWS; i++)
			assert_int_equal(found[i] > 0, entries[i].there && can_want(i, &event));
	}
	for (size_t i = 0; i < VIEWS; i++)
		if (entries[i].there)
			drop(i);
}

/* Without memory for a view, or for a larger table, it is not there, and all others are as they were. */
static void test_no_memory(void **state)
{
	enum { N = 20 };
	unsigned int found[VIEWS], failures = 0;
	struct fb_event event;

	(void)state;
	for (size_t i = 0; i < N && allocations_can_fail(); i++) {
		bool failed = true;

		for (uint32_t n = 0; n < KEYS_MAX; n++)
			entries[i].uids[n] = (uint32_t)i * KEYS_MAX + n;
		entries[i].filter = (struct filter){ .uids = entries[i].uids, .n_uids = KEYS_MAX };
		for (unsigned long nth = 1; failed; nth++) {
			long held = allocations_held;
			int r;

			allocations_until_failure = nth;
			r = view_index_add(index_, view_at(i), &entries[i].place, &entries[i].filter, all);
			failed = allocations_until_failure == 0;
			allocations_until_failure = 0;
			assert_int_equal(r, failed ? -ENOMEM : 0);
			assert_true(!failed || allocations_held_are(held));
			failures += failed;
			for (uint32_t uid = 0; uid < N * KEYS_MAX; uid++) {
				event = event_of(EVENT_EXEC, 1, uid);
				look(&event, found);
				for (size_t other = 0; other < N; other++)
					assert_int_equal(found[other],
							 other == uid / KEYS_MAX &&
								 (other < i || (other == i && !failed)));
			}
		}
	}
	/* Two for each view, and the table four times */
	assert_true(failures == 2 * N + 4 || failures == 0);
	for (size_t i = 0; failures > 0 && i < N; i++)
		drop(i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests_name("view-index", tests, NULL, NULL);
}
