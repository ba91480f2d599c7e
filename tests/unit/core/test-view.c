// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "log-format.h"
#include "tests/unit/stage-test.h"

static struct stage_size large = { 64, 16 << 20, 3 };
static struct stage_size no_cache = { 64, 0, 3 };

static struct filter *make_filter(const char *text)
{
	struct filter_error error;
	struct request request;

	assert_int_equal(request_parse(&request, text, strlen(text), &error), 0);
	return request.filter;
}

static struct view *get(const char *filter, struct visibility visibility)
{
	struct filter *made = make_filter(filter);
	struct label *label = NULL;
	struct view *view = NULL;

	if (made->has_tree)
		assert_int_equal(hub_get_label(stage.hub, &label, made->tree), 0);
	assert_int_equal(view_get(&view, hub_views(stage.hub), made, visibility, &encoding_lines, label), 0);
	assert_non_null(view);
	return view;
}

/* Subscribers with equal filters and rights share a view, even if the requests were written differently. */
static void test_equal(void **state)
{
	const struct visibility mine = { .uid = 1000 }, other = { .uid = 1001 };
	const struct views_stats *stats = views_stats(hub_views(stage.hub));
	struct view *views[12];

	(void)state;
	stage_run(&stage, 10, 10);
	views[0] = get("", SEE_ALL);
	views[1] = get("{\"threads\":false}", (struct visibility){ .all = true, .uid = 7 });
	assert_ptr_equal(views[0], views[1]);
	views[2] = get("{\"types\":[\"exit\",\"fork\"],\"comm\":\"a*\"}", SEE_ALL);
	views[3] = get("{\"comm\":[\"a*\",\"a*\"],\"types\":[\"fork\",\"exit\",\"fork\"]}", SEE_ALL);
	assert_ptr_equal(views[2], views[3]);
	assert_ptr_not_equal(views[0], views[2]);
	views[4] = get("", mine);
	views[5] = get("", mine);
	views[6] = get("", other);
	assert_ptr_equal(views[4], views[5]);
	assert_ptr_not_equal(views[4], views[0]);
	assert_ptr_not_equal(views[4], views[6]);
	assert_int_equal(stats->views, 4);
	/* A tree, too; and its label goes with it. */
	views[7] = get("{\"tree\":{\"pid\":1,\"startUsec\":5}}", SEE_ALL);
	views[8] = get("{\"tree\":{\"pid\":1,\"startUsec\":5}}", SEE_ALL);
	views[9] = get("{\"tree\":{\"pid\":1,\"startUsec\":5},\"types\":\"exit\"}", SEE_ALL);
	assert_ptr_equal(views[7], views[8]);
	assert_ptr_not_equal(views[7], views[9]);
	assert_ptr_equal(views[7]->label, views[9]->label);
	assert_int_equal(labels_count(hub_labels(stage.hub)), 1);
	assert_int_equal(stats->views, 6);
	assert_int_equal(views[0]->references, 2);
	for (int i = 0; i < 10; i++)
		assert_null(view_put(views[i]));
	assert_int_equal(stats->views, 0);
	assert_int_equal(labels_count(hub_labels(stage.hub)), 0);
	assert_null(view_put(NULL));
	assert_null(views_free(NULL));
}

/* A filter must not show whether a field that is withheld has a value. */
static void test_withheld(void **state)
{
	const struct visibility mine = { .uid = 1000 };
	struct view *views[] = { get("{\"exe\":\"/secret\"}", mine), get("{\"exe\":\"*\"}", mine),
				 get("{\"exe\":\"/secret\"}", SEE_ALL), get("{\"comm\":\"su\"}", mine) };
	struct fb_event event;

	(void)state;
	fb_event_init(&event, EVENT_EXEC);
	EVENT_SET(&event, pid, 5);
	EVENT_SET(&event, uid, 1000);
	EVENT_SET(&event, euid, 0);
	EVENT_SET(&event, exe, event_text("/secret"));
	EVENT_SET(&event, comm, event_text("su"));
	assert_true(view_match(views[0], &event) == 0);
	assert_true(view_match(views[1], &event) == 0);
	assert_true(view_match(views[2], &event) == FIELDS_ALL);
	assert_true(view_match(views[3], &event) != 0);
	assert_false(view_match(views[3], &event) & EVENT_BIT(exe));
	EVENT_SET(&event, privacy, 0);
	assert_true(view_match(views[0], &event) == FIELDS_ALL);
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		view_put(views[i]);
}

