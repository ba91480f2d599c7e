// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/hub.h"
#include "tests/unit/module-kernel.h"

static struct kernel_message message;

static void put_identity(struct nlmsghdr *header)
{
	mnl_attr_put_u32(header, FORKBUS_R_TGID, 4711);
	mnl_attr_put_u64(header, FORKBUS_R_START, UINT64_C(5000001999));
	mnl_attr_put_u32(header, FORKBUS_R_PARENT_TGID, 4000);
	mnl_attr_put_u64(header, FORKBUS_R_PARENT_START, UINT64_C(4000000000));
	mnl_attr_put_u32(header, FORKBUS_R_UID, 1000);
	mnl_attr_put_u32(header, FORKBUS_R_GID, 1001);
	mnl_attr_put_u32(header, FORKBUS_R_EUID, 0);
	mnl_attr_put_u32(header, FORKBUS_R_EGID, 1002);
	mnl_attr_put_u32(header, FORKBUS_R_LOGIN_UID, 1003);
	mnl_attr_put_u32(header, FORKBUS_R_SESSION, 300);
	mnl_attr_put_u32(header, FORKBUS_R_PGID, 301);
	mnl_attr_put_u32(header, FORKBUS_R_TTY, 34816);
	mnl_attr_put_u64(header, FORKBUS_R_CGROUP, UINT64_C(0x100000007));
	mnl_attr_put_strz(header, FORKBUS_R_COMM, "sh");
	mnl_attr_put_u32(header, FORKBUS_R_PID_NS, 0xf0000001);
	mnl_attr_put_u32(header, FORKBUS_R_NS_TGID, 7);
}

static const field_set identity =
	EVENT_BIT(pid) | EVENT_BIT(start_usec) | EVENT_BIT(ppid) | EVENT_BIT(parent_start_usec) |
	EVENT_BIT(uid) | EVENT_BIT(gid) | EVENT_BIT(euid) | EVENT_BIT(egid) | EVENT_BIT(login_uid) |
	EVENT_BIT(session) | EVENT_BIT(pgid) | EVENT_BIT(cgroup_id) | EVENT_BIT(comm) | EVENT_BIT(pid_ns) |
	EVENT_BIT(ns_pid) | EVENT_BIT(boot_usec) | EVENT_BIT(kernel_seq);

/* A message with one record of a type, and its nest. */
static struct nlattr *begin(struct nlmsghdr **header, uint32_t type)
{
	struct nlattr *nest;

	*header = message_begin(&message, FORKBUS_CMD_EVENTS, 99);
	nest = record_begin(*header, 12, type, UINT64_C(6000000000));
	/* Additional attributes of a newer module. */
	mnl_attr_put_u64(*header, __FORKBUS_R_MAX + 7, 1);
	return nest;
}

static void test_identity(void **state)
{
	struct module_record record;
	struct nlmsghdr *header;
	struct nlattr *nest = begin(&header, FORKBUS_TYPE_FORK);

	(void)state;
	put_identity(header);
	mnl_attr_put_u64(header, FORKBUS_R_CLONE_FLAGS, 0x1200011);
	mnl_attr_nest_end(header, nest);
	assert_int_equal(module_record_decode(&record, nest), 0);
	assert_int_equal(record.seq, 12);
	assert_int_equal(record.first, 12);
	assert_int_equal(record.nsec, UINT64_C(6000000000));
	assert_int_equal(record.event.type, EVENT_FORK);
	assert_true(record.event.has == (identity | EVENT_BIT(clone_flags)));
	assert_int_equal(record.event.pid, 4711);
	assert_int_equal(record.event.start_usec, 5000001);
	assert_int_equal(record.event.boot_usec, 6000000);
	assert_int_equal(record.event.ppid, 4000);
	assert_int_equal(record.event.parent_start_usec, 4000000);
	assert_int_equal(record.event.uid, 1000);
	assert_int_equal(record.event.gid, 1001);
	assert_int_equal(record.event.euid, 0);
	assert_int_equal(record.event.egid, 1002);
	assert_int_equal(record.event.login_uid, 1003);
	assert_int_equal(record.event.session, 300);
	assert_int_equal(record.event.pgid, 301);
	assert_true(record.has_tty);
	assert_int_equal(record.tty, 34816);
	assert_int_equal(record.event.cgroup_id, UINT64_C(0x100000007));
	assert_true(event_text_equal(record.event.comm, event_text("sh")));
	assert_int_equal(record.event.pid_ns, 0xf0000001);
	assert_int_equal(record.event.ns_pid, 7);
	assert_int_equal(record.event.clone_flags, 0x1200011);
	assert_int_equal(record.event.kernel_seq, 12);
}

