// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/verdict.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "source/proc/procfs.h"

/* Only who may trace a process sees its status in /proc; others see 0. */
static bool may_trace(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capget, &header, data) == 0 && data[0].effective & (1U << CAP_SYS_PTRACE);
}

/* Its threads may be there for a moment longer. */
int verdict_ask(uint32_t pid, uint64_t start_usec, uint32_t *status)
{
	char path[32], line[1024];
	_cleanup_close_ int fd = -1;
	struct procfs_stat stat;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, line, sizeof(line));
	if (len <= 0 || procfs_parse_stat(&stat, line, (size_t)len) != 0 ||
	    (stat.state != 'Z' && stat.state != 'X') ||
	    (start_usec && !procfs_start_matches(stat.start_usec, start_usec)) ||
	    (!stat.status && !may_trace()))
		return VERDICT_E_UNKNOWN;
	*status = stat.status & 0xffff;
	return 0;
}
