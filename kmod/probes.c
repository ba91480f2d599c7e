// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "forkbus.h"

#include <asm/syscall.h>
#include <asm/unistd.h>
#include <linux/binfmts.h>
#include <linux/kprobes.h>
#include <linux/ptrace.h>
#include <linux/sched/signal.h>
#include <trace/events/sched.h>
#include <trace/events/task.h>

#define M(type) FORKBUS_MASK(FORKBUS_TYPE_##type)

u32 forkbus_armed, forkbus_supported;
static u32 args;

#define wanted(types) (READ_ONCE(forkbus_armed) & (types))

/* An event of @task. Preemption is disabled until report(). */
#define begin(type, task) forkbus_record_begin(FORKBUS_TYPE_##type, task, NULL, NULL)

static void report(struct sk_buff *record)
{
	forkbus_ring_write(record);
	preempt_enable();
}

/*
 * Tracepoints. Up to 6.12 at least, they call their probes with preemption disabled; later kernels
 * may not. None is hit in an interrupt.
 */

/* In copy_process(), when the child is complete; it does not run yet. */
static void probe_newtask(void *data, struct task_struct *task, forkbus_clone_flags_t flags)
{
	bool leader = thread_group_leader(task);
	struct sk_buff *record;

	/* The idle threads of processors are not processes. */
	if (!wanted(leader ? M(FORK) : M(THREADS)) || !task->pid)
		return;
	record = begin(FORK, task);
	if (!leader)
		forkbus_put_u32(record, FORKBUS_R_TID, task->pid);
	forkbus_put_u64(record, FORKBUS_R_CLONE_FLAGS, flags);
	report(record);
}

/* In exec_binprm(): it has succeeded, and current runs the new image. */
static void probe_exec(void *data, struct task_struct *task, pid_t old_pid,
		       struct linux_binprm *bprm)
{
	u32 max = READ_ONCE(args);
	struct sk_buff *record;

	if (!wanted(M(EXEC)))
		return;
	record = begin(EXEC, task);
	if (forkbus_put_string(record, FORKBUS_R_FILENAME, bprm->filename, FORKBUS_PATH_MAX))
		nla_put_flag(record, FORKBUS_R_FILENAME_CUT);
	if (max)
		forkbus_put_args(record, max);
	forkbus_put_path(record, FORKBUS_R_EXE, &bprm->file->f_path);
	report(record);
}

/*
 * Up to 6.13 this runs under task_lock() of @task: helpers that take it must not be used. The name
 * of a process is that of its leader; other threads have their own names.
 */
static void probe_rename(void *data, struct task_struct *task, const char *comm)
{
	if (!wanted(M(COMM)) || !thread_group_leader(task) || task->in_execve ||
	    !strncmp(task->comm, comm, TASK_COMM_LEN))
		return;
	report(forkbus_record_begin(FORKBUS_TYPE_COMM, task, NULL, comm));
}

/* In do_exit(), for each thread; the end of the process has another hook. */
static void probe_exit(void *data, struct task_struct *task)
{
	struct sk_buff *record;

	if (!wanted(M(THREADS)) || thread_group_leader(task))
		return;
	record = begin(EXIT, task);
	forkbus_put_u32(record, FORKBUS_R_TID, task->pid);
	forkbus_put_u32(record, FORKBUS_R_STATUS, task->exit_code);
	forkbus_put_thread_usage(record);
	report(record);
}

static void probe_exit_of_group(void *data, struct task_struct *task, bool group_dead)
{
	probe_exit(data, task);
}

#define EXIT_PROBE forkbus_exit_probe(probe_exit, probe_exit_of_group)

/*
 * Kprobes, where there is no tracepoint. Their handlers run with preemption disabled, in the
 * context of the function that is entered. current calls it, and never while it holds a lock that
 * is taken here: the ring's lock is the innermost.
 */

#define argument(regs, n) ((void *)regs_get_kernel_argument(regs, n))

/*
 * The end of a process is reported where do_exit() releases the terminal. Only the last thread does
 * this, before the parent is notified and may reap the process: so it is reported exactly once, and
 * always before the next process with its pid. The memory has been freed at this point, so the cost
 * of this is included in the usage; that of closing files on some kernels (6.1 and 6.12 close them
 * before, 7.3 later), and that of the last work for files without other users on none, since it is
 * in exit_task_work(). The tracepoint is called for each thread, since 6.16 before the memory is
 * freed.
 */
static void enter_last_exit(struct pt_regs *regs)
{
	const struct signal_struct *signal = current->signal;
	struct sk_buff *record;

	/* This function is also called when a leader that does not end gives up its terminal. */
	if (!(current->flags & PF_EXITING))
		return;
	record = begin(EXIT, current);
	forkbus_put_u32(record, FORKBUS_R_STATUS,
			signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code :
							    current->group_leader->exit_code);
	forkbus_put_process_usage(record);
	report(record);
}

