// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/taskstats.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/taskstats.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "source/netlink/genl.h"

/* Shorter records (about before version 8) lack the context switches, the last fields that are needed. */
#define TASKSTATS_SIZE_MIN (offsetof(struct taskstats, nivcsw) + sizeof(uint64_t))

/*
 * Kernels 6.14 and some 6.15 (version 15) put new members between the old ones, and 6.16 (version 16) moved them to the end:
 * in version 15 alone two words follow each of three delays before ac_comm, and of three more before ac_tgid.
 */
#define TASKSTATS_VERSION_SHIFTED 15
#define TASKSTATS_SHIFT_COMM	  (3 * 2 * sizeof(uint64_t))
#define TASKSTATS_SHIFT_TGID	  (6 * 2 * sizeof(uint64_t))

static void taskstats_copy(struct taskstats *stats, size_t at, const unsigned char *data, size_t size,
			   size_t from, size_t end)
{
	size_t len = end - at;

	if (from >= size)
		return;
	if (len > size - from)
		len = size - from;
	memcpy((unsigned char *)stats + at, data + from, len);
}

/* Shorter texts are padded with zeros, longer ones cut. */
static bool taskstats_load(struct taskstats *stats, const struct nlattr *attr)
{
	const unsigned char *data = mnl_attr_get_payload(attr);
	size_t size = mnl_attr_get_payload_len(attr);
	const size_t comm = offsetof(struct taskstats, ac_comm), tgid = offsetof(struct taskstats, ac_tgid);

	memset(stats, 0, sizeof(*stats));
	if (size < TASKSTATS_SIZE_MIN)
		return false;
	taskstats_copy(stats, 0, data, size, 0, sizeof(*stats));
	if (stats->version == TASKSTATS_VERSION_SHIFTED) {
		taskstats_copy(stats, comm, data, size, comm + TASKSTATS_SHIFT_COMM,
			       offsetof(struct taskstats, freepages_count));
		stats->ac_tgid = 0;
		stats->ac_tgetime = 0;
		taskstats_copy(stats, tgid, data, size, tgid + TASKSTATS_SHIFT_TGID,
			       offsetof(struct taskstats, ac_exe_dev));
	}
	return true;
}

static void taskstats_fill_usage(struct taskstats_usage *usage, const struct taskstats *stats)
{
	*usage = (struct taskstats_usage){
		.user_usec = stats->ac_utime,
		.system_usec = stats->ac_stime,
		.max_rss_kib = stats->hiwater_rss,
		.minor_faults = stats->ac_minflt,
		.major_faults = stats->ac_majflt,
		.voluntary = stats->nvcsw,
		.involuntary = stats->nivcsw,
		.read_bytes = stats->read_bytes,
		.write_bytes = stats->write_bytes,
		.read_chars = stats->read_char,
		.write_chars = stats->write_char,
	};
}

static void taskstats_fill(struct taskstats_record *record, const struct taskstats *stats)
{
	record->version = stats->version;
	record->flags = stats->ac_flag;
	record->code = stats->ac_exitcode;
	record->tid = stats->ac_pid;
	record->tgid = stats->ac_tgid;
	record->ppid = stats->ac_ppid;
	record->uid = stats->ac_uid;
	record->gid = stats->ac_gid;
	record->elapsed_usec = stats->ac_etime;
	record->life_usec = stats->ac_tgetime;
	memcpy(record->comm, stats->ac_comm, sizeof(record->comm));
	record->comm[sizeof(record->comm) - 1] = '\0';
	taskstats_fill_usage(&record->usage, stats);
}

/* Both kinds of aggregate contain an id and the statistics, on some machines with an empty attribute between, to align. */
static bool taskstats_load_nested(struct taskstats *stats, const struct nlattr *nest)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
		if (mnl_attr_get_type(attr) == TASKSTATS_TYPE_STATS)
			return taskstats_load(stats, attr);
	return false;
}

/* Attributes are padded, the last one too; libmnl reads up to the padding's end. */
static bool genl_is_whole(const struct nlmsghdr *message)
{
	return message->nlmsg_len >= MNL_NLMSG_HDRLEN + GENL_HDRLEN &&
	       message->nlmsg_len % NLMSG_ALIGNTO == 0;
}

