// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/label.h"
#include "tests/unit/random-event.h"

#define EVER_MAX   20000
#define LIVING_MAX 120
#define LABELS_MAX 24
#define WINDOW	   400 /* records in the log */

/* A machine of processes, labels and records, with simple data for comparisons. */
struct process {
	struct process *father;
	struct line *line; /* NULL: it has ended */
};

struct record {
	const struct process *process;
	uint32_t number;
};

static struct {
	struct lineage lineage;
	struct labels *labels;
	struct random random;
	struct process ever[EVER_MAX];
	size_t n_ever;
	struct process *living[LIVING_MAX];
	size_t n_living;
	struct {
		struct label *label;
		const struct process *root;
	} held[LABELS_MAX];
	size_t n_held;
	struct record records[WINDOW];
	uint64_t next, first;
} model;

static int setup(void **state)
{
	(void)state;
	memset(&model, 0, sizeof(model));
	model.lineage.changes = 1;
	model.next = model.first = 1;
	return labels_new(&model.labels, &model.lineage);
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(labels_count(model.labels), 0);
	assert_null(labels_free(model.labels));
	for (size_t i = 0; i < model.n_living; i++)
		assert_null(lineage_end(&model.lineage, model.living[i]->line));
	assert_int_equal(model.lineage.n, 0);
	lineage_done(&model.lineage);
	return 0;
}

static struct process *do_fork(struct process *father)
{
	struct process *process = &model.ever[model.n_ever++];

	assert_true(model.n_ever <= EVER_MAX && model.n_living < LIVING_MAX);
	*process = (struct process){ father, lineage_add(&model.lineage) };
	assert_non_null(process->line);
	lineage_join(&model.lineage, process->line, father ? father->line : NULL);
	model.living[model.n_living++] = process;
	return process;
}

static void do_exit(size_t i)
{
	model.living[i]->line = lineage_end(&model.lineage, model.living[i]->line);
	model.living[i] = model.living[--model.n_living];
}

static uint32_t do_record(const struct process *process)
{
	struct record *record = &model.records[model.next % WINDOW];

	/* The log drops several records at a time. */
	if (model.next - model.first == WINDOW)
		model.first += WINDOW / 4;
	record->process = process;
	record->number = labels_number(model.labels, process->line, model.next++, model.first);
	return record->number;
}

static bool descends(const struct process *process, const struct process *root)
{
	while (process && process != root)
		process = process->father;
	return process;
}

static struct process *pick(void)
{
	return model.living[random_below(&model.random, model.n_living)];
}

static struct label *hold(const struct process *root)
{
	struct process_id id = { (uint32_t)(root - model.ever) % 50 + 1, (uint64_t)(root - model.ever) + 1 };
	struct label *label;

	assert_true(model.n_held < LABELS_MAX);
	assert_int_equal(label_get(&label, model.labels, id, root->line, model.next), 0);
	model.held[model.n_held].label = label;
	model.held[model.n_held++].root = root;
	return label;
}

static void release(size_t i)
{
	assert_null(label_put(model.labels, model.held[i].label));
	model.held[i] = model.held[--model.n_held];
}

/* A tree whose root has ended: its members become known later than the request. */
static void hold_ended(const struct process *root)
{
	struct label *label = hold(root);

	if (label->since != LABEL_NOT_BEGUN)
		return;
	for (size_t i = 0; i < model.n_living; i++)
		if (descends(model.living[i], root))
			assert_int_equal(label_mark(model.labels, label, model.living[i]->line), 0);
	label_begin(label, model.next);
}

static void check_record(uint64_t seq)
{
	const struct record *record = &model.records[seq % WINDOW];

	for (size_t i = 0; i < model.n_held; i++)
		if (seq >= model.held[i].label->since)
			assert_int_equal(label_is_in(model.labels, model.held[i].label, record->number),
					 descends(record->process, model.held[i].root));
}

static void check_process(const struct process *process)
{
	struct mark *mark = lineage_near(&model.lineage, process->line);

	for (size_t i = 0; i < model.n_held; i++)
		assert_int_equal(label_is_on(model.labels, model.held[i].label, process->line),
				 descends(process, model.held[i].root));
	for (; mark; mark = mark_next(model.labels, mark))
		assert_true(label_is_on(model.labels, mark->label, process->line));
}