static void test_wanted(void **state)
{
	struct view *views[4];

	(void)state;
	assert_int_equal(views_wanted(hub_views(stage.hub)), 0);
	views[0] = get("", SEE_ALL);
	assert_int_equal(views_wanted(hub_views(stage.hub)), 0);
	views[1] = get("{\"types\":[\"exit\",\"ptrace\"]}", SEE_ALL);
	views[2] = get("{\"threads\":true,\"uids\":5}", SEE_ALL);
	/* A user who does not see all does not arm. */
	views[3] = get("{\"types\":\"chroot\"}", (struct visibility){ .uid = 1 });
	assert_int_equal(views_wanted(hub_views(stage.hub)),
			 EVENT_TYPE_BIT(EVENT_EXIT) | EVENT_TYPE_BIT(EVENT_PTRACE) | HUB_ARMED_THREADS);
	for (int i = 0; i < 4; i++)
		view_put(views[i]);
	assert_int_equal(views_wanted(hub_views(stage.hub)), 0);
}

/* A type is wanted until the last view that names it goes. */
static void test_wanted_by_many(void **state)
{
	const struct views *views = hub_views(stage.hub);
	struct view *one = get("{\"types\":[\"exit\",\"ptrace\"]}", SEE_ALL);
	struct view *two = get("{\"types\":[\"ptrace\",\"coredump\"],\"threads\":true}", SEE_ALL);
	struct view *again = get("{\"types\":[\"ptrace\",\"exit\"]}", SEE_ALL);

	(void)state;
	assert_ptr_equal(one, again);
	view_put(one);
	assert_int_equal(views_wanted(views), EVENT_TYPE_BIT(EVENT_EXIT) | EVENT_TYPE_BIT(EVENT_PTRACE) |
						      EVENT_TYPE_BIT(EVENT_COREDUMP) | VIEW_THREADS);
	view_put(again);
	assert_int_equal(views_wanted(views),
			 EVENT_TYPE_BIT(EVENT_PTRACE) | EVENT_TYPE_BIT(EVENT_COREDUMP) | VIEW_THREADS);
	view_put(two);
	assert_int_equal(views_wanted(views), 0);
}

/* Fifty subscribers cost the encoding of one. */
static void test_encoded_once(void **state)
{
	enum { MANY = 50 };
	const struct views_stats *stats = views_stats(hub_views(stage.hub));
	static struct subscriber many[MANY], late, later;
	struct random random = { 1 };
	uint64_t bytes, n;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(subscribe(&many[i], &stage, "{\"threads\":true}", SEE_ALL, NULL), 0);
		subscriber_read_all(&many[i]);
	}
	assert_int_equal(stats->views, 1);
	assert_int_equal(stats->encoded, 0);
	for (int round = 0; round < (in_valgrind() ? 5 : 50); round++) {
		stage_run(&stage, 1 + (unsigned int)random_below(&random, 100), 50);
		for (int i = 0; i < MANY; i++)
			/* Some are behind, some in the middle of a line. */
			subscriber_read(&many[i], SIZE_MAX, i % 3 ? SIZE_MAX : random_below(&random, 30000));
	}
	/* While one is behind, all lines are kept, and one that begins at the beginning reads them. */
	n = log_next(hub_log(stage.hub)) - 1;
	for (int i = 1; i < MANY; i++)
		subscriber_read_all(&many[i]);
	assert_int_equal(subscribe(&late, &stage, "{\"threads\":true,\"since\":\"-500000h\"}", SEE_ALL, NULL),
			 0);
	subscriber_read_all(&late);
	subscriber_check(&late);
	assert_int_equal(late.n_events, n);
	subscriber_read_all(&many[0]);
	for (int i = 0; i < MANY; i++) {
		subscriber_check(&many[i]);
		assert_int_equal(many[i].n_lost, 0);
	}
	assert_int_equal(stats->encoded, n);
	/* What they received, except for the first line, which is different for each. */
	bytes = stats->encoded_bytes;
	for (int i = 0; i < MANY; i++)
		assert_int_equal(many[i].size, bytes + strcspn(many[i].got, "\n") + 1);

	/* Then all views are offered it, and the result is the same. */
	assert_int_equal(
		subscribe(&later, &stage, "{\"threads\":true,\"since\":\"-500000h\"}", SEE_ALL, NULL), 0);
	subscriber_read_all(&later);
	subscriber_check(&later);
	assert_int_equal(later.n_events, n);
	assert_int_equal(stats->encoded, 2 * n);
	unsubscribe(&later);
	unsubscribe(&late);
	for (int i = 0; i < MANY; i++)
		unsubscribe(&many[i]);
	assert_int_equal(stats->views, 0);
}

