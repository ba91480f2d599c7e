// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/connector/proc-event.h"
#include "source/netlink/socket.h"
#include "tests/unit/netlink-messages.h"

#define HEADER offsetof(struct proc_event, event_data)

static struct proc_event make(uint32_t what)
{
	struct proc_event event = { .what = what, .cpu = 3, .timestamp_ns = UINT64_C(123456789012345) };

	return event;
}

static void test_fork(void **state)
{
	struct proc_event proc = make(PROC_EVENT_FORK);
	struct test_message message;
	struct cn_event event;

	(void)state;
	proc.event_data.fork.parent_pid = 11;
	proc.event_data.fork.parent_tgid = 10;
	proc.event_data.fork.child_pid = 21;
	proc.event_data.fork.child_tgid = 20;
	assert_int_equal(cn_decode(&event, test_cn(&message, 99, 0, &proc, sizeof(proc))), 0);
	assert_int_equal(event.what, PROC_EVENT_FORK);
	assert_int_equal(event.cpu, 3);
	assert_int_equal(event.seq, 99);
	assert_int_equal(event.nsec, UINT64_C(123456789012345));
	assert_int_equal(event.tid, 21);
	assert_int_equal(event.tgid, 20);
	assert_int_equal(event.fork.parent_tid, 11);
	assert_int_equal(event.fork.parent_tgid, 10);
}

static void test_exit(void **state)
{
	struct proc_event proc = make(PROC_EVENT_EXIT);
	struct test_message message;
	struct cn_event event;

	(void)state;
	proc.event_data.exit.process_pid = 21;
	proc.event_data.exit.process_tgid = 20;
	proc.event_data.exit.exit_code = 0x8b;
	proc.event_data.exit.parent_pid = 11;
	proc.event_data.exit.parent_tgid = 10;
	assert_int_equal(cn_decode(&event, test_cn(&message, 0, 0, &proc, sizeof(proc))), 0);
	assert_int_equal(event.tid, 21);
	assert_int_equal(event.tgid, 20);
	assert_int_equal(event.exit.code, 0x8b);
	assert_int_equal(event.exit.parent_tid, 11);
	assert_int_equal(event.exit.parent_tgid, 10);

	/* Kernels before 4.18 did not report the parent. */
	assert_int_equal(cn_decode(&event, test_cn(&message, 0, 0, &proc, HEADER + 16)), 0);
	assert_int_equal(event.exit.code, 0x8b);
	assert_int_equal(event.exit.parent_tgid, 0);
}

static void test_others(void **state)
{
	struct proc_event proc = make(PROC_EVENT_UID);
	struct test_message message;
	struct cn_event event;

	(void)state;
	proc.event_data.id.process_pid = 21;
	proc.event_data.id.process_tgid = 20;
	proc.event_data.id.r.ruid = 1000;
	proc.event_data.id.e.euid = UINT32_MAX;
	assert_int_equal(cn_decode(&event, test_cn(&message, 0, 0, &proc, sizeof(proc))), 0);
	assert_int_equal(event.tid, 21);
	assert_int_equal(event.id.real, 1000);
	assert_int_equal(event.id.effective, UINT32_MAX);

	proc = make(PROC_EVENT_COMM);
	proc.event_data.comm.process_pid = proc.event_data.comm.process_tgid = 20;
	memcpy(proc.event_data.comm.comm, "0123456789abcdef", 16);
	assert_int_equal(cn_decode(&event, test_cn(&message, 0, 0, &proc, sizeof(proc))), 0);
	assert_memory_equal(event.comm, "0123456789abcdef", 16);

	proc = make(PROC_EVENT_PTRACE);
	proc.event_data.ptrace.process_pid = proc.event_data.ptrace.process_tgid = 20;
	proc.event_data.ptrace.tracer_pid = 31;
	proc.event_data.ptrace.tracer_tgid = 30;
	assert_int_equal(cn_decode(&event, test_cn(&message, 0, 0, &proc, sizeof(proc))), 0);
	assert_int_equal(event.tgid, 20);
	assert_int_equal(event.ptrace.tracer_tgid, 30);

	proc = make(PROC_EVENT_SID);
	proc.event_data.sid.process_pid = proc.event_data.sid.process_tgid = 20;
	assert_int_equal(cn_decode(&event, test_cn(&message, 0, 0, &proc, sizeof(proc))), 0);
	assert_int_equal(event.what, PROC_EVENT_SID);
	assert_int_equal(event.tgid, 20);
}

