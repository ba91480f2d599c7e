// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sources that come and go. The kernel's families and the sources themselves are replaced by what each test decides.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "source/netlink/genl.h"
#include "sources.h"
#include "tests/unit/support.h"

static struct {
	bool module_is_loaded, module_works, connector_works, was_removed;
	int watch;
} machine;

static struct event_base *base;
static struct hub *hub;
static struct sources *sources;

int genl_find(struct genl_family_info *info, const char *name, const char *group)
{
	(void)name, (void)group;
	*info = (struct genl_family_info){ .id = machine.module_is_loaded };
	return machine.module_is_loaded ? 0 : -ENOENT;
}

int genl_watch_open(void)
{
	return machine.watch = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

bool genl_watch_read(int fd, const char *name)
{
	uint64_t count;

	(void)name;
	(void)!read(fd, &count, sizeof(count));
	return machine.was_removed;
}

static int start(struct source **ret, struct hub *to, bool works, const struct source_ops *ops)
{
	static struct source source;

	if (!works)
		return -EIO;
	source.ops = ops;
	*ret = &source;
	hub_source_changed(to, ops->name, "start", NULL);
	return 0;
}

static int start_module(struct source **ret, struct hub *to, struct event_base *loop,
			const struct source_options *options)
{
	(void)loop, (void)options;
	return start(ret, to, machine.module_works, &module_source);
}

static int start_connector(struct source **ret, struct hub *to, struct event_base *loop,
			   const struct source_options *options)
{
	(void)loop, (void)options;
	return start(ret, to, machine.connector_works, &connector_source);
}

static uint64_t finish(struct source *source)
{
	(void)source;
	return 7;
}

static void arm(struct source *source)
{
	(void)source;
}

static struct source *stop(struct source *source)
{
	(void)source;
	return NULL;
}

static bool probe(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX])
{
	found[0] = advice[0] = '\0';
	return true;
}

const struct source_ops module_source = { .name = "module",
					  .supported = UINT32_MAX,
					  .start = start_module,
					  .finish = finish,
					  .arm = arm,
					  .stop = stop,
					  .probe = probe };
const struct source_ops connector_source = { .name = "connector",
					     .supported = UINT32_MAX,
					     .start = start_connector,
					     .finish = finish,
					     .arm = arm,
					     .stop = stop,
					     .probe = probe };
const struct source_ops replay_source = { .name = "replay", .probe = probe };

static int setup(void **state)
{
	struct config config;
	struct log *log;

	(void)state;
	test_dir_make();
	base = event_base_new();
	assert_int_equal(log_open(&log, test_path("log"), 1 << 20, (gid_t)-1), 0);
	assert_int_equal(hub_new(&hub, log, 0), 0);
	config_init(&config);
	machine.module_is_loaded = machine.module_works = true;
	machine.connector_works = machine.was_removed = false;
	assert_int_equal(sources_new(&sources, &config, hub, base), 0);
	assert_string_equal(hub_source(hub), "module");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sources_free(sources);
	hub_free(hub);
	event_base_free(base);
	test_dir_remove();
	return 0;
}

/* The kernel reports that the family was added or removed. */
static void notify(bool removed)
{
	const uint64_t one = 1;

	machine.was_removed = removed;
	assert_int_equal(write(machine.watch, &one, sizeof(one)), sizeof(one));
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Nothing is armed, so what subscribers ask for then does not look as if a source reported again. */
static void without_a_source_nothing_is_armed(void **state)
{
	(void)state;
	machine.module_is_loaded = false;
	notify(true);
	assert_string_equal(hub_source(hub), "none");
	assert_true(hub_has_outage(hub));
	assert_int_equal(hub_armed(hub), 0);
	/* Each attempt fails. */
	machine.module_is_loaded = true;
	machine.module_works = false;
	for (int i = 0; i < 2; i++) {
		notify(false);
		assert_string_equal(hub_source(hub), "none");
		assert_int_equal(hub_armed(hub), 0);
	}
	assert_true(hub_has_outage(hub));
	machine.module_works = true;
	notify(false);
	assert_string_equal(hub_source(hub), "module");
	assert_false(hub_has_outage(hub));
	assert_int_equal(hub_stats(hub)->source.times, 1);
}

static void the_other_source_takes_over(void **state)
{
	(void)state;
	machine.module_is_loaded = false;
	machine.connector_works = true;
	notify(true);
	assert_string_equal(hub_source(hub), "connector");
	assert_false(hub_has_outage(hub));
	assert_int_equal(hub_stats(hub)->source.times, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_a_source_nothing_is_armed, setup, teardown),
		cmocka_unit_test_setup_teardown(the_other_source_takes_over, setup, teardown),
	};

	return cmocka_run_group_tests_name("sources", tests, NULL, NULL);
}
