// SPDX-License-Identifier: GPL-2.0-only
#include "record.h"

#include <linux/audit.h>
#include <linux/cgroup.h>
#include <linux/dcache.h>
#include <linux/kdev_t.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/tty.h>
#include <linux/uaccess.h>
#include <net/netlink.h>

/* Where the values of the first attributes lie: each record begins with SEQ, TYPE, TIME. */
#define SEQ_OFFSET (NLA_HDRLEN + NLA_HDRLEN)
#define TIME_OFFSET (SEQ_OFFSET + sizeof(u64) + NLA_HDRLEN + sizeof(u32) + NLA_HDRLEN)

struct forkbus_buffer {
	struct forkbus_record record;
	u8 data[FORKBUS_RECORD_MAX] __aligned(8);
};

static struct forkbus_buffer __percpu *buffers;

int forkbus_records_alloc(void)
{
	BUILD_BUG_ON(SEQ_OFFSET + sizeof(u64) != FORKBUS_RECORD_HEAD);
	BUILD_BUG_ON(FORKBUS_RECORD_MAX > U16_MAX);

	if (!buffers)
		buffers = alloc_percpu(struct forkbus_buffer);
	return buffers ? 0 : -ENOMEM;
}

void forkbus_records_free(void)
{
	free_percpu(buffers);
	buffers = NULL;
}

/* Room for an attribute of @size bytes; NULL: the record is full, and does without it. */
static void *reserve(struct forkbus_record *record, int attribute, size_t size)
{
	struct nlattr *nla = (struct nlattr *)(record->data + record->len);

	if (record->len + nla_total_size(size) > record->max)
		return NULL;
	nla->nla_type = attribute;
	nla->nla_len = nla_attr_size(size);
	memset((u8 *)nla + nla->nla_len, 0, nla_padlen(size));
	record->len += nla_total_size(size);
	return nla_data(nla);
}

static void put(struct forkbus_record *record, int attribute, const void *value, size_t size)
{
	void *to = reserve(record, attribute, size);

	if (to)
		memcpy(to, value, size);
}

void forkbus_put_u32(struct forkbus_record *record, int attribute, u32 value)
{
	put(record, attribute, &value, sizeof(value));
}

void forkbus_put_u64(struct forkbus_record *record, int attribute, u64 value)
{
	put(record, attribute, &value, sizeof(value));
}

void forkbus_put_flag(struct forkbus_record *record, int attribute)
{
	reserve(record, attribute, 0);
}

bool forkbus_put_string(struct forkbus_record *record, int attribute, const char *string,
			size_t max)
{
	size_t len = strnlen(string, max);
	bool cut = len == max;
	char *to;

	if (cut)
		len--;
	to = reserve(record, attribute, len + 1);
	if (to) {
		memcpy(to, string, len);
		to[len] = '\0';
	}
	return cut;
}

void forkbus_record_init(struct forkbus_record *record, enum forkbus_type type, void *data,
			 size_t size)
{
	*record = (struct forkbus_record){
		.type = type, .len = NLA_HDRLEN, .max = size, .data = data
	};
	forkbus_put_u64(record, FORKBUS_R_SEQ, 0);
	forkbus_put_u32(record, FORKBUS_R_TYPE, type);
	forkbus_put_u64(record, FORKBUS_R_TIME, 0);
}

struct forkbus_record *forkbus_record_begin(enum forkbus_type type)
{
	struct forkbus_buffer *buffer = get_cpu_ptr(buffers);

	forkbus_record_init(&buffer->record, type, buffer->data, sizeof(buffer->data));
	return &buffer->record;
}

void forkbus_record_end(struct forkbus_record *record)
{
	put_cpu_ptr(buffers);
}

void forkbus_record_seal(struct forkbus_record *record, u64 seq, u64 time)
{
	struct nlattr *nest = (struct nlattr *)record->data;

	nest->nla_type = FORKBUS_A_RECORD | NLA_F_NESTED;
	nest->nla_len = record->len;
	memcpy(record->data + SEQ_OFFSET, &seq, sizeof(seq));
	memcpy(record->data + TIME_OFFSET, &time, sizeof(time));
}

u64 forkbus_record_seq(const void *data)
{
	u64 seq;

	memcpy(&seq, data + SEQ_OFFSET, sizeof(seq));
	return seq;
}

/*
 * d_path() retries under rename_lock and mount_lock when somebody renames: spinlocks, which sleep
 * on PREEMPT_RT, where preemption must not be disabled around them.
 */
void forkbus_put_path(struct forkbus_record *record, int attribute, const struct path *path)
{
	size_t room = record->max - record->len;
	char *to, *from;

	if (IS_ENABLED(CONFIG_PREEMPT_RT) || room <= NLA_HDRLEN + NLA_ALIGNTO)
		return;
	/* It writes to the end of what it is given. */
	room = min_t(size_t, room - NLA_HDRLEN - NLA_ALIGNTO, FORKBUS_PATH_MAX);
	to = record->data + record->len + NLA_HDRLEN;
	from = d_path(path, to, room);
	if (IS_ERR(from))
		return;
	room -= from - to;
	memmove(to, from, room);
	reserve(record, attribute, room);
}

