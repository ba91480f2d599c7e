// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/proc-event.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define CN_HEADER offsetof(struct proc_event, event_data)

/* Bytes of event_data that every kernel sends for this kind of event; 0: an unknown kind. */
static size_t cn_body_size(uint32_t what)
{
	switch (what) {
	case PROC_EVENT_NONE:
		return sizeof(((struct proc_event *)0)->event_data.ack);
	case PROC_EVENT_FORK:
		return sizeof(struct fork_proc_event);
	case PROC_EVENT_EXEC:
		return sizeof(struct exec_proc_event);
	case PROC_EVENT_UID:
	case PROC_EVENT_GID:
		return sizeof(struct id_proc_event);
	case PROC_EVENT_SID:
		return sizeof(struct sid_proc_event);
	case PROC_EVENT_PTRACE:
		return sizeof(struct ptrace_proc_event);
	case PROC_EVENT_COMM:
		return sizeof(struct comm_proc_event);
	case PROC_EVENT_COREDUMP: /* kernels before 4.18 do not send the parent */
		return offsetof(struct coredump_proc_event, parent_pid);
	case PROC_EVENT_EXIT: /* likewise */
		return offsetof(struct exit_proc_event, parent_pid);
	default:
		return 0;
	}
}

static void cn_fill(struct cn_event *event, const struct proc_event *proc)
{
	switch (event->what) {
	case PROC_EVENT_NONE:
		event->answer.error = proc->event_data.ack.err;
		return;
	case PROC_EVENT_FORK:
		event->tid = (uint32_t)proc->event_data.fork.child_pid;
		event->tgid = (uint32_t)proc->event_data.fork.child_tgid;
		event->fork.parent_tid = (uint32_t)proc->event_data.fork.parent_pid;
		event->fork.parent_tgid = (uint32_t)proc->event_data.fork.parent_tgid;
		return;
	case PROC_EVENT_UID:
	case PROC_EVENT_GID:
		event->id.real = proc->event_data.id.r.ruid;
		event->id.effective = proc->event_data.id.e.euid;
		break;
	case PROC_EVENT_PTRACE:
		event->ptrace.tracer_tid = (uint32_t)proc->event_data.ptrace.tracer_pid;
		event->ptrace.tracer_tgid = (uint32_t)proc->event_data.ptrace.tracer_tgid;
		break;
	case PROC_EVENT_COMM:
		memcpy(event->comm, proc->event_data.comm.comm, sizeof(event->comm));
		break;
	case PROC_EVENT_EXIT:
		event->exit.code = proc->event_data.exit.exit_code;
		event->exit.parent_tid = (uint32_t)proc->event_data.exit.parent_pid;
		event->exit.parent_tgid = (uint32_t)proc->event_data.exit.parent_tgid;
		break;
	default:
		break;
	}
	/* All kinds except FORK begin with the ids of the process. */
	event->tid = (uint32_t)proc->event_data.exec.process_pid;
	event->tgid = (uint32_t)proc->event_data.exec.process_tgid;
}

int cn_decode(struct cn_event *event, const struct nlmsghdr *message)
{
	const unsigned char *payload = mnl_nlmsg_get_payload(message);
	size_t size = mnl_nlmsg_get_payload_len(message), body;
	struct proc_event proc = {};
	struct cn_msg cn;

	if (message->nlmsg_len < sizeof(*message) || size < sizeof(cn))
		return CN_E_MALFORMED;
	memcpy(&cn, payload, sizeof(cn));
	if (message->nlmsg_type != NLMSG_DONE || cn.id.idx != CN_IDX_PROC || cn.id.val != CN_VAL_PROC)
		return CN_E_OTHER;
	if (cn.len > size - sizeof(cn) || cn.len < CN_HEADER)
		return CN_E_MALFORMED;

	memcpy(&proc, payload + sizeof(cn), cn.len < sizeof(proc) ? cn.len : sizeof(proc));
	body = cn_body_size(proc.what);
	if (!body)
		return CN_E_OTHER;
	if (cn.len < CN_HEADER + body)
		return CN_E_MALFORMED;

	*event = (struct cn_event){
		.nsec = proc.timestamp_ns,
		.what = proc.what,
		.cpu = proc.cpu,
		.seq = cn.seq,
	};
	if (event->what == PROC_EVENT_NONE)
		event->answer.ack = cn.ack;
	cn_fill(event, &proc);
	return 0;
}

