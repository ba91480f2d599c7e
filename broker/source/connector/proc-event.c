// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/proc-event.h"

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <string.h>

#define CN_HEADER offsetof(struct proc_event, event_data)

/* Bytes of event_data that every kernel sends for this kind of event; 0: a kind that this does not know. */
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
	case PROC_EVENT_COREDUMP: /* the parent came with 4.18 */
		return offsetof(struct coredump_proc_event, parent_pid);
	case PROC_EVENT_EXIT: /* so here */
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
	/* All kinds but FORK begin with whose they are. */
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
