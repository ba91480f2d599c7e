// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "core/owners.h"

static char directory[] = "/tmp/test-owners-XXXXXX";
static char subuid[64], passwd[64];

static int setup(void **state)
{
	(void)state;
	strcpy(directory + sizeof(directory) - 7, "XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(subuid, sizeof(subuid), "%s/subuid", directory);
	snprintf(passwd, sizeof(passwd), "%s/passwd", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(subuid);
	unlink(passwd);
	rmdir(directory);
	return 0;
}

static void file_write(const char *path, const char *text, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static struct owners *owners_of(const char *ranges)
{
	struct owners *owners;

	file_write(subuid, ranges, strlen(ranges));
	assert_int_equal(owners_new(&owners, subuid, passwd), 0);
	return owners;
}

static void without_files_each_uid_owns_itself(void **state)
{
	struct owners *owners;

	(void)state;
	assert_int_equal(owners_new(&owners, subuid, passwd), 0);
	assert_int_equal(owners_find(owners, 0), 0);
	assert_int_equal(owners_find(owners, 100000), 100000);
	assert_int_equal(owners_find(owners, UINT32_MAX), UINT32_MAX);
	assert_null(owners_free(owners));
	assert_null(owners_free(NULL));
}

static void ranges_belong_to_numbers_and_names(void **state)
{
	static const char users[] = "root:x:0:0::/root:/bin/sh\nann:x:1001:1001::/:\nanna:x:1002:1002::/:\n";
	struct owners *owners;

	(void)state;
	file_write(passwd, users, strlen(users));
	owners =
		owners_of("1000:100000:65536\nanna:300000:10\nann:400000:10\nann:500000:10\nbob:600000:10\n");
	assert_int_equal(owners_find(owners, 99999), 99999);
	assert_int_equal(owners_find(owners, 100000), 1000);
	assert_int_equal(owners_find(owners, 165535), 1000);
	assert_int_equal(owners_find(owners, 165536), 165536);
	assert_int_equal(owners_find(owners, 300009), 1002);
	assert_int_equal(owners_find(owners, 400000), 1001);
	assert_int_equal(owners_find(owners, 500009), 1001);
	/* No such user: the range is an owner by itself. */
	assert_int_equal(owners_find(owners, 600009), 600000);
	owners_free(owners);
}

/* Containers that root starts get their uids so. They must not count as root, nor with each other. */
static void each_range_of_root_is_an_owner(void **state)
{
	static const char users[] = "root:x:0:0::/root:/bin/sh\n";
	struct owners *owners;

	(void)state;
	file_write(passwd, users, strlen(users));
	owners = owners_of("root:100000:1000\n0:200000:1000\nroot:0:10\n");
	assert_int_equal(owners_find(owners, 100500), 100000);
	assert_int_equal(owners_find(owners, 200500), 200000);
	assert_int_equal(owners_find(owners, 0), 0);
	assert_int_not_equal(owners_find(owners, 5), 5);
	owners_free(owners);
}

/* Nobody else is root, whatever range has uid 0: an account of root has no limits. */
static void a_range_of_all_uids_is_not_root(void **state)
{
	struct owners *owners;

	(void)state;
	owners = owners_of("root:0:65536\nnobody-knows:70000:1\n");
	assert_int_equal(owners_find(owners, 0), 0);
	assert_int_equal(owners_find(owners, 1), 1);
	assert_int_equal(owners_find(owners, 1000), 1);
	owners_free(owners);
	owners = owners_of("nobody-knows:0:2000\n");
	assert_int_equal(owners_find(owners, 1000), 1);
	owners_free(owners);
	owners = owners_of("0:0:1\n");
	assert_int_equal(owners_find(owners, 1), 1);
	assert_int_equal(owners_find(owners, 2), 2);
	owners_free(owners);
}

static void ranges_that_overlap_are_cut(void **state)
{
	struct owners *owners = owners_of("1:1000:100\n2:1050:100\n3:1060:10\n4:4294967290:100\n5:1000:1\n");

	(void)state;
	assert_int_equal(owners_find(owners, 1099), 1);
	assert_int_equal(owners_find(owners, 1100), 2);
	assert_int_equal(owners_find(owners, 1149), 2);
	assert_int_equal(owners_find(owners, 1150), 1150);
	assert_int_equal(owners_find(owners, UINT32_MAX), 4);
	owners_free(owners);
}

static void other_lines_are_ignored(void **state)
{
	struct owners *owners =
		owners_of("\n# 7:100:10\n:100:10\n7\n7:\n7:100\n7:100:\n7:100:0\n7:x:10\n7:100:10:1\n"
			  "7:-1:10\n7:99999999999:10\n7:4294967296:10\n7:100:4294967296\n8:200:10");

	(void)state;
	assert_int_equal(owners_find(owners, 100), 100);
	assert_int_equal(owners_find(owners, 200), 8);
	owners_free(owners);
}

/* Random bytes, and more than is read. */
static void any_content_is_survived(void **state)
{
	static const char alphabet[] = "0123456789:::\n\n\0axy#";
	size_t size = 3 * 1024 * 1024;
	char *text = malloc(size);
	struct owners *owners;

	(void)state;
	assert_non_null(text);
	srand(1);
	for (size_t i = 0; i < size; i++)
		text[i] = alphabet[(unsigned int)rand() % (sizeof(alphabet) - 1)];
	file_write(subuid, text, size);
	file_write(passwd, text, size);
	assert_int_equal(owners_new(&owners, subuid, passwd), 0);
	for (uint32_t uid = 0; uid < 1000; uid++)
		(void)owners_find(owners, uid * 4294967);
	owners_free(owners);
	free(text);
}

static void only_regular_files_are_read(void **state)
{
	struct owners *owners;

	(void)state;
	assert_int_equal(mkfifo(subuid, 0600), 0);
	assert_int_equal(owners_new(&owners, subuid, passwd), 0);
	owners_free(owners);
	assert_int_equal(owners_new(&owners, directory, passwd), 0);
	owners_free(owners);
}

static void a_changed_file_is_read_again(void **state)
{
	struct owners *owners = owners_of("7:100:10\n");
	uint64_t now = 1;

	(void)state;
	owners_refresh(owners, now);
	assert_int_equal(owners_find(owners, 100), 7);
	file_write(subuid, "88:100:10\n", 10);
	/* Not looked at so soon. */
	owners_refresh(owners, now + USEC_PER_SEC - 1);
	assert_int_equal(owners_find(owners, 100), 7);
	owners_refresh(owners, now + USEC_PER_SEC);
	assert_int_equal(owners_find(owners, 100), 88);
	unlink(subuid);
	owners_refresh(owners, now + 2 * USEC_PER_SEC);
	assert_int_equal(owners_find(owners, 100), 100);
	owners_free(owners);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_files_each_uid_owns_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(ranges_belong_to_numbers_and_names, setup, teardown),
		cmocka_unit_test_setup_teardown(each_range_of_root_is_an_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(a_range_of_all_uids_is_not_root, setup, teardown),
		cmocka_unit_test_setup_teardown(ranges_that_overlap_are_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(other_lines_are_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(any_content_is_survived, setup, teardown),
		cmocka_unit_test_setup_teardown(only_regular_files_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(a_changed_file_is_read_again, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