const struct nlmsghdr *cn_request_init(struct cn_request *request, enum proc_cn_mcast_op op, uint32_t ack)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(request->data);
	struct cn_msg *cn;
	uint32_t value = op;

	header->nlmsg_type = NLMSG_DONE;
	cn = mnl_nlmsg_put_extra_header(header, sizeof(*cn) + sizeof(value));
	cn->id.idx = CN_IDX_PROC;
	cn->id.val = CN_VAL_PROC;
	cn->ack = ack;
	cn->len = sizeof(value);
	memcpy(cn->data, &value, sizeof(value));
	return header;
}

/* The socket */

int cn_socket_open(uint64_t buffer)
{
	_cleanup_close_ int fd = netlink_open(NETLINK_CONNECTOR, CN_IDX_PROC, buffer);
	int on = 1;

	if (fd < 0)
		return fd;
	/*
	 * From 6.6 on the kernel stops sending when an event reaches no listener. With this option a full socket is an
	 * error, but still counts as a listener.
	 */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_BROADCAST_ERROR, &on, sizeof(on));
	return steal_fd(&fd);
}

/* Inode numbers of the initial namespaces, fixed in the kernel. */
#define PID_NS_INITIAL	0xeffffffcU
#define USER_NS_INITIAL 0xeffffffdU

/* How many sockets may be opened to correct the kernel's count: at the start, and while events are reported. */
#define LISTENERS_MAX	    4096
#define LISTENERS_AGAIN_MAX 256

static bool is_initial(const char *name, ino_t inode)
{
	struct stat stat_ns;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	return stat(path, &stat_ns) < 0 || stat_ns.st_ino == inode;
}

struct listening {
	netlink_fn fn;
	void *userdata;
	uint32_t ack;
	bool answered;
	uint32_t error;
};

static void on_message(const struct nlmsghdr *message, void *userdata)
{
	struct listening *listening = userdata;
	struct cn_event event;

	if (cn_decode(&event, message) == 0 && cn_event_answers(&event, listening->ack)) {
		listening->answered = true;
		listening->error = event.answer.error;
	}
	if (listening->fn)
		listening->fn(message, listening->userdata);
}

int cn_socket_listen(int fd, uint64_t wait_usec, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		     struct netlink_drain *drain)
{
	struct listening listening = { .fn = fn, .userdata = userdata };
	uint64_t until = clock_usec(CLOCK_MONOTONIC) + wait_usec, now;
	struct cn_request request;
	int r;

	if (getrandom(&listening.ack, sizeof(listening.ack), GRND_NONBLOCK) < 0)
		listening.ack = (uint32_t)until;
	r = netlink_send(fd, cn_request_init(&request, PROC_CN_MCAST_LISTEN, listening.ack));
	if (r < 0)
		return r;
	for (;;) {
		r = netlink_receive(fd, arena, on_message, &listening, drain);
		if (r < 0)
			return r;
		if (listening.answered)
			return netlink_errno(-(int64_t)listening.error);
		now = clock_usec(CLOCK_MONOTONIC);
		if (r == 0 && (now >= until || !netlink_wait(fd, until - now)))
			return is_initial("pid", PID_NS_INITIAL) && is_initial("user", USER_NS_INITIAL)
				       ? CN_SOCKET_E_SILENT
				       : CN_SOCKET_E_FOREIGN;
	}
}

int cn_socket_insist(int fd, uint64_t wait_usec, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		     struct netlink_drain *drain)
{
	unsigned int max = wait_usec > 0 ? LISTENERS_MAX : LISTENERS_AGAIN_MAX;
	int r = cn_socket_listen(fd, wait_usec, arena, fn, userdata, drain), extra;

	for (unsigned int i = 0; r == CN_SOCKET_E_SILENT && i < max; i++) {
		extra = cn_socket_open(0);
		if (extra < 0)
			return extra;
		/* Closed without unsubscribing, so the kernel still counts it. send() returns after the answer arrived. */
		r = cn_socket_listen(extra, 0, arena, NULL, NULL, drain);
		close(extra);
		if (r == 0)
			r = cn_socket_listen(fd, wait_usec, arena, fn, userdata, drain);
	}
	return r;
}

void cn_socket_ignore(int fd)
{
	struct cn_request request;

	(void)netlink_send(fd, cn_request_init(&request, PROC_CN_MCAST_IGNORE, 0));
}