static void test_answer(void **state)
{
	struct proc_event proc = make(PROC_EVENT_NONE);
	const struct nlmsghdr *header;
	struct test_message message;
	struct cn_request request;
	struct cn_event event;
	struct cn_msg cn;
	uint32_t op;

	(void)state;
	header = cn_request_init(&request, PROC_CN_MCAST_LISTEN, 0xffffffff);
	assert_int_equal(header->nlmsg_len, NLMSG_LENGTH(sizeof(cn) + sizeof(op)));
	memcpy(&cn, mnl_nlmsg_get_payload(header), sizeof(cn));
	memcpy(&op, (const char *)mnl_nlmsg_get_payload(header) + sizeof(cn), sizeof(op));
	assert_int_equal(header->nlmsg_type, NLMSG_DONE);
	assert_int_equal(cn.id.idx, CN_IDX_PROC);
	assert_int_equal(cn.len, sizeof(op));
	assert_int_equal(cn.ack, 0xffffffff);
	assert_int_equal(op, PROC_CN_MCAST_LISTEN);

	proc.event_data.ack.err = 22;
	assert_int_equal(cn_decode(&event, test_cn(&message, 5, 0, &proc, sizeof(proc))), 0);
	assert_true(cn_event_answers(&event, 0xffffffff));
	assert_false(cn_event_answers(&event, 0));
	assert_int_equal(event.answer.error, 22);
	proc = make(PROC_EVENT_SID);
	assert_int_equal(cn_decode(&event, test_cn(&message, 5, 8, &proc, sizeof(proc))), 0);
	assert_false(cn_event_answers(&event, 7));
}

static void test_cut(void **state)
{
	static const uint32_t kinds[] = { PROC_EVENT_FORK,   PROC_EVENT_EXEC, PROC_EVENT_UID,
					  PROC_EVENT_GID,    PROC_EVENT_SID,  PROC_EVENT_COMM,
					  PROC_EVENT_PTRACE, PROC_EVENT_EXIT, PROC_EVENT_COREDUMP };
	static const size_t needed[] = { 16, 8, 16, 16, 8, 24, 16, 16, 8 };
	struct test_message message;
	struct nlmsghdr *header;
	struct proc_event proc;
	struct cn_event event;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		proc = make(kinds[i]);
		for (size_t len = 0; len <= sizeof(proc); len++)
			assert_int_equal(cn_decode(&event, test_cn(&message, 0, 0, &proc, len)),
					 len < HEADER + needed[i] ? CN_E_MALFORMED : 0);
	}
	/* The message ends before what its own length says. */
	proc = make(PROC_EVENT_FORK);
	header = (struct nlmsghdr *)(void *)message.data;
	for (uint32_t len = 0; len < NLMSG_LENGTH(sizeof(struct cn_msg) + sizeof(proc)); len++) {
		(void)test_cn(&message, 0, 0, &proc, sizeof(proc));
		header->nlmsg_len = len;
		assert_int_equal(cn_decode(&event, header), CN_E_MALFORMED);
	}
}

static void test_foreign(void **state)
{
	struct proc_event proc = make(0x400);
	struct test_message message;
	struct nlmsghdr *header = (struct nlmsghdr *)(void *)message.data;
	struct cn_event event;
	struct cn_msg cn;

	(void)state;
	assert_int_equal(cn_decode(&event, test_cn(&message, 0, 0, &proc, sizeof(proc))), CN_E_OTHER);
	proc = make(PROC_EVENT_FORK);
	(void)test_cn(&message, 0, 0, &proc, sizeof(proc));
	header->nlmsg_type = NLMSG_ERROR;
	assert_int_equal(cn_decode(&event, header), CN_E_OTHER);
	header->nlmsg_type = NLMSG_DONE;
	memcpy(&cn, mnl_nlmsg_get_payload(header), sizeof(cn));
	cn.id.idx = CN_W1_IDX;
	memcpy(mnl_nlmsg_get_payload(header), &cn, sizeof(cn));
	assert_int_equal(cn_decode(&event, header), CN_E_OTHER);
}

static void count(const struct nlmsghdr *message, void *userdata)
{
	(void)message;
	(*(unsigned int *)userdata)++;
}

static void test_walk(void **state)
{
	_Alignas(8) unsigned char data[2 * 4096];
	struct proc_event proc = make(PROC_EVENT_FORK);
	struct test_message message;
	const struct nlmsghdr *header = test_cn(&message, 0, 0, &proc, sizeof(proc));
	size_t len = NLMSG_ALIGN(header->nlmsg_len);
	unsigned int n = 0;

	(void)state;
	memcpy(data, header, len);
	memcpy(data + len, header, len);
	netlink_walk(data, 2 * len, count, &n);
	assert_int_equal(n, 2);
	netlink_walk(data, 2 * len - 4, count, &n);
	assert_int_equal(n, 3);
	netlink_walk(data, 3, count, &n);
	netlink_walk(data, 0, count, &n);
	assert_int_equal(n, 3);
	/* A length that is negative as a signed number. */
	((struct nlmsghdr *)(void *)data)->nlmsg_len = 0xffffff00;
	netlink_walk(data, 2 * len, count, &n);
	assert_int_equal(n, 3);
	/* A length that would not advance. */
	((struct nlmsghdr *)(void *)data)->nlmsg_len = 0;
	netlink_walk(data, 2 * len, count, &n);
	assert_int_equal(n, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork),   cmocka_unit_test(test_exit), cmocka_unit_test(test_others),
		cmocka_unit_test(test_answer), cmocka_unit_test(test_cut),  cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_walk),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