static void test_exec(void **state)
{
	struct module_record record;
	struct nlmsghdr *header;
	struct nlattr *nest = begin(&header, FORKBUS_TYPE_EXEC);

	(void)state;
	put_identity(header);
	mnl_attr_put_strz(header, FORKBUS_R_EXE, "/usr/bin/dash");
	mnl_attr_put_str(header, FORKBUS_R_FILENAME, "./x");
	mnl_attr_put(header, FORKBUS_R_FILENAME_CUT, 0, NULL);
	mnl_attr_put(header, FORKBUS_R_ARGV, 6, "sh\0-c");
	mnl_attr_put(header, FORKBUS_R_ARGV_CUT, 0, NULL);
	mnl_attr_nest_end(header, nest);
	assert_int_equal(module_record_decode(&record, nest), 0);
	assert_true(event_text_equal(record.event.exe, event_text("/usr/bin/dash")));
	assert_true(event_text_equal(record.event.filename, event_text("./x")));
	assert_true(record.event.filename_cut && record.event.args_cut);
	assert_int_equal(record.event.args.len, 5);
	assert_memory_equal(record.event.args.data, "sh\0-c", 5);
	assert_true(record.event.has == (identity | EVENT_BIT(exe) | EVENT_BIT(filename) |
					 EVENT_BIT(filename_cut) | EVENT_BIT(args) | EVENT_BIT(args_cut)));
}

static void put_usage(struct nlmsghdr *header)
{
	mnl_attr_put_u32(header, FORKBUS_R_STATUS, 0x8b);
	mnl_attr_put_u64(header, FORKBUS_R_USER_TIME, 1000999);
	mnl_attr_put_u64(header, FORKBUS_R_SYSTEM_TIME, 2000000);
	for (uint16_t i = FORKBUS_R_MAX_RSS; i <= FORKBUS_R_WRITE_CHARS; i++)
		mnl_attr_put_u64(header, i, i);
}

static void test_exit(void **state)
{
	struct module_record record;
	struct nlmsghdr *header;
	struct nlattr *nest = begin(&header, FORKBUS_TYPE_EXIT);
	struct fb_event *event = &record.event;

	(void)state;
	put_identity(header);
	put_usage(header);
	mnl_attr_nest_end(header, nest);
	assert_int_equal(module_record_decode(&record, nest), 0);
	assert_int_equal(event->signal, 11);
	assert_true(event->core_dumped);
	assert_false(EVENT_HAS(event, code));
	assert_int_equal(event->user_usec, 1000);
	assert_int_equal(event->system_usec, 2000);
	assert_int_equal(event->elapsed_usec, 6000000 - 5000001);
	assert_int_equal(event->max_rss_kib, FORKBUS_R_MAX_RSS);
	assert_int_equal(event->minor_faults, FORKBUS_R_MINOR_FAULTS);
	assert_int_equal(event->major_faults, FORKBUS_R_MAJOR_FAULTS);
	assert_int_equal(event->voluntary_switches, FORKBUS_R_VOLUNTARY_SWITCHES);
	assert_int_equal(event->involuntary_switches, FORKBUS_R_INVOLUNTARY_SWITCHES);
	assert_int_equal(event->read_bytes, FORKBUS_R_READ_BYTES);
	assert_int_equal(event->write_bytes, FORKBUS_R_WRITE_BYTES);
	assert_int_equal(event->read_chars, FORKBUS_R_READ_CHARS);
	assert_int_equal(event->write_chars, FORKBUS_R_WRITE_CHARS);

	/* The record of a thread. */
	nest = begin(&header, FORKBUS_TYPE_EXIT);
	put_identity(header);
	put_usage(header);
	mnl_attr_put_u32(header, FORKBUS_R_TID, 4712);
	mnl_attr_nest_end(header, nest);
	assert_int_equal(module_record_decode(&record, nest), 0);
	assert_int_equal(event->tid, 4712);
	assert_false(EVENT_HAS(event, elapsed_usec));
}

static void test_others(void **state)
{
	struct module_record record;
	struct nlmsghdr *header;
	struct nlattr *nest = begin(&header, FORKBUS_TYPE_ID);
	struct fb_event *event = &record.event;

	(void)state;
	put_identity(header);
	for (uint16_t i = FORKBUS_R_OLD_UID; i <= FORKBUS_R_OLD_EGID; i++)
		mnl_attr_put_u32(header, i, i);
	mnl_attr_put_strz(header, FORKBUS_R_ROOT, "/srv");
	mnl_attr_put_u32(header, FORKBUS_R_TRACER, 0);
	mnl_attr_nest_end(header, nest);
	assert_int_equal(module_record_decode(&record, nest), 0);
	assert_int_equal(event->type, EVENT_ID);
	assert_int_equal(event->old_uid, FORKBUS_R_OLD_UID);
	assert_int_equal(event->old_gid, FORKBUS_R_OLD_GID);
	assert_int_equal(event->old_euid, FORKBUS_R_OLD_EUID);
	assert_int_equal(event->old_egid, FORKBUS_R_OLD_EGID);
	assert_true(event_text_equal(event->root, event_text("/srv")));
	assert_true(EVENT_HAS(event, tracer_pid) && event->tracer_pid == 0);
	assert_int_equal(event->pid, 4711);
	assert_int_equal(event->uid, 1000);
}

