// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/connector/taskstats.h"
#include "tests/unit/netlink-messages.h"

#define SIZE_V12 offsetof(struct taskstats, wpcopy_count)
#define SIZE_V13 sizeof(struct taskstats)
#define SIZE_V16 560

static struct taskstats make(uint16_t version)
{
	struct taskstats stats = {
		.version = version,
		.ac_exitcode = 0x300,
		.ac_flag = TASKSTATS_AGROUP,
		.ac_comm = "name",
		.ac_uid = 1000,
		.ac_gid = 100,
		.ac_pid = 21,
		.ac_ppid = 10,
		.ac_etime = 5000,
		.ac_utime = 3000,
		.ac_stime = 1000,
		.ac_minflt = 7,
		.ac_majflt = 2,
		.hiwater_rss = 4096,
		.read_char = 2048,
		.write_char = 1024,
		.read_bytes = 8192,
		.write_bytes = 12288,
		.nvcsw = 5,
		.nivcsw = 6,
		.ac_tgid = 20,
		.ac_tgetime = 7000,
	};

	return stats;
}

static void check(const struct taskstats_record *record, uint16_t version)
{
	assert_int_equal(record->version, version);
	assert_int_equal(record->code, 0x300);
	assert_int_equal(record->flags, TASKSTATS_AGROUP);
	assert_string_equal(record->comm, "name");
	assert_int_equal(record->uid, 1000);
	assert_int_equal(record->gid, 100);
	assert_int_equal(record->tid, 21);
	assert_int_equal(record->ppid, 10);
	assert_int_equal(record->elapsed_usec, 5000);
	assert_int_equal(record->usage.user_usec, 3000);
	assert_int_equal(record->usage.system_usec, 1000);
	assert_int_equal(record->usage.minor_faults, 7);
	assert_int_equal(record->usage.major_faults, 2);
	assert_int_equal(record->usage.max_rss_kib, 4096);
	assert_int_equal(record->usage.read_chars, 2048);
	assert_int_equal(record->usage.write_chars, 1024);
	assert_int_equal(record->usage.read_bytes, 8192);
	assert_int_equal(record->usage.write_bytes, 12288);
	assert_int_equal(record->usage.voluntary, 5);
	assert_int_equal(record->usage.involuntary, 6);
}

static int decode(struct taskstats_record *record, const struct test_stats *stats, bool padded)
{
	struct test_message message;
	struct nlmsghdr *header = test_taskstats_begin(&message, 1);

	test_taskstats_put(header, TASKSTATS_TYPE_AGGR_PID, TASKSTATS_TYPE_PID, 21, stats, padded);
	return taskstats_decode(record, header, TEST_FAMILY);
}

static void test_versions(void **state)
{
	static const struct {
		uint16_t version;
		size_t size;
	} kernels[] = {
		{ 12, SIZE_V12 }, { 13, SIZE_V13 }, { 14, SIZE_V13 + 16 }, { 16, SIZE_V16 }, { 99, 1000 }
	};
	struct taskstats_record record;
	struct test_stats stats;
	struct taskstats from;

	(void)state;
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		from = make(kernels[i].version);
		test_stats_init(&stats, &from, kernels[i].size);
		assert_int_equal(decode(&record, &stats, i % 2), 0);
		check(&record, kernels[i].version);
		assert_int_equal(record.tgid, 20);
		assert_false(record.has_group);
	}
}

/* Only version 15 added members between the old ones. */
static void test_shifted(void **state)
{
	const size_t comm = offsetof(struct taskstats, ac_comm),
		     free_pages = offsetof(struct taskstats, freepages_count),
		     tgid = offsetof(struct taskstats, ac_tgid);
	struct taskstats from = make(15);
	struct taskstats_record record;
	struct test_stats stats = { .size = SIZE_V16 };

	(void)state;
	memset(stats.data, 0xa5, stats.size);
	memcpy(stats.data, &from, offsetof(struct taskstats, cpu_count));
	memcpy(stats.data + comm + 6 * 8, (const char *)&from + comm, free_pages - comm);
	memcpy(stats.data + tgid + 12 * 8, &from.ac_tgid, offsetof(struct taskstats, ac_exe_dev) - tgid);
	assert_int_equal(decode(&record, &stats, false), 0);
	check(&record, 15);
	assert_int_equal(record.tgid, 20);
	assert_int_equal(record.life_usec, 7000);
}

/* Before version 12 the thread group is not reported, and everything else is. */
static void test_old(void **state)
{
	struct taskstats from = make(10);
	struct taskstats_record record;
	struct test_stats stats;

	(void)state;
	test_stats_init(&stats, &from, offsetof(struct taskstats, compact_count));
	assert_int_equal(decode(&record, &stats, false), 0);
	check(&record, 10);
	assert_int_equal(record.tgid, 0);
	assert_int_equal(record.life_usec, 0);
	test_stats_init(&stats, &from, offsetof(struct taskstats, nivcsw) + 7);
	assert_int_equal(decode(&record, &stats, false), TASKSTATS_E_MALFORMED);
	stats.size = 0;
	assert_int_equal(decode(&record, &stats, false), TASKSTATS_E_MALFORMED);
}

