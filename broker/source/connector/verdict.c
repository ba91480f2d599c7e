// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
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

/*
 * Once it has been waited for, its line can still be read for a moment: then it has no threads, and shows the code of its leader,
 * which is not always that of the process.
 */
static bool has_status(const struct procfs_stat *stat)
{
	return (stat->state == 'Z' || stat->state == 'X') && stat->threads > 0;
}

/* Return: whether there is such a process. */
static bool read_stat(struct procfs_stat *stat, uint32_t pid)
{
	char path[32], line[1024];
	_cleanup_close_ int fd = -1;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, line, sizeof(line));
	return len > 0 && procfs_parse_stat(stat, line, (size_t)len) == 0;
}

/* Its threads may be there for a moment longer. */
int verdict_ask(uint32_t pid, uint64_t start_usec, uint32_t *status)
{
	struct procfs_stat stat;

	if (!read_stat(&stat, pid) || !has_status(&stat) ||
	    (start_usec && !procfs_start_matches(stat.start_usec, start_usec)) ||
	    (!stat.status && !may_trace()))
		return VERDICT_E_UNKNOWN;
	*status = stat.status & 0xffff;
	return 0;
}

bool verdict_is_zombie(uint32_t pid)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct procfs_stat stat;

	if (fd >= 0)
		return poll(&poll_fd, 1, 0) > 0;
	if (errno != ENOSYS && errno != EPERM)
		return false;
	return read_stat(&stat, pid) && procfs_stat_is_dead(&stat);
}