/* Page by page: what is not there is not waited for, and ends it. */
void forkbus_put_args(struct forkbus_record *record, size_t max)
{
	const struct mm_struct *mm = current->mm;
	unsigned long start = mm->arg_start, len = mm->arg_end - start, done = 0, step;
	size_t room = record->max - record->len;
	u8 *to = record->data + record->len + NLA_HDRLEN;

	if (room <= NLA_HDRLEN + NLA_ALIGNTO)
		return;
	max = min3(max, (size_t)len, room - NLA_HDRLEN - NLA_ALIGNTO);
	while (done < max) {
		step = min(max - done, PAGE_SIZE - offset_in_page(start + done));
		if (copy_from_user_nofault(to + done, (void __user *)(start + done), step))
			break;
		done += step;
	}
	reserve(record, FORKBUS_R_ARGV, done);
	if (done < len)
		forkbus_put_flag(record, FORKBUS_R_ARGV_CUT);
}

/*
 * The terminal is freed as soon as the last process lets go of it, without a grace period: only
 * siglock holds it. A lock that is taken means that it is just changing: then nothing is said.
 * Under PREEMPT_RT that lock may not be tried with preemption disabled.
 */
static void put_tty(struct forkbus_record *record, struct task_struct *task)
{
	struct sighand_struct *sighand = rcu_dereference(task->sighand);
	unsigned long flags;
	struct tty_struct *tty;
	u32 device = 0;

	if (IS_ENABLED(CONFIG_PREEMPT_RT) || !sighand ||
	    !spin_trylock_irqsave(&sighand->siglock, flags))
		return;
	/* A sighand may have become another process'. */
	if (sighand != rcu_access_pointer(task->sighand)) {
		spin_unlock_irqrestore(&sighand->siglock, flags);
		return;
	}
	tty = task->signal->tty;
	if (tty)
		device = new_encode_dev(tty_devnum(tty));
	spin_unlock_irqrestore(&sighand->siglock, flags);
	forkbus_put_u32(record, FORKBUS_R_TTY, device);
}

static void put_ids(struct forkbus_record *record, const struct cred *cred)
{
	forkbus_put_u32(record, FORKBUS_R_UID, __kuid_val(cred->uid));
	forkbus_put_u32(record, FORKBUS_R_GID, __kgid_val(cred->gid));
	forkbus_put_u32(record, FORKBUS_R_EUID, __kuid_val(cred->euid));
	forkbus_put_u32(record, FORKBUS_R_EGID, __kgid_val(cred->egid));
}

/* By RCU: a task that is reaped meanwhile, and its parent and leader, stay as long as we look. */
static void put_process(struct forkbus_record *record, struct task_struct *task)
{
	struct task_struct *parent = rcu_dereference(task->real_parent);
	struct task_struct *leader = task->group_leader;

	forkbus_put_u32(record, FORKBUS_R_TGID, task->tgid);
	forkbus_put_u64(record, FORKBUS_R_START, leader->start_boottime);
	forkbus_put_u32(record, FORKBUS_R_PARENT_TGID, parent->tgid);
	if (parent->tgid)
		forkbus_put_u64(record, FORKBUS_R_PARENT_START,
				parent->group_leader->start_boottime);
}

static void put_namespace(struct forkbus_record *record, struct task_struct *task)
{
	struct pid_namespace *ns = task_active_pid_ns(task);

	if (!ns || ns == &init_pid_ns)
		return;
	forkbus_put_u32(record, FORKBUS_R_PID_NS, ns->ns.inum);
	forkbus_put_u32(record, FORKBUS_R_NS_TGID, task_tgid_nr_ns(task, ns));
}

void forkbus_put_identity(struct forkbus_record *record, struct task_struct *task,
			  const struct cred *cred, const char *comm)
{
	kuid_t login = audit_get_loginuid(task);

	rcu_read_lock();
	put_process(record, task);
	put_ids(record, cred ?: __task_cred(task));
	if (uid_valid(login))
		forkbus_put_u32(record, FORKBUS_R_LOGIN_UID, __kuid_val(login));
	forkbus_put_u32(record, FORKBUS_R_SESSION, task_session_nr_ns(task, &init_pid_ns));
	put_tty(record, task);
#ifdef CONFIG_CGROUPS
	forkbus_put_u64(record, FORKBUS_R_CGROUP, cgroup_id(task_dfl_cgroup(task)));
#endif
	forkbus_put_string(record, FORKBUS_R_COMM, comm ?: task->group_leader->comm,
			   FORKBUS_COMM_MAX);
	put_namespace(record, task);
	rcu_read_unlock();
}
