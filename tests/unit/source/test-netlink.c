// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "source/netlink/socket.h"

/* The error of an answer may be any 32 bits. */
static void errors_of_answers(void **state)
{
	(void)state;
	assert_int_equal(netlink_errno(0), 0);
	assert_int_equal(netlink_errno(-1), -EPERM);
	assert_int_equal(netlink_errno(-ENOBUFS), -ENOBUFS);
	assert_int_equal(netlink_errno(-4095), -4095);
	assert_int_equal(netlink_errno(-4096), -EBADMSG);
	assert_int_equal(netlink_errno(INT_MIN), -EBADMSG);
	assert_int_equal(netlink_errno(INT_MAX), -EBADMSG);
	assert_int_equal(netlink_errno(1), -EBADMSG);
	assert_int_equal(netlink_errno(-(int64_t)UINT32_MAX), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_of_answers),
	};

	return cmocka_run_group_tests_name("netlink", tests, NULL, NULL);
}