static void test_group(void **state)
{
	struct taskstats from = make(16);
	struct test_stats stats, all;
	struct taskstats_record record;
	struct test_message message;
	struct nlmsghdr *header = test_taskstats_begin(&message, 1);

	(void)state;
	test_stats_init(&stats, &from, SIZE_V16);
	from.ac_utime = 9000;
	from.nvcsw = 50;
	from.ac_pid = from.ac_tgid = 0;
	test_stats_init(&all, &from, SIZE_V16);
	test_taskstats_put(header, TASKSTATS_TYPE_AGGR_PID, TASKSTATS_TYPE_PID, 21, &stats, true);
	test_taskstats_put(header, TASKSTATS_TYPE_AGGR_TGID, TASKSTATS_TYPE_TGID, 20, &all, true);
	assert_int_equal(taskstats_decode(&record, header, TEST_FAMILY), 0);
	check(&record, 16);
	assert_true(record.has_group);
	assert_int_equal(record.group.user_usec, 9000);
	assert_int_equal(record.group.voluntary, 50);
}

/* If a message is cut anywhere, nothing outside of it is read, and no value is invented. */
static void test_cut(void **state)
{
	struct taskstats from = make(16);
	struct taskstats_record record;
	struct test_stats stats;
	struct test_message message;
	struct nlmsghdr *header;
	uint32_t whole;

	(void)state;
	test_stats_init(&stats, &from, SIZE_V16);
	header = test_taskstats_begin(&message, 1);
	test_taskstats_put(header, TASKSTATS_TYPE_AGGR_PID, TASKSTATS_TYPE_PID, 21, &stats, false);
	whole = header->nlmsg_len;
	for (uint32_t len = sizeof(*header); len < whole; len++) {
		header->nlmsg_len = len;
		assert_int_equal(taskstats_decode(&record, header, TEST_FAMILY), TASKSTATS_E_MALFORMED);
	}
}

static void test_odd(void **state)
{
	struct taskstats from = make(16);
	struct taskstats_record record;
	struct test_stats stats;
	struct test_message message;
	struct nlmsghdr *header;

	(void)state;
	/* An odd size, with unknown attributes around. */
	test_stats_init(&stats, &from, SIZE_V16 + 3);
	header = test_taskstats_begin(&message, 1);
	mnl_attr_put(header, 99, 5, "12345");
	test_taskstats_put(header, TASKSTATS_TYPE_AGGR_PID, TASKSTATS_TYPE_PID, 21, &stats, false);
	mnl_attr_put(header, 98, 1, "1");
	assert_int_equal(taskstats_decode(&record, header, TEST_FAMILY), 0);
	check(&record, 16);

	/* A name of the maximum length. */
	memset(from.ac_comm, 'x', sizeof(from.ac_comm));
	test_stats_init(&stats, &from, SIZE_V16);
	assert_int_equal(decode(&record, &stats, false), 0);
	assert_int_equal(strlen(record.comm), sizeof(record.comm) - 1);
}

static void test_foreign(void **state)
{
	struct taskstats_record record;
	struct test_message message;
	struct nlmsghdr *header = test_taskstats_begin(&message, 1);
	struct genlmsghdr *genl = mnl_nlmsg_get_payload(header);

	(void)state;
	assert_int_equal(taskstats_decode(&record, header, TEST_FAMILY), TASKSTATS_E_MALFORMED);
	assert_int_equal(taskstats_decode(&record, header, TEST_FAMILY + 1), TASKSTATS_E_OTHER);
	genl->cmd = TASKSTATS_CMD_GET;
	assert_int_equal(taskstats_decode(&record, header, TEST_FAMILY), TASKSTATS_E_OTHER);
}

/* All possible CPUs are covered: one may be added later. Few enough have a socket each. */
static void test_cpus(void **state)
{
	static unsigned int cpus[TASKSTATS_CPUS_MAX];
	char mask[TASKSTATS_MASK_MAX];

	(void)state;
	assert_int_equal(taskstats_parse_cpus("0-3,8\n", cpus, TASKSTATS_CPUS_MAX), 5);
	assert_int_equal(cpus[4], 8);
	assert_int_equal(taskstats_parse_cpus("\n", cpus, TASKSTATS_CPUS_MAX), -EINVAL);
	assert_int_equal(taskstats_parse_cpus("0-9999", cpus, TASKSTATS_CPUS_MAX), TASKSTATS_CPUS_MAX);
	assert_int_equal(taskstats_share(1), 1);
	assert_int_equal(taskstats_share(128), 1);
	assert_int_equal(taskstats_share(129), 2);
	assert_int_equal(taskstats_share(TASKSTATS_CPUS_MAX), 64);
	taskstats_print_cpus(mask, cpus + 7, 1);
	assert_string_equal(mask, "7");
	taskstats_print_cpus(mask, cpus + 239, 2);
	assert_string_equal(mask, "239,240");
	/* The longest one is not cut. */
	taskstats_print_cpus(mask, cpus + TASKSTATS_CPUS_MAX - 64, 64);
	assert_string_equal(mask + strlen(mask) - 10, ",8190,8191");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions), cmocka_unit_test(test_shifted), cmocka_unit_test(test_old),
		cmocka_unit_test(test_group),	 cmocka_unit_test(test_cut),	 cmocka_unit_test(test_odd),
		cmocka_unit_test(test_foreign),	 cmocka_unit_test(test_cpus),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