static void test_lost_and_armed(void **state)
{
	struct module_record record;
	struct nlmsghdr *header;
	struct nlattr *nest = begin(&header, FORKBUS_TYPE_LOST);

	(void)state;
	mnl_attr_put_u64(header, FORKBUS_R_COUNT, 11);
	mnl_attr_put_u64(header, FORKBUS_R_SINCE, 5);
	mnl_attr_nest_end(header, nest);
	assert_int_equal(module_record_decode(&record, nest), 0);
	assert_int_equal(record.first, 1);
	assert_int_equal(record.since_nsec, 5);

	/* More than there are in any version. */
	nest = begin(&header, FORKBUS_TYPE_LOST);
	mnl_attr_put_u64(header, FORKBUS_R_COUNT, 12);
	mnl_attr_nest_end(header, nest);
	assert_int_equal(module_record_decode(&record, nest), MODULE_E_MALFORMED);
	assert_int_equal(record.seq, 12);

	nest = begin(&header, FORKBUS_TYPE_ARMED);
	mnl_attr_put_u32(header, FORKBUS_R_MASK, 0x1f);
	mnl_attr_nest_end(header, nest);
	assert_int_equal(module_record_decode(&record, nest), 0);
	assert_int_equal(record.mask, 0x1f);

	nest = begin(&header, __FORKBUS_TYPE_MAX + 1);
	put_identity(header);
	mnl_attr_nest_end(header, nest);
	assert_int_equal(module_record_decode(&record, nest), MODULE_E_OTHER);
	assert_int_equal(record.seq, 12);
}

/* Integers of another size are ignored; a missing required attribute is an error; no byte beyond the end is read. */
static void test_cut(void **state)
{
	struct module_record record;
	struct nlmsghdr *header;
	struct nlattr *nest = begin(&header, FORKBUS_TYPE_EXIT), *copy;
	uint16_t len;
	int r;

	(void)state;
	mnl_attr_put_u64(header, FORKBUS_R_UID, 1000);
	mnl_attr_put_u32(header, FORKBUS_R_CGROUP, 1000);
	put_identity(header);
	put_usage(header);
	mnl_attr_nest_end(header, nest);
	assert_int_equal(module_record_decode(&record, nest), 0);
	assert_int_equal(record.event.uid, 1000);
	len = nest->nla_len;
	for (uint16_t cut = sizeof(*nest); cut < len; cut++) {
		copy = malloc(cut);
		assert_non_null(copy);
		memcpy(copy, nest, cut);
		copy->nla_len = cut;
		r = module_record_decode(&record, copy);
		assert_true(r == 0 || r == MODULE_E_MALFORMED);
		assert_true(r != 0 ||
			    (EVENT_HAS(&record.event, pid) && EVENT_HAS(&record.event, start_usec)));
		free(copy);
	}
}

