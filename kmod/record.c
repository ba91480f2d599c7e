// SPDX-License-Identifier: GPL-2.0-only
#include "forkbus.h"

#include <linux/audit.h>
#include <linux/cgroup.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/tty.h>
#include <linux/uaccess.h>

static DEFINE_PER_CPU(struct sk_buff *, buffer);

struct sk_buff *forkbus_record_alloc(void)
{
	struct sk_buff *record = alloc_skb(FORKBUS_RECORD_MAX, GFP_KERNEL);

	/* The allocator may give more, which must not be used: a message has no room for it. */
	if (record)
		skb_reserve(record, skb_tailroom(record) - FORKBUS_RECORD_MAX);
	return record;
}

int forkbus_records_alloc(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		per_cpu(buffer, cpu) = per_cpu(buffer, cpu) ?: forkbus_record_alloc();
		if (!per_cpu(buffer, cpu))
			return -ENOMEM;
	}
	return 0;
}

void forkbus_records_free(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		kfree_skb(per_cpu(buffer, cpu));
}

/* A struct forkbus_head. */
void forkbus_record_reset(struct sk_buff *record, enum forkbus_type type)
{
	skb_trim(record, 0);
	nla_nest_start(record, FORKBUS_A_RECORD);
	forkbus_put_u64(record, FORKBUS_R_SEQ, 0);
	forkbus_put_u32(record, FORKBUS_R_TYPE, type);
	forkbus_put_u64(record, FORKBUS_R_TIME, 0);
}

bool forkbus_put_string(struct sk_buff *record, int attribute, const char *string, size_t max)
{
	size_t len = strnlen(string, max);
	bool cut = len == max;
	char *to;

	len -= cut;
	to = nla_data(nla_reserve(record, attribute, len + 1));
	memcpy(to, string, len);
	to[len] = '\0';
	return cut;
}

/*
 * During a rename, d_path() retries under rename_lock and mount_lock. These are spinlocks, which
 * sleep on PREEMPT_RT, so preemption must not be disabled around them there.
 */
void forkbus_put_path(struct sk_buff *record, int attribute, const struct path *path)
{
	char *to = skb_tail_pointer(record) + NLA_HDRLEN, *from;
	size_t len;

	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return;
	/* It writes the path to the end of the buffer. */
	from = d_path(path, to, FORKBUS_PATH_MAX);
	if (IS_ERR(from))
		return;
	len = to + FORKBUS_PATH_MAX - from;
	memmove(to, from, len);
	nla_reserve(record, attribute, len);
}

/* Page by page: it does not wait for a page that is not in memory, but ends there. */
void forkbus_put_args(struct sk_buff *record, size_t max)
{
	const struct mm_struct *mm = current->mm;
	unsigned long start = mm->arg_start, len = mm->arg_end - start, done = 0, step;
	u8 *to = skb_tail_pointer(record) + NLA_HDRLEN;

	max = min3(max, (size_t)len, (size_t)FORKBUS_ARGS_MAX);
	while (done < max) {
		step = min(max - done, PAGE_SIZE - offset_in_page(start + done));
		if (copy_from_user_nofault(to + done, (void __user *)(start + done), step))
			break;
		done += step;
	}
	nla_reserve(record, FORKBUS_R_ARGV, done);
	if (done < len)
		nla_put_flag(record, FORKBUS_R_ARGV_CUT);
}

/*
 * The terminal is freed as soon as the last process releases it, without a grace period: only
 * siglock keeps it. If the lock is taken, the terminal is changing at this moment: then the record
 * has none. On PREEMPT_RT, trylock is not allowed with preemption disabled.
 */
static void put_tty(struct sk_buff *record, struct task_struct *task)
{
	struct sighand_struct *sighand = rcu_dereference(task->sighand);
	unsigned long flags;

	if (IS_ENABLED(CONFIG_PREEMPT_RT) || !sighand ||
	    !spin_trylock_irqsave(&sighand->siglock, flags))
		return;
	/* The sighand may belong to another process by now. */
	if (sighand == rcu_access_pointer(task->sighand))
		forkbus_put_u32(record, FORKBUS_R_TTY,
				task->signal->tty ? new_encode_dev(tty_devnum(task->signal->tty)) :
						    0);
	spin_unlock_irqrestore(&sighand->siglock, flags);
}

/*
 * By RCU, a task that was not reaped when the RCU section began stays until the section ends, and
 * so do its parent and leader. This is always true for current and its leader, and for a child or a
 * kernel thread that does not run yet. Of another task the caller checks it. If the task is reaped
 * meanwhile, it has no pid and no sighand any more, and these fields are absent.
 */
static void put_identity(struct sk_buff *record, struct task_struct *task, const struct cred *cred,
			 const char *comm)
{
	struct task_struct *parent = rcu_dereference(task->real_parent);
	struct pid_namespace *ns = ns_of_pid(READ_ONCE(task->thread_pid));
	kuid_t login = audit_get_loginuid(task);

	forkbus_put_u32(record, FORKBUS_R_TGID, task->tgid);
	forkbus_put_u64(record, FORKBUS_R_START, task->group_leader->start_boottime);
	forkbus_put_u32(record, FORKBUS_R_PARENT_TGID, parent->tgid);
	if (parent->tgid)
		forkbus_put_u64(record, FORKBUS_R_PARENT_START,
				parent->group_leader->start_boottime);
	forkbus_put_u32(record, FORKBUS_R_UID, __kuid_val(cred->uid));
	forkbus_put_u32(record, FORKBUS_R_GID, __kgid_val(cred->gid));
	forkbus_put_u32(record, FORKBUS_R_EUID, __kuid_val(cred->euid));
	forkbus_put_u32(record, FORKBUS_R_EGID, __kgid_val(cred->egid));
	if (uid_valid(login))
		forkbus_put_u32(record, FORKBUS_R_LOGIN_UID, __kuid_val(login));
	forkbus_put_u32(record, FORKBUS_R_SESSION, task_session_nr_ns(task, &init_pid_ns));
	forkbus_put_u32(record, FORKBUS_R_PGID, task_pgrp_nr_ns(task, &init_pid_ns));
	put_tty(record, task);
	forkbus_put_u64(record, FORKBUS_R_CGROUP, cgroup_id(task_dfl_cgroup(task)));
	forkbus_put_string(record, FORKBUS_R_COMM, comm, FORKBUS_COMM_MAX);
	if (!ns || ns == &init_pid_ns)
		return;
	forkbus_put_u32(record, FORKBUS_R_PID_NS, ns->ns.inum);
	forkbus_put_u32(record, FORKBUS_R_NS_TGID, task_tgid_nr_ns(task, ns));
}

struct sk_buff *forkbus_record_begin(enum forkbus_type type, struct task_struct *task,
				     const struct cred *cred, const char *comm)
{
	struct sk_buff *record = get_cpu_var(buffer);

	forkbus_record_reset(record, type);
	rcu_read_lock();
	if (task)
		put_identity(record, task, cred ?: __task_cred(task),
			     comm ?: task->group_leader->comm);
	rcu_read_unlock();
	return record;
}