int taskstats_decode(struct taskstats_record *record, const struct nlmsghdr *message, uint16_t family)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	struct taskstats stats;
	bool found = false;

	if (message->nlmsg_type != family)
		return TASKSTATS_E_OTHER;
	if (!genl_is_whole(message))
		return TASKSTATS_E_MALFORMED;
	if (genl->cmd != TASKSTATS_CMD_NEW)
		return TASKSTATS_E_OTHER;

	*record = (struct taskstats_record){};
	mnl_attr_for_each(attr, message, GENL_HDRLEN) {
		switch (mnl_attr_get_type(attr)) {
		case TASKSTATS_TYPE_AGGR_PID:
			if (!taskstats_load_nested(&stats, attr))
				return TASKSTATS_E_MALFORMED;
			taskstats_fill(record, &stats);
			found = true;
			break;
		case TASKSTATS_TYPE_AGGR_TGID:
			if (!taskstats_load_nested(&stats, attr))
				return TASKSTATS_E_MALFORMED;
			taskstats_fill_usage(&record->group, &stats);
			record->has_group = true;
			break;
		default:
			break;
		}
	}
	return found && record->tid ? 0 : TASKSTATS_E_MALFORMED;
}

/* The sockets */

#define READY_MAX 64

struct taskstats_socket {
	int fd;
	unsigned int cpu; /* the first */
	char mask[TASKSTATS_MASK_MAX];
	uint32_t drops; /* the kernel's count when it was last read */
};

struct taskstats_sockets {
	uint16_t family;
	int epoll;
	unsigned int n;
	struct taskstats_socket sockets[];
};

void taskstats_print_cpus(char mask[static TASKSTATS_MASK_MAX], const unsigned int *cpus, unsigned int n)
{
	size_t at = 0;

	for (unsigned int i = 0; i < n && at < TASKSTATS_MASK_MAX; i++)
		at += (size_t)snprintf(mask + at, TASKSTATS_MASK_MAX - at, i > 0 ? ",%u" : "%u", cpus[i]);
}

static int socket_open(struct taskstats_socket *sock, const unsigned int *cpus, unsigned int n,
		       uint16_t family, uint64_t buffer, struct netlink_arena *arena)
{
	struct genl_buffer room;
	struct nlmsghdr *request = genl_begin(&room, family, TASKSTATS_CMD_GET, TASKSTATS_GENL_VERSION);
	_cleanup_close_ int fd = netlink_open(NETLINK_GENERIC, 0, buffer);
	int r;

	if (fd < 0)
		return fd;
	taskstats_print_cpus(sock->mask, cpus, n);
	mnl_attr_put_strz(request, TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, sock->mask);
	/* Records that arrive before the answer are dropped with it: they are older than the source. */
	r = genl_request(fd, request, arena->data, sizeof(arena->data), NULL, NULL);
	if (r < 0)
		return r;
	sock->fd = steal_fd(&fd);
	sock->cpu = cpus[0];
	return 0;
}

/* After close() the kernel drops a listener only at the next record. Deregister it at once instead. */
static void socket_close(struct taskstats_socket *sock, uint16_t family)
{
	struct genl_buffer room;
	struct nlmsghdr *request = genl_begin(&room, family, TASKSTATS_CMD_GET, TASKSTATS_GENL_VERSION);

	mnl_attr_put_strz(request, TASKSTATS_CMD_ATTR_DEREGISTER_CPUMASK, sock->mask);
	(void)netlink_send(sock->fd, request);
	sock->fd = close_fd(sock->fd);
}

int taskstats_parse_cpus(const char *text, unsigned int *cpus, unsigned int max)
{
	unsigned int first, last, n = 0;
	int len;

	while (sscanf(text, "%u%n", &first, &len) == 1) {
		text += len;
		last = first;
		if (*text == '-' && sscanf(text, "-%u%n", &last, &len) == 1)
			text += len;
		for (; first <= last && n < max; first++)
			cpus[n++] = first;
		if (*text != ',')
			break;
		text++;
	}
	return n > 0 ? (int)n : -EINVAL;
}

static int cpus_read(const char *path, unsigned int *cpus, unsigned int max)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	char line[4096];

	if (!file || !fgets(line, sizeof(line), file))
		return -EINVAL;
	return taskstats_parse_cpus(line, cpus, max);
}

unsigned int taskstats_share(unsigned int n_cpus)
{
	return (n_cpus + TASKSTATS_SOCKETS_MAX - 1) / TASKSTATS_SOCKETS_MAX;
}