static bool is_kept(const struct subscriber *of)
{
	return !LIST_EMPTY(&of->cursor.reader.view->chunks);
}

/* Lines are kept until all have them, even if cursors come and go meanwhile, and not longer. */
static void test_kept(void **state)
{
	static struct subscriber some[4];

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(subscribe(&some[i], &stage, "", SEE_ALL, NULL), 0);
		subscriber_read_all(&some[i]);
	}
	assert_false(is_kept(&some[0]));
	stage_run(&stage, 10, 10);
	subscriber_read_all(&some[0]);
	subscriber_read_all(&some[0]);
	subscriber_read_all(&some[0]);
	assert_true(is_kept(&some[0]));
	subscriber_read_all(&some[1]);
	unsubscribe(&some[1]);
	assert_true(is_kept(&some[0]));
	/* This one has received all lines, and another one still needs them. */
	assert_int_equal(subscribe(&some[3], &stage, "", SEE_ALL, NULL), 0);
	subscriber_read_all(&some[3]);
	assert_true(is_kept(&some[0]));
	subscriber_read_all(&some[2]);
	assert_false(is_kept(&some[0]));
	for (int round = 0; round < 3; round++) {
		stage_run(&stage, 10, 10);
		assert_true(is_kept(&some[0]));
		for (int i = 0; i < 4; i++) {
			if (i == 1)
				continue;
			assert_true(is_kept(&some[0]));
			subscriber_read_all(&some[i]);
			subscriber_check(&some[i]);
		}
		assert_false(is_kept(&some[0]));
	}
	unsubscribe(&some[0]);
	unsubscribe(&some[2]);
	unsubscribe(&some[3]);
}

/* Without a reader nothing is encoded. */
static void test_encoded_never(void **state)
{
	const struct views_stats *stats = views_stats(hub_views(stage.hub));
	struct subscriber one;
	uint64_t before;

	(void)state;
	assert_int_equal(subscribe(&one, &stage, "", SEE_ALL, NULL), 0);
	stage_run(&stage, 100, 100);
	assert_int_equal(stats->encoded, 0);
	subscriber_read_all(&one);
	assert_true(stats->encoded > 0);
	stage_run(&stage, 100, 100);
	subscriber_read(&one, SIZE_MAX, 100);
	before = stats->encoded;
	stage_run(&stage, 100, 100);
	assert_int_equal(stats->encoded, before);
	subscriber_read_all(&one);
	subscriber_check(&one);
	unsubscribe(&one);
}

/* The lines from any place on, with any filter, compared with a simple implementation */
static void check_read(struct view *view, const struct subscriber *like, uint64_t seq)
{
	static char expected[EVENT_JSON_MAX + 1];
	struct view_lines lines;
	struct fb_event event;
	size_t at = 0;

	view_read(view, seq, &lines);
	assert_in_range(lines.next, seq + 1, log_next(hub_log(stage.hub)));
	for (; seq < lines.next; seq++) {
		field_set fields = subscriber_fields(like, seq);
		size_t size;

		if (!fields)
			continue;
		stage_event(&stage, seq, &event);
		size = event_json_encode(&event, fields, expected);
		expected[size++] = '\n';
		assert_true(at + size <= lines.size);
		assert_memory_equal(lines.data + at, expected, size);
		at += size;
	}
	assert_int_equal(at, lines.size);
}

static void test_read(void **state)
{
	enum { VIEWS = 12 };
	static struct subscriber like[VIEWS];
	struct view *views[VIEWS];
	struct random random = { 8 };
	char request[600];

	(void)state;
	stage_run(&stage, 2000, 100);
	for (int i = 0; i < VIEWS; i++) {
		struct visibility visibility = { .all = i % 2, .uid = 1000 + (uint32_t)i % 3 };

		snprintf(request, sizeof(request), "{%s}", i ? random_filter(&random) : "");
		views[i] = get(request, visibility);
		like[i] = (struct subscriber){ .stage = &stage,
					       .visibility = visibility,
					       .filter = make_filter(request) };
	}
	for (int run = 0; run < (in_valgrind() ? 100 : 2000); run++) {
		int i = (int)random_below(&random, VIEWS);
		uint64_t first = log_first(hub_log(stage.hub)), next = log_next(hub_log(stage.hub));

		check_read(views[i], &like[i], first + random_below(&random, next - first));
		/* Some of them as if they had a live reader. */
		views[i]->n_live = random_below(&random, 2);
		stage_run(&stage, (unsigned int)random_below(&random, 30), 10);
	}
	assert_true(log_first(hub_log(stage.hub)) > 1 || in_valgrind());
	for (int i = 0; i < VIEWS; i++) {
		filter_free(like[i].filter);
		view_put(views[i]);
	}
}