static void step(void)
{
	uint64_t chance = random_below(&model.random, 100);

	if (model.n_living < 2)
		do_record(do_fork(random_below(&model.random, 2) && model.n_living ? pick() : NULL));
	else if (chance < 30 && model.n_living < LIVING_MAX)
		do_record(do_fork(pick()));
	else if (chance < 56) {
		size_t i = random_below(&model.random, model.n_living);

		do_record(model.living[i]);
		do_exit(i);
	} else if (chance < 80)
		do_record(pick());
	else if (chance < 89 && model.n_held < LABELS_MAX)
		hold(pick());
	else if (chance < 91 && model.n_held < LABELS_MAX)
		hold_ended(&model.ever[random_below(&model.random, model.n_ever)]);
	else if (model.n_held > 0)
		release(random_below(&model.random, model.n_held));
}

static size_t count_marks(void)
{
	const struct mark *mark;
	size_t n = 0;

	for (size_t i = 0; i < model.n_held; i++)
		LIST_FOREACH(mark, &model.held[i].label->marks, link)
			n++;
	return n;
}

/* Forks, ends, records and labels at random, compared with the descent of each process */
static void test_model(void **state)
{
	uint64_t seed = 0, numbers = 0;

	(void)state;
	for (unsigned int i = 0; i < 60000; i++) {
		if (i % 5000 == 0) {
			model.random.state = ++seed;
			print_message("# seed %llu\n", (unsigned long long)seed);
		}
		step();
		if (model.next > model.first)
			check_record(model.first + random_below(&model.random, model.next - model.first));
		if (model.n_living > 0)
			check_process(pick());
		if (i % 1000 == 0)
			for (uint64_t seq = model.first; seq < model.next; seq++)
				check_record(seq);
		if (labels_numbers(model.labels) > numbers)
			numbers = labels_numbers(model.labels);
		assert_true(model.lineage.n <= 2 * (model.n_living + count_marks()));
		if (model.n_ever > EVER_MAX - 10)
			break;
	}
	/* Each label that came or went may have needed one. */
	assert_true(numbers < 3 * WINDOW);
	print_message("# %llu processes, %llu records, at most %llu numbers\n",
		      (unsigned long long)model.n_ever, (unsigned long long)model.next,
		      (unsigned long long)numbers);
	while (model.n_held > 0)
		release(0);
}

/* A chain in which each process forks the next and ends costs no more than its last */
static void test_chain(void **state)
{
	struct process *process = do_fork(NULL), *side;
	struct label *label = hold(process);

	(void)state;
	for (unsigned int i = 0; i < 1000; i++) {
		struct process *next = do_fork(process);

		/* Some have a second child, which ends later. */
		side = i % 2 ? do_fork(next) : NULL;
		do_exit(0);
		if (side)
			do_exit(model.living[0] == side ? 0 : 1);
		process = next;
		assert_true(model.lineage.n <= 4);
		assert_true(label_is_on(model.labels, label, process->line));
	}
	release(0);
	assert_int_equal(model.lineage.n, 1);
}

/* Equal trees share a label; numbers mean the labels around one that is gone. */
static void test_shared(void **state)
{
	struct process *outer = do_fork(NULL), *inner = do_fork(outer), *other = do_fork(NULL);
	struct label *a = hold(outer), *b = hold(inner);
	uint32_t number, of_outer;

	(void)state;
	assert_ptr_equal(hold(inner), b);
	assert_int_equal(labels_count(model.labels), 2);
	number = do_record(inner);
	assert_true(number != 0);
	assert_int_equal(do_record(inner), number);
	of_outer = do_record(outer);
	assert_true(of_outer != 0 && of_outer != number);
	assert_int_equal(do_record(other), 0);
	assert_int_equal(labels_number(model.labels, NULL, 1, 1), 0);
	release(2);
	assert_true(label_is_in(model.labels, b, number));
	release(1);
	assert_int_equal(labels_count(model.labels), 1);
	assert_true(label_is_in(model.labels, a, number));
	assert_true(label_is_in(model.labels, a, of_outer));
	assert_false(label_is_in(model.labels, a, 0));
	assert_false(label_is_in(model.labels, a, number + 1000));
	release(0);
	assert_null(labels_find(model.labels, number));
	assert_null(labels_find(model.labels, of_outer));
}