/* commit_creds(new): it cannot fail. */
static void enter_commit_creds(struct pt_regs *regs)
{
	const struct cred *new = argument(regs, 0), *old = current_real_cred();
	struct sk_buff *record;

	if (!thread_group_leader(current) ||
	    (uid_eq(new->uid, old->uid) && uid_eq(new->euid, old->euid) &&
	     gid_eq(new->gid, old->gid) && gid_eq(new->egid, old->egid)))
		return;
	record = forkbus_record_begin(FORKBUS_TYPE_ID, current, new, NULL);
	forkbus_put_u32(record, FORKBUS_R_OLD_UID, __kuid_val(old->uid));
	forkbus_put_u32(record, FORKBUS_R_OLD_GID, __kgid_val(old->gid));
	forkbus_put_u32(record, FORKBUS_R_OLD_EUID, __kuid_val(old->euid));
	forkbus_put_u32(record, FORKBUS_R_OLD_EGID, __kgid_val(old->egid));
	report(record);
}

/* At the end of setsid(2), called with the leader. */
static void enter_setsid(struct pt_regs *regs)
{
	report(begin(SESSION, argument(regs, 0)));
}

/*
 * set_fs_root(fs, path): called by chroot(2), and by setns(2) into a mount namespace, which changes
 * more than the root. chroot(2) has number 61 for 32-bit programs on x86 and arm64, and on x86 a
 * high bit for x32 programs. Other calls that have one of these numbers do not come here.
 */
static void enter_set_fs_root(struct pt_regs *regs)
{
	int call = syscall_get_nr(current, current_pt_regs()) & 0xffff;
	struct sk_buff *record;

	if (call != __NR_chroot && call != 61)
		return;
	record = begin(CHROOT, current);
	forkbus_put_path(record, FORKBUS_R_ROOT, argument(regs, 1));
	report(record);
}

static void enter_coredump(struct pt_regs *regs)
{
	report(begin(COREDUMP, current));
}

/*
 * proc_ptrace_connector(task, request): called by the tracer after the change. The task may have
 * been reaped meanwhile, and its parent and leader freed before this RCU section began: then there
 * is nothing to report. The parent and the leader of a task that is alive now stay until the
 * section ends.
 */
static void enter_ptrace(struct pt_regs *regs)
{
	struct task_struct *task = argument(regs, 0);
	struct sk_buff *record;

	rcu_read_lock();
	if (pid_alive(task)) {
		record = begin(PTRACE, task);
		if (!thread_group_leader(task))
			forkbus_put_u32(record, FORKBUS_R_TID, task->pid);
		forkbus_put_u32(record, FORKBUS_R_TRACER,
				argument(regs, 1) == (void *)PTRACE_ATTACH ? current->tgid : 0);
		report(record);
	}
	rcu_read_unlock();
}

/*
 * All kprobes can be switched off, by kernel.ftrace_enabled and in debugfs. The kernel reports this
 * to none of them; but then this one is not hit.
 */
static unsigned int canary_hits;

static noinline void forkbus_canary(void)
{
	barrier();
}

/* One place: a tracepoint, where @probe is set, or a function that is entered. */
static struct forkbus_hook {
	u32 types;
	const char *name;
	void *probe;
	void (*enter)(struct pt_regs *regs);
	struct tracepoint *tracepoint;
	struct kprobe kprobe;
	unsigned long missed;
	bool found, on;
} hooks[] = {
	{ M(FORK) | M(THREADS), "task_newtask", .probe = probe_newtask },
	{ M(EXEC), "sched_process_exec", .probe = probe_exec },
	{ M(COMM), "task_rename", .probe = probe_rename },
	{ M(THREADS), "sched_process_exit", .probe = EXIT_PROBE },
	{ M(EXIT), "disassociate_ctty", .enter = enter_last_exit },
	{ M(ID), "commit_creds", .enter = enter_commit_creds },
	{ M(SESSION), "proc_sid_connector", .enter = enter_setsid },
	{ M(CHROOT), "set_fs_root", .enter = enter_set_fs_root },
	{ M(COREDUMP), "proc_coredump_connector", .enter = enter_coredump },
	{ M(PTRACE), "proc_ptrace_connector", .enter = enter_ptrace },
	{ 0, "forkbus_canary" }, /* always on */
};

static int on_kprobe(struct kprobe *kprobe, struct pt_regs *regs)
{
	const struct forkbus_hook *hook = container_of(kprobe, struct forkbus_hook, kprobe);

	if (!hook->types)
		canary_hits++;
	else if (wanted(hook->types))
		hook->enter(regs);
	return 0;
}

#define HOOKS_END (hooks + ARRAY_SIZE(hooks))