/* The line in which a number of bytes ends, for every number */
static void test_taken(void **state)
{
	struct view *view = get("", SEE_ALL);
	struct view_lines lines;

	(void)state;
	stage_run(&stage, 60, 60);
	for (uint64_t seq = 1; seq < 60; seq += 13) {
		view_read(view, seq, &lines);
		assert_true(lines.size > 0);
		for (size_t size = 0; size <= lines.size; size++) {
			size_t begun = size, rest_size;
			const char *rest = NULL, *end;
			uint64_t next = view_lines_taken(&lines, size, &rest, &rest_size);

			while (begun > 0 && lines.data[begun - 1] != '\n')
				begun--;
			if (begun < size) {
				end = memchr(lines.data + size, '\n', lines.size - size);
				assert_non_null(end);
				assert_ptr_equal(rest, lines.data + size);
				assert_int_equal(rest_size, (size_t)(end + 1 - rest));
				begun = (size_t)(end + 1 - lines.data);
			} else {
				assert_int_equal(rest_size, 0);
			}
			/* The rest of the lines is what a next call gives. */
			if (begun == lines.size) {
				assert_int_equal(next, lines.next);
			} else {
				struct view_lines again;

				view_read(view, next, &again);
				assert_int_equal(again.size, lines.size - begun);
				assert_ptr_equal(again.data, lines.data + begun);
			}
		}
	}
	view_put(view);
}

/* Blocks of other users are skipped only if they have no event of a requested user. */
static void test_stripes(void **state)
{
	static const char *const requests[] = { "{\"uids\":[1,3]}",
						"{\"uids\":[2]}",
						"{\"uids\":[1,2,3,77]}",
						"{\"types\":\"exit\"}",
						"",
						"{\"types\":\"id\",\"uids\":[1,50]}" };
	static char path[1000];
	struct fb_event event;

	(void)state;
	memset(path, 'p', sizeof(path));
	/* No uid at all, or that of the stripe, and one id event from it */
	for (uint32_t stripe = 0; stripe < 8; stripe++) {
		for (int i = 0; i < 200; i++) {
			fb_event_init(&event, i == 100 ? EVENT_ID : stripe & 4 ? EVENT_FORK : EVENT_EXIT);
			EVENT_SET(&event, pid, 1);
			EVENT_SET(&event, cgroup, ((struct event_text){ path, sizeof(path) }));
			if (stripe % 4) {
				EVENT_SET(&event, uid, i == 100 ? 50 : stripe % 4);
				if (i == 100)
					EVENT_SET(&event, old_uid, stripe % 4);
			}
			stage_publish(&stage, &event, NULL);
		}
	}
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		for (uint32_t uid = 0; uid < 4; uid++) {
			struct visibility visibility = { .all = uid == 0, .uid = uid };
			struct subscriber like = { .stage = &stage,
						   .visibility = visibility,
						   .filter = make_filter(requests[i]) };
			struct view *view = get(requests[i], visibility);
			struct view_lines lines = { .next = 1 };

			while (lines.next < log_next(hub_log(stage.hub))) {
				uint64_t seq = lines.next;

				check_read(view, &like, seq);
				view_read(view, seq, &lines);
			}
			filter_free(like.filter);
			view_put(view);
		}
	}
}

