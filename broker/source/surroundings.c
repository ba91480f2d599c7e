// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/surroundings.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

bool surroundings_shift_time(void)
{
	return clock_shift_usec("boottime") != 0 || clock_shift_usec("monotonic") != 0;
}

bool surroundings_hide_files(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return !(data[CAP_TO_INDEX(CAP_SYS_PTRACE)].effective & CAP_TO_MASK(CAP_SYS_PTRACE));
}