static void test_status(void **state)
{
	struct nlmsghdr *header = message_begin(&message, FORKBUS_CMD_STATUS, 99);
	struct module_status status;
	struct nlattr *nest;

	(void)state;
	mnl_attr_put_strz(header, FORKBUS_A_VERSION,
			  "a version that is longer than every sane version would ever be, much longer");
	for (uint16_t i = FORKBUS_A_SUPPORTED; i <= FORKBUS_A_RING_USED; i++)
		mnl_attr_put_u32(header, i, i);
	for (uint16_t i = FORKBUS_A_FIRST; i <= FORKBUS_A_SENT; i++)
		mnl_attr_put_u64(header, i, i);
	mnl_attr_put_u32(header, FORKBUS_A_LISTENERS, 3);
	mnl_attr_put_u32(header, FORKBUS_A_GRACE, 30);
	for (uint32_t type = FORKBUS_TYPE_FORK; type < __FORKBUS_TYPE_MAX + 2; type += 2) {
		nest = mnl_attr_nest_start(header, FORKBUS_A_LOST);
		mnl_attr_put_u32(header, FORKBUS_L_TYPE, type);
		mnl_attr_put_u64(header, FORKBUS_L_COUNT, type * 10);
		mnl_attr_nest_end(header, nest);
	}
	assert_int_equal(module_status_decode(&status, header, KERNEL_FAMILY), 0);
	assert_int_equal(strlen(status.version), MODULE_VERSION_MAX - 1);
	assert_int_equal(status.instance, 99);
	assert_int_equal(status.supported, FORKBUS_A_SUPPORTED);
	assert_int_equal(status.armed, FORKBUS_A_ARMED);
	assert_int_equal(status.ring_size, FORKBUS_A_RING_SIZE);
	assert_int_equal(status.ring_used, FORKBUS_A_RING_USED);
	assert_int_equal(status.first, FORKBUS_A_FIRST);
	assert_int_equal(status.last, FORKBUS_A_LAST);
	assert_int_equal(status.sent, FORKBUS_A_SENT);
	assert_int_equal(status.listeners, 3);
	assert_int_equal(status.grace, 30);
	assert_int_equal(status.lost[FORKBUS_TYPE_FORK], FORKBUS_TYPE_FORK * 10);
	assert_int_equal(status.lost[FORKBUS_TYPE_EXEC], 0);

	assert_int_equal(module_status_decode(&status, header, KERNEL_FAMILY + 1), MODULE_E_OTHER);
	header = message_begin(&message, FORKBUS_CMD_STATUS, 0);
	assert_int_equal(module_status_decode(&status, header, KERNEL_FAMILY), MODULE_E_MALFORMED);
	header = message_begin(&message, FORKBUS_CMD_EVENTS, 99);
	assert_int_equal(module_status_decode(&status, header, KERNEL_FAMILY), MODULE_E_OTHER);
}

static void test_message(void **state)
{
	struct nlmsghdr *header = message_begin(&message, FORKBUS_CMD_EVENTS, 99);
	const struct nlattr *record = NULL;
	struct module_message decoded;
	struct module_record ignored;
	struct nlattr *nest;

	(void)state;
	assert_null(module_record_next(header, NULL));
	mnl_attr_put_u64(header, FORKBUS_A_FIRST, 4);
	for (uint64_t seq = 5; seq < 8; seq++) {
		nest = record_begin(header, seq, FORKBUS_TYPE_ARMED, 1);
		mnl_attr_nest_end(header, nest);
		mnl_attr_put_u64(header, __FORKBUS_A_MAX + 1, 1);
	}
	assert_int_equal(module_message_decode(&decoded, header, KERNEL_FAMILY), 0);
	assert_int_equal(decoded.instance, 99);
	assert_false(decoded.has_range);
	mnl_attr_put_u64(header, FORKBUS_A_LAST, 7);
	assert_int_equal(module_message_decode(&decoded, header, KERNEL_FAMILY), 0);
	assert_true(decoded.has_range);
	assert_int_equal(decoded.first, 4);
	assert_int_equal(decoded.last, 7);
	for (uint64_t seq = 5; seq < 8; seq++) {
		record = module_record_next(header, record);
		assert_non_null(record);
		assert_int_equal(module_record_decode(&ignored, record), 0);
		assert_int_equal(ignored.seq, seq);
	}
	assert_null(module_record_next(header, record));
	header->nlmsg_len -= 1;
	assert_int_equal(module_message_decode(&decoded, header, KERNEL_FAMILY), MODULE_E_OTHER);
}

static void test_masks(void **state)
{
	uint32_t all = FORKBUS_MASK(__FORKBUS_TYPE_MAX) - 1 - FORKBUS_MASK(FORKBUS_TYPE_LOST) -
		       FORKBUS_MASK(FORKBUS_TYPE_ARMED);

	(void)state;
	assert_int_equal(module_mask(0), 0);
	assert_int_equal(module_mask(~0U), all);
	assert_int_equal(module_mask(EVENT_TYPE_BIT(EVENT_EXIT) | EVENT_TYPE_BIT(EVENT_LOST)),
			 FORKBUS_MASK(FORKBUS_TYPE_EXIT));
	assert_int_equal(module_mask(HUB_ARMED_THREADS), FORKBUS_MASK(FORKBUS_TYPE_THREADS));
	assert_int_equal(module_armed(module_mask(HUB_ARMED_ALWAYS | HUB_ARMED_THREADS)),
			 HUB_ARMED_ALWAYS | HUB_ARMED_THREADS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),       cmocka_unit_test(test_exec),
		cmocka_unit_test(test_exit),	       cmocka_unit_test(test_others),
		cmocka_unit_test(test_lost_and_armed), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_status),	       cmocka_unit_test(test_message),
		cmocka_unit_test(test_masks),
	};

	return cmocka_run_group_tests_name("module decode", tests, NULL, NULL);
}
