// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/cover.h"
#include "tests/unit/random-event.h"

/* Processes with simple data to compare with, and a journal of their forks, as a log has it. */

#define EVER_MAX   30000
#define LIVING_MAX 400

struct process {
	struct process *father;
	struct line *line; /* NULL: it has ended */
};

static struct {
	struct lineage lineage;
	struct labels *labels;
	struct random random;
	struct process ever[EVER_MAX]; /* in the order of their forks */
	size_t n_ever;
	struct process *living[LIVING_MAX];
	size_t n_living;
} model;

static int setup(void **state)
{
	(void)state;
	memset(&model, 0, sizeof(model));
	model.lineage.changes = 1;
	return labels_new(&model.labels, &model.lineage);
}

static void end_all(void)
{
	while (model.n_living > 0) {
		struct process *process = model.living[--model.n_living];

		process->line = lineage_end(&model.lineage, process->line);
	}
	assert_int_equal(model.lineage.n, 0);
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(labels_count(model.labels), 0);
	end_all();
	assert_null(labels_free(model.labels));
	lineage_done(&model.lineage);
	return 0;
}

/* @joined: is it known who forked it? */
static struct process *do_fork(struct process *father, bool joined)
{
	struct process *process = &model.ever[model.n_ever++];

	assert_true(model.n_ever <= EVER_MAX && model.n_living < LIVING_MAX);
	*process = (struct process){ father, lineage_add(&model.lineage) };
	assert_non_null(process->line);
	if (joined)
		lineage_join(&model.lineage, process->line, father ? father->line : NULL);
	model.living[model.n_living++] = process;
	return process;
}

static void do_exit(struct process *process)
{
	size_t i = 0;

	while (model.living[i] != process)
		i++;
	process->line = lineage_end(&model.lineage, process->line);
	model.living[i] = model.living[--model.n_living];
}

static struct process *pick(void)
{
	return model.living[random_below(&model.random, model.n_living)];
}

static bool descends(const struct process *process, const struct process *root)
{
	while (process && process != root)
		process = process->father;
	return process;
}

/* One who finds the descendants of a process that has ended, in steps, as past.c does. */
struct search {
	const struct process *root;
	struct label *label;
	struct cover cover;
	size_t known; /* the journal is read up to here */
	size_t next;  /* to be noted or marked */
	enum { NOTING, MARKING, FOLLOWING } phase;
};

static void search_begin(struct search *search, const struct process *root)
{
	struct process_id id = { (uint32_t)(root - model.ever) + 1, 1 };

	*search = (struct search){ .root = root, .known = model.n_ever };
	assert_int_equal(label_get(&search->label, model.labels, id, NULL, 1), 0);
	cover_begin(&search->cover, model.labels);
}

static void search_step(struct search *search, size_t n)
{
	size_t end = search->phase == FOLLOWING ? model.n_ever : search->known;

	for (; n > 0 && search->next < end; n--, search->next++) {
		struct process *process = &model.ever[search->next];

		if (!process->line || !descends(process, search->root))
			continue;
		if (search->phase == NOTING)
			cover_note(&search->cover, process->line);
		else
			assert_int_equal(
				cover_mark(&search->cover, model.labels, search->label, process->line), 0);
	}
	if (search->next < end || search->phase == FOLLOWING)
		return;
	search->next = search->phase == NOTING ? 0 : search->known;
	search->phase++;
}

static size_t marks_of(const struct label *label)
{
	const struct mark *mark;
	size_t n = 0;

	LIST_FOREACH(mark, &label->marks, link)
		n++;
	return n;
}

/* Exactly the living descendants have the label. Return: the number of its marks. */
static size_t search_end(struct search *search)
{
	size_t marks;

	while (search->phase != FOLLOWING || search->next < model.n_ever)
		search_step(search, SIZE_MAX);
	for (size_t i = 0; i < model.n_living; i++)
		assert_int_equal(label_is_on(model.labels, search->label, model.living[i]->line),
				 descends(model.living[i], search->root));
	marks = marks_of(search->label);
	label_put(model.labels, search->label);
	return marks;
}

static size_t marks_needed(const struct process *root)
{
	struct search search;

	search_begin(&search, root);
	return search_end(&search);
}

static void one_mark_for_a_line_of_forks(void **state)
{
	struct process *root = do_fork(do_fork(NULL, true), true), *last = root;

	(void)state;
	for (int i = 0; i < 100; i++)
		last = do_fork(last, true);
	do_exit(root);
	assert_int_equal(marks_needed(root), 1);
}

static void one_mark_for_all_branches(void **state)
{
	struct process *init = do_fork(NULL, true), *root = do_fork(init, true);

	(void)state;
	for (int i = 0; i < 100; i++)
		do_fork(i % 3 ? root : model.living[model.n_living - 1], true);
	do_exit(root);
	assert_int_equal(marks_needed(root), 1);
}

/* The one who ended forked others before the tree began: those do not get its label. */
static void not_for_branches_beside_it(void **state)
{
	struct process *init = do_fork(NULL, true), *above = do_fork(init, true), *root;

	(void)state;
	do_fork(above, true);
	root = do_fork(above, true);
	do_fork(root, true);
	do_fork(above, true);
	do_exit(root);
	do_exit(above);
	assert_int_equal(marks_needed(root), 1);
}

/* One whose father is not known in the lineage, and one that another process adopted. */
static void where_descent_is_not_known(void **state)
{
	struct process *init = do_fork(NULL, true), *root = do_fork(init, true), *child;

	(void)state;
	do_fork(root, true);
	do_fork(root, true);
	do_fork(root, false);
	child = do_fork(root, false);
	lineage_join(&model.lineage, child->line, init->line);
	do_exit(root);
	assert_int_equal(marks_needed(root), 3);
}

static void happen(size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (model.n_living < 20 || (model.n_living < LIVING_MAX && random_below(&model.random, 2)))
			(void)do_fork(pick(), random_below(&model.random, 50) != 0);
		else
			do_exit(pick());
}

/* Two at the same time, each in steps of any size, while processes come and go. */
static void while_everything_changes(void **state)
{
	size_t marks = 0, found = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct search one, other;

		model.random.state = seed;
		model.n_ever = 0;
		do_fork(NULL, true);
		happen(500);
		for (int i = 0; i < 20; i++) {
			search_begin(&one, &model.ever[random_below(&model.random, model.n_ever)]);
			search_begin(&other, &model.ever[random_below(&model.random, model.n_ever)]);
			if (one.label == other.label) {
				label_put(model.labels, other.label);
				label_put(model.labels, one.label);
				continue;
			}
			for (int step = 0; step < 20; step++) {
				happen(random_below(&model.random, 4));
				search_step(&one, random_below(&model.random, 200));
				search_step(&other, random_below(&model.random, 200));
			}
			for (size_t p = 0; p < model.n_living; p++)
				found += descends(model.living[p], one.root);
			marks += search_end(&one);
			(void)search_end(&other);
		}
		end_all();
	}
	print_message("# %zu marks for %zu processes\n", marks, found);
	assert_true(found > 1000 && marks * 3 < found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_mark_for_a_line_of_forks, setup, teardown),
		cmocka_unit_test_setup_teardown(one_mark_for_all_branches, setup, teardown),
		cmocka_unit_test_setup_teardown(not_for_branches_beside_it, setup, teardown),
		cmocka_unit_test_setup_teardown(where_descent_is_not_known, setup, teardown),
		cmocka_unit_test_setup_teardown(while_everything_changes, setup, teardown),
	};

	return cmocka_run_group_tests_name("cover", tests, NULL, NULL);
}
