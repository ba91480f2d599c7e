// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/access.h"
#include "core/peer.h"

#define ALL FIELDS_ALL
static const field_set private = EVENT_BIT(read_bytes) | EVENT_BIT(write_bytes) | EVENT_BIT(read_chars) |
				 EVENT_BIT(write_chars) | EVENT_BIT(args) | EVENT_BIT(args_cut);

static const struct visibility tenant = { .all = false, .uid = 1000 };

static struct fb_event make(enum event_type type)
{
	struct fb_event event;

	/* Fields that are not there must not count: here they would say that it is the tenant's. */
	memset(&event, 0, sizeof(event));
	fb_event_init(&event, type);
	event.uid = event.euid = event.old_uid = 1000;
	return event;
}

static void test_of(void **state)
{
	const struct peer root = { .uid = 0, .gid = 100 };
	const struct peer member = { .uid = 1000, .gid = 1000, .member = true };
	const struct peer user = { .pid = 5, .uid = 1000, .gid = 0 };

	(void)state;
	assert_true(access_of(&root).all);
	assert_true(access_of(&member).all);
	assert_false(access_of(&user).all);
	assert_int_equal(access_of(&user).uid, 1000);
}

static void test_all(void **state)
{
	const struct visibility all = { .all = true, .uid = 1000 };

	(void)state;
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++) {
		struct fb_event event = make(type);

		assert_true(access_fields(all, &event) == ALL);
		EVENT_SET(&event, uid, 0);
		EVENT_SET(&event, euid, 1);
		assert_true(access_fields(all, &event) == ALL);
	}
}

/* Every type of event, with each combination of whose it is */
static void test_tenant(void **state)
{
	static const uint32_t uids[] = { 0, 1000, 1001, UINT32_MAX };

	(void)state;
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++) {
		for (unsigned int i = 0; i < 5 * 5 * 5; i++) {
			unsigned int uid = i % 5, euid = i / 5 % 5, old = i / 25;
			struct fb_event event = make(type);
			bool own = uid == 1, own_euid = euid == 1, left = type == EVENT_ID && old == 1;
			field_set expected;

			/* 4: not known */
			if (uid < 4)
				EVENT_SET(&event, uid, uids[uid]);
			if (euid < 4)
				EVENT_SET(&event, euid, uids[euid]);
			if (old < 4)
				EVENT_SET(&event, old_uid, uids[old]);
			if (type == EVENT_SOURCE || type == EVENT_LOST || type == EVENT_READY ||
			    type == EVENT_HEARTBEAT)
				expected = ALL;
			else if (!own && !left)
				expected = 0;
			else
				expected = own_euid ? ALL : ~private;
			assert_true(access_fields(tenant, &event) == expected);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_tenant),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