/* A label that is used for long gets a new number sometimes, so that the old ones can be forgotten. */
static void test_numbers(void **state)
{
	struct process *outer = do_fork(NULL);
	uint32_t number = 0, before;
	unsigned int changes = 0;

	(void)state;
	hold(outer);
	for (unsigned int i = 0; i < 20 * WINDOW; i++) {
		struct process *inner = do_fork(outer);

		hold(inner);
		do_record(inner);
		do_exit(1);
		release(1);
		before = number;
		number = do_record(outer);
		changes += number != before;
		assert_true(label_is_in(model.labels, model.held[0].label,
					model.records[model.first % WINDOW].number));
		assert_true(labels_numbers(model.labels) <= 3 * WINDOW);
	}
	assert_true(changes >= 20);
	release(0);
}

/* The answers about numbers that were given before the parent was known are not repeated. */
static void test_join_late(void **state)
{
	struct process *above = do_fork(NULL), *process = do_fork(NULL);
	struct label *label = hold(above);
	uint32_t number;

	(void)state;
	hold(process);
	number = do_record(process);
	assert_false(label_is_in(model.labels, label, number));
	lineage_join(&model.lineage, process->line, above->line);
	assert_true(label_is_in(model.labels, label, number));
	release(1);
	release(0);
}

/* Of processes that have ended the numbers are kept for a while, as long as they mean something. */
static void test_ended(void **state)
{
	const struct process_id id = { 20, 1000123 }, next = { 20, 3000456 };
	struct process *root = do_fork(NULL);
	struct label *label = hold(root);
	uint32_t number = do_record(root);

	(void)state;
	assert_int_not_equal(number, 0);
	assert_int_equal(labels_number_of_ended(model.labels, id, model.next), 0);
	labels_note_end(model.labels, id, number);
	assert_int_equal(labels_number_of_ended(model.labels, id, model.next), number);
	assert_true(label_is_in(model.labels, label, number));
	assert_int_equal(labels_number_of_ended(model.labels, next, model.next), 0);
	assert_int_equal(labels_number_of_ended(model.labels, (struct process_id){ 21, 1000123 }, model.next),
			 0);
	/* Many others end: then it is forgotten, and no other's number is found instead. */
	for (uint32_t pid = 100; pid < 1100; pid++)
		labels_note_end(model.labels, (struct process_id){ pid, 1000 }, number);
	assert_int_equal(labels_number_of_ended(model.labels, id, model.next), 0);
	assert_int_equal(labels_number_of_ended(model.labels, (struct process_id){ 1099, 1000 }, model.next),
			 number);
	release(0);
}

/* The parent of a line is decided once, and there are no circles. */
static void test_join(void **state)
{
	struct process *a = do_fork(NULL), *b = do_fork(NULL), *c = do_fork(b);
	struct label *label = hold(a);

	(void)state;
	assert_null(lineage_end(&model.lineage, NULL));
	assert_false(label_is_on(model.labels, label, c->line));
	lineage_join(&model.lineage, b->line, b->line);
	lineage_join(&model.lineage, b->line, c->line);
	assert_null(b->line->parent);
	lineage_join(&model.lineage, b->line, a->line);
	assert_true(label_is_on(model.labels, label, c->line));
	lineage_join(&model.lineage, c->line, a->line);
	assert_ptr_equal(c->line->parent, b->line);
	/* What has ended still leads to its root. */
	do_exit(1);
	assert_int_equal(model.lineage.n, 2);
	assert_true(label_is_on(model.labels, label, c->line));
	release(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_model, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(test_join, setup, teardown),
		cmocka_unit_test_setup_teardown(test_join_late, setup, teardown),
	};

	return cmocka_run_group_tests_name("label", tests, NULL, NULL);
}