/* An id event is reported once to each side: to the old user, to the new user, and to users who see all. */
static void test_id_events(void **state)
{
	static const char *const requests[] = { "", "{\"uids\":[0,1000]}", "{\"uids\":[0]}",
						"{\"types\":\"id\"}" };
	static struct subscriber all[4], left[4], arrived[4], others[4];
	struct fb_event event;

	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(subscribe(&all[i], &stage, requests[i], SEE_ALL, NULL), 0);
		assert_int_equal(
			subscribe(&left[i], &stage, requests[i], (struct visibility){ .uid = 1000 }, NULL),
			0);
		assert_int_equal(
			subscribe(&arrived[i], &stage, requests[i], (struct visibility){ .uid = 0 }, NULL),
			0);
		assert_int_equal(
			subscribe(&others[i], &stage, requests[i], (struct visibility){ .uid = 2 }, NULL), 0);
		subscriber_read_all(&all[i]);
		subscriber_read_all(&left[i]);
		subscriber_read_all(&arrived[i]);
		subscriber_read_all(&others[i]);
	}
	fb_event_init(&event, EVENT_ID);
	EVENT_SET(&event, pid, 5);
	EVENT_SET(&event, uid, 0);
	EVENT_SET(&event, old_uid, 1000);
	stage_publish(&stage, &event, NULL);
	hub_flush(stage.hub);
	for (int i = 0; i < 4; i++) {
		subscriber_read_all(&all[i]);
		subscriber_read_all(&left[i]);
		subscriber_read_all(&arrived[i]);
		subscriber_read_all(&others[i]);
		subscriber_check(&all[i]);
		subscriber_check(&left[i]);
		subscriber_check(&arrived[i]);
		subscriber_check(&others[i]);
		assert_int_equal(all[i].n_events, 1);
		assert_int_equal(left[i].n_events, 1);
		assert_int_equal(arrived[i].n_events, 1);
		assert_int_equal(others[i].n_events, 0);
		assert_int_equal(others[i].wakes, 0);
		assert_int_equal(left[i].wakes, 1);
		unsubscribe(&all[i]);
		unsubscribe(&left[i]);
		unsubscribe(&arrived[i]);
		unsubscribe(&others[i]);
	}
}

/* Events about the broker's own view match every filter, with all rights. */
static void test_always(void **state)
{
	static const char *const requests[] = {
		"{\"types\":\"exit\"}",	   "{\"uids\":[4711]}",	   "{\"comm\":\"nothing\"}",
		"{\"status\":\"signal\"}", "{\"types\":\"lost\"}", "{\"tree\":{\"pid\":4711,\"startUsec\":1}}"
	};
	static struct subscriber seers[12];
	struct fb_event event;

	(void)state;
	stage_run(&stage, 100, 100);
	for (int i = 0; i < 12; i++) {
		struct visibility visibility = { .all = i % 2, .uid = 4711 };
		struct request request;
		struct filter_error error;

		if (i / 2 < 5) {
			assert_int_equal(subscribe(&seers[i], &stage, requests[i / 2], visibility, NULL), 0);
		} else {
			/* The root of this tree was never in the table. */
			seers[i] = (struct subscriber){ .stage = &stage, .visibility = visibility };
			assert_int_equal(request_parse(&request, requests[5], strlen(requests[5]), &error),
					 0);
			assert_int_equal(cursor_init(&seers[i].cursor, stage.hub, &request, visibility, NULL,
						     &encoding_lines, seers[0].cursor.wake, &error),
					 0);
			request_done(&request);
		}
		subscriber_read_all(&seers[i]);
	}
	fb_event_init(&event, EVENT_LOST);
	EVENT_SET(&event, reason, event_text("kernel"));
	stage_publish(&stage, &event, NULL);
	stage_run(&stage, 3, 3);
	fb_event_init(&event, EVENT_SOURCE);
	EVENT_SET(&event, source, event_text("replay"));
	stage_publish(&stage, &event, NULL);
	hub_flush(stage.hub);
	for (int i = 0; i < 12; i++) {
		subscriber_read_all(&seers[i]);
		seers[i].got = realloc(seers[i].got, seers[i].size + 1);
		seers[i].got[seers[i].size] = '\0';
		assert_non_null(strstr(seers[i].got, "\"reason\":\"kernel\""));
		assert_non_null(strstr(seers[i].got, "\"source\":\"replay\""));
		if (seers[i].filter)
			subscriber_check(&seers[i]);
		unsubscribe(&seers[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(test_equal, large),	       STAGE_TEST(test_withheld, large),
		STAGE_TEST(test_wanted, large),	       STAGE_TEST(test_wanted_by_many, large),
		STAGE_TEST(test_encoded_once, large),  STAGE_TEST(test_kept, large),
		STAGE_TEST(test_encoded_never, large), STAGE_TEST(test_read, large),
		STAGE_TEST(test_read, no_cache),       STAGE_TEST(test_taken, large),
		STAGE_TEST(test_stripes, large),       STAGE_TEST(test_stripes, no_cache),
		STAGE_TEST(test_id_events, large),     STAGE_TEST(test_always, large),
	};

	return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