static int hook_set(struct forkbus_hook *hook, bool on)
{
	int err;

	if (hook->probe)
		err = on ? tracepoint_probe_register(hook->tracepoint, hook->probe, NULL) :
			   tracepoint_probe_unregister(hook->tracepoint, hook->probe, NULL);
	else
		err = on ? enable_kprobe(&hook->kprobe) : disable_kprobe(&hook->kprobe);
	if (err)
		pr_warn("%s cannot be %s\n", hook->name, on ? "armed" : "disarmed");
	else
		hook->on = on;
	return err;
}

static void hooks_off(u32 types)
{
	for (struct forkbus_hook *hook = hooks; hook < HOOKS_END; hook++)
		if (hook->on && !(hook->types & types))
			hook_set(hook, false);
}

/*
 * Returns the types whose hooks are silent. A kprobe misses its function when the handler of
 * another kprobe, of any owner, calls it. These are counted as lost events, although some calls may
 * not have been an event.
 */
static u32 check_kprobes(void)
{
	static u64 checked;
	unsigned int hits = canary_hits;
	u32 silent = 0;

	forkbus_canary();
	for (struct forkbus_hook *hook = hooks; hook < HOOKS_END; hook++) {
		unsigned long missed = hook->kprobe.nmissed - hook->missed;

		if (missed && hook->types)
			forkbus_ring_lose(ilog2(hook->types), missed, checked);
		hook->missed += missed;
		if (!hook->probe && READ_ONCE(canary_hits) == hits)
			silent |= hook->types;
	}
	checked = ktime_get_boottime_ns();
	return silent;
}

/*
 * New types are reported before the record ARMED is written, and removed types until after it: what
 * it names is complete from there on, and what the previous one named is complete up to there.
 */
void forkbus_probes_arm(u32 types, u32 arguments)
{
	struct sk_buff *record;

	WRITE_ONCE(args, arguments);
	types &= forkbus_supported & ~check_kprobes();
	if (types == forkbus_armed)
		return;
	WRITE_ONCE(forkbus_armed, forkbus_armed | types);
	for (struct forkbus_hook *hook = hooks; hook < HOOKS_END; hook++)
		if (hook->found && !hook->on && (hook->types & types) && hook_set(hook, true))
			types &= ~hook->types;
	record = begin(ARMED, NULL);
	forkbus_put_u32(record, FORKBUS_R_MASK, types);
	report(record);
	WRITE_ONCE(forkbus_armed, types);
	hooks_off(types);
}

static void find_tracepoint(struct tracepoint *tracepoint, void *data)
{
	for (struct forkbus_hook *hook = hooks; hook < HOOKS_END; hook++)
		if (hook->probe && !strcmp(hook->name, tracepoint->name)) {
			hook->tracepoint = tracepoint;
			hook->found = true;
		}
}

/*
 * On x86 a kprobe in a function that ftrace does not trace is a trap, whose handler runs as if in
 * an NMI: it must not take the ring's lock.
 */
static bool find_kprobe(struct kprobe *kprobe)
{
	if (register_kprobe(kprobe))
		return false;
	if (!IS_ENABLED(CONFIG_X86) || kprobe_ftrace(kprobe))
		return true;
	unregister_kprobe(kprobe);
	return false;
}

/*
 * Tracepoints are found by name, so a probe of a wrong type would only be noticed when it is hit. A
 * kprobe is registered but not armed: this costs nothing, and shows now whether it works. A type is
 * supported only if all of its hooks work: of threads, both the start and the end are reported, or
 * neither.
 */
void forkbus_probes_init(void)
{
	check_trace_callback_type_task_newtask(probe_newtask);
	check_trace_callback_type_sched_process_exec(probe_exec);
	check_trace_callback_type_task_rename(probe_rename);
	check_trace_callback_type_sched_process_exit(EXIT_PROBE);
	for_each_kernel_tracepoint(find_tracepoint, NULL);
	forkbus_supported = FORKBUS_MASK(__FORKBUS_TYPE_MAX) - FORKBUS_MASK(FORKBUS_TYPE_FORK);
	for (struct forkbus_hook *hook = hooks; hook < HOOKS_END; hook++) {
		hook->kprobe = (struct kprobe){ .symbol_name = hook->name,
						.pre_handler = on_kprobe,
						.flags = hook->types ? KPROBE_FLAG_DISABLED : 0 };
		if (!hook->probe)
			hook->found = find_kprobe(&hook->kprobe);
		if (!hook->found)
			forkbus_supported &= ~hook->types;
	}
}

void forkbus_probes_exit(void)
{
	WRITE_ONCE(forkbus_armed, 0);
	hooks_off(0);
	for (struct forkbus_hook *hook = hooks; hook < HOOKS_END; hook++)
		if (!hook->probe && hook->found)
			unregister_kprobe(&hook->kprobe);
	tracepoint_synchronize_unregister();
}