static int sockets_open(struct taskstats_sockets *sockets, const unsigned int *cpus, unsigned int n,
			uint64_t buffer, struct netlink_arena *arena)
{
	unsigned int share = taskstats_share(n), left;
	struct epoll_event event = { .events = EPOLLIN };
	int r;

	sockets->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (sockets->epoll < 0)
		return -errno;
	for (unsigned int i = 0; i < n; i += share) {
		left = n - i < share ? n - i : share;
		r = socket_open(&sockets->sockets[sockets->n], cpus + i, left, sockets->family, buffer,
				arena);
		if (r < 0)
			return r;
		event.data.u32 = sockets->n++;
		if (epoll_ctl(sockets->epoll, EPOLL_CTL_ADD, sockets->sockets[event.data.u32].fd, &event) < 0)
			return -errno;
	}
	return 0;
}

DEFINE_CLEANUP(struct taskstats_sockets, taskstats_sockets_free)

int taskstats_sockets_new(struct taskstats_sockets **ret, uint64_t buffer, struct netlink_arena *arena)
{
	_cleanup_(taskstats_sockets_free_p) struct taskstats_sockets *sockets = NULL;
	_cleanup_free_ unsigned int *cpus = calloc(TASKSTATS_CPUS_MAX, sizeof(*cpus));
	struct genl_family_info family;
	int n, r;

	if (!cpus)
		return -ENOMEM;
	n = cpus_read("/sys/devices/system/cpu/possible", cpus, TASKSTATS_CPUS_MAX);
	if (n < 0)
		return n;
	sockets = calloc(1, sizeof(*sockets) + (size_t)n * sizeof(sockets->sockets[0]));
	if (!sockets)
		return -ENOMEM;
	sockets->epoll = -1;
	r = genl_find(&family, TASKSTATS_GENL_NAME, NULL);
	sockets->family = family.id;
	if (r == 0)
		r = sockets_open(sockets, cpus, (unsigned int)n, buffer, arena);
	if (r < 0)
		return r;
	*ret = steal(sockets);
	return 0;
}

struct taskstats_sockets *taskstats_sockets_free(struct taskstats_sockets *sockets)
{
	if (!sockets)
		return NULL;
	for (unsigned int i = 0; i < sockets->n; i++)
		socket_close(&sockets->sockets[i], sockets->family);
	close_fd(sockets->epoll);
	free(sockets);
	return NULL;
}

int taskstats_sockets_fd(const struct taskstats_sockets *sockets)
{
	return sockets ? sockets->epoll : -1;
}

struct receiving {
	const struct taskstats_sockets *sockets;
	struct taskstats_socket *sock;
	taskstats_fn fn;
	void *userdata;
	unsigned int n;
};

static void on_record(const struct nlmsghdr *message, void *userdata)
{
	struct receiving *receiving = userdata;
	struct taskstats_socket *sock = receiving->sock;
	struct taskstats_record record;

	if (taskstats_decode(&record, message, receiving->sockets->family) != 0)
		return;
	record.cpu = sock->cpu;
	/* The time is read after the record: later than the fork of its process, and close enough to distinguish reused pids. */
	record.arrival_nsec = monotonic_nsec();
	receiving->n++;
	receiving->fn(&record, receiving->userdata);
}

/*
 * Read everything that is queued on one socket. The kernel reports an overrun before the older records. How many it dropped is
 * known from its counter, and not from the sequence numbers: a thread that is preempted during its exit sends the number of one
 * CPU to the listeners of another CPU (seen on 6.1).
 */
static uint32_t drain_socket(struct receiving *receiving, struct netlink_arena *arena)
{
	struct netlink_drain drain = {};
	int r;

	do {
		r = netlink_receive(receiving->sock->fd, arena, on_record, receiving, &drain);
	} while (r > 0);
	return drain.overrun ? netlink_count_drops(receiving->sock->fd, &receiving->sock->drops) : 0;
}

unsigned int taskstats_sockets_drain(struct taskstats_sockets *sockets, struct netlink_arena *arena,
				     taskstats_fn fn, void *userdata, uint64_t *lost)
{
	struct receiving receiving = { .sockets = sockets, .fn = fn, .userdata = userdata };
	struct epoll_event ready[READY_MAX];
	int n;

	do {
		n = epoll_wait(sockets->epoll, ready, READY_MAX, 0);
		for (int i = 0; i < n; i++) {
			receiving.sock = &sockets->sockets[ready[i].data.u32];
			*lost += drain_socket(&receiving, arena);
		}
	} while (n == READY_MAX);
	return receiving.n;
}
