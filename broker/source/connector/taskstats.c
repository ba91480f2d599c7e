// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/taskstats.h"

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/taskstats.h>
#include <stddef.h>
#include <string.h>

/* Nothing below this length has the switches, the last of what is needed; before version 8 or so. */
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

/* Shorter ones are filled up with zeros, longer ones cut. */
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
		taskstats_copy(stats, tgid, data, size, tgid + TASKSTATS_SHIFT_TGID,
			       tgid + sizeof(stats->ac_tgid));
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
	memcpy(record->comm, stats->ac_comm, sizeof(record->comm));
	record->comm[sizeof(record->comm) - 1] = '\0';
	taskstats_fill_usage(&record->usage, stats);
}

/* Both kinds of aggregate hold an id and the figures; between them, on some machines, an empty one to align. */
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
