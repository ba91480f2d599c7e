// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdlib.h>

#include "tests/unit/table-events.h"

/* The same operations on a table and on a simple model of one */

enum { MODEL_PIDS = 300, MODEL_OPS = 50000, MODEL_PATHS = 500 };

struct model {
	bool lives, has_ppid, has_parent_start, has_uid;
	uint64_t start, parent_start, born;
	uint32_t ppid, uid;
	int exe, comm; /* -1: not known */
};

/* The end of the process with a pid: all children of the pid, or only those of this process, lose their parent. */
static void model_end(struct model *model, uint32_t pid, bool all)
{
	for (uint32_t child = 1; child < MODEL_PIDS; child++) {
		struct model *it = &model[child];

		if (it->lives && it->has_ppid && it->ppid == pid &&
		    (all || !it->has_parent_start || event_same_start(it->parent_start, model[pid].start)))
			it->has_ppid = it->has_parent_start = false;
	}
	model[pid] = (struct model){ .lives = false };
}

static void model_apply(struct model *model, const struct fb_event *event, int exe, int comm)
{
	struct model *it = &model[event->pid];

	if (event->type == EVENT_EXIT) {
		model_end(model, event->pid, true);
		return;
	}
	if (it->lives && !event_same_start(it->start, event->start_usec))
		model_end(model, event->pid, false);
	if (!it->lives)
		*it = (struct model){ .lives = true, .start = event->start_usec, .exe = -1, .comm = -1 };
	if (event->type == EVENT_FORK)
		it->born = event->seq;
	if (EVENT_HAS(event, ppid)) {
		if (!it->has_ppid || it->ppid != event->ppid)
			it->has_parent_start = false;
		it->has_ppid = true;
		it->ppid = event->ppid;
		if (EVENT_HAS(event, parent_start_usec)) {
			it->has_parent_start = true;
			it->parent_start = event->parent_start_usec;
		}
	}
	if (EVENT_HAS(event, uid)) {
		it->has_uid = true;
		it->uid = event->uid;
	}
	if (EVENT_HAS(event, exe) || event->type == EVENT_EXEC)
		it->exe = EVENT_HAS(event, exe) ? exe : -1;
	if (EVENT_HAS(event, comm) || event->type == EVENT_EXEC)
		it->comm = EVENT_HAS(event, comm) ? comm : -1;
}

static void model_compare(const struct model *model, const struct table *table)
{
	size_t n = 0, walked = 0, slot = 0;
	const struct process *process;
	char text[32];

	for (uint32_t pid = 1; pid < MODEL_PIDS; pid++) {
		const struct model *it = &model[pid];

		process = table_find(table, pid);
		assert_int_equal(process != NULL, it->lives);
		if (!process)
			continue;
		n++;
		assert_int_equal(process->id.start_usec, it->start);
		assert_int_equal(process->born, it->born);
		assert_int_equal(knows(process, EVENT_BIT(ppid)), it->has_ppid);
		assert_int_equal(knows(process, EVENT_BIT(parent_start_usec)), it->has_parent_start);
		assert_int_equal(knows(process, EVENT_BIT(uid)), it->has_uid);
		if (it->has_ppid)
			assert_int_equal(process->ppid, it->ppid);
		if (it->has_parent_start)
			assert_int_equal(process->parent_start_usec, it->parent_start);
		if (it->has_uid)
			assert_int_equal(process->uid, it->uid);
		snprintf(text, sizeof(text), "/exe/%d", it->exe);
		assert_int_equal(process->exe != NULL, it->exe >= 0);
		if (it->exe >= 0)
			assert_string_equal(process->exe, text);
		snprintf(text, sizeof(text), "comm %d", it->comm);
		if (it->comm >= 0)
			assert_string_equal(process->comm, text);
		else
			assert_false(knows(process, EVENT_BIT(comm)));
		for (const struct process *child = process->children; child; child = child->sibling) {
			assert_ptr_equal(child->parent, process);
			assert_ptr_equal(table_find(table, child->id.pid), child);
			assert_int_equal(child->ppid, pid);
		}
		if (process->parent) {
			assert_ptr_equal(table_find(table, process->ppid), process->parent);
			if (it->has_parent_start)
				assert_true(
					event_same_start(process->parent->id.start_usec, it->parent_start));
		}
	}
	assert_int_equal(table_count(table), n);
	while ((process = table_walk(table, &slot))) {
		assert_ptr_equal(table_find(table, process->id.pid), process);
		walked++;
	}
	assert_int_equal(walked, n);
}

/* Parents have lower pids here, so that there are no circles, which the model does not know. */
static void test_model(void **state)
{
	static const enum event_type types[] = { EVENT_FORK, EVENT_FORK, EVENT_EXEC, EVENT_EXIT,
						 EVENT_EXIT, EVENT_ID,	 EVENT_COMM, EVENT_PROCESS };
	static struct model model[MODEL_PIDS];
	struct table *table = *state;
	uint64_t clock = 1000000;

	srandom(20051128);
	for (unsigned int op = 0; op < MODEL_OPS; op++) {
		uint32_t pid = 2 + (uint32_t)random() % (MODEL_PIDS - 2);
		struct fb_event event = make(types[random() % 8], pid, 0);
		int exe = (int)(random() % MODEL_PATHS), comm = (int)(random() % MODEL_PATHS);
		bool same = model[pid].lives && random() % 8 != 0;
		char exe_text[32], comm_text[32];

		snprintf(exe_text, sizeof(exe_text), "/exe/%d", exe);
		snprintf(comm_text, sizeof(comm_text), "comm %d", comm);
		clock += 2 * EVENT_START_SLACK_USEC;
		EVENT_SET(&event, seq, op);
		EVENT_SET(&event, start_usec, same ? model[pid].start : clock);
		if (random() % 2) {
			EVENT_SET(&event, ppid, 1 + (uint32_t)random() % (pid - 1));
			if (random() % 2 && model[event.ppid].lives)
				EVENT_SET(&event, parent_start_usec, model[event.ppid].start);
		}
		if (random() % 2)
			EVENT_SET(&event, uid, (uint32_t)random() % 5);
		if (random() % 2)
			EVENT_SET(&event, exe, event_text(exe_text));
		if (random() % 2)
			EVENT_SET(&event, comm, event_text(comm_text));
		apply(table, &event);
		model_apply(model, &event, exe, comm);
		if (op % 25 == 0 || op < 1000)
			model_compare(model, table);
	}
	model_compare(model, table);
	assert_true(table_count(table) > 20);
}

/* Parents are random, circles and all: nothing breaks, no circle stays. */
static void test_wild_parents(void **state)
{
	struct table *table = *state;
	uint32_t live;

	srandom(2);
	for (unsigned int op = 0; op < 20000; op++) {
		uint32_t pid = 1 + (uint32_t)random() % 40;
		struct fb_event event = make(random() % 4 ? EVENT_PROCESS : EVENT_EXIT, pid, 0);

		EVENT_SET(&event, ppid, (uint32_t)random() % 42);
		apply(table, &event);
		for (live = 1; live <= 40; live++) {
			unsigned int depth = 0;

			for (const struct process *up = table_find(table, live); up; up = up->parent)
				assert_true(depth++ <= 40);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_model, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wild_parents, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
