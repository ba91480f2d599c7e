// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process used, as of now.
 *
 * The scheduler adds to a task's run time (sum_exec_runtime) when its clock ticks and when the task
 * leaves the processor. A process that lives for less than a tick has none at its end, or that of
 * its first sleeps: which is what taskstats and accounting files say. So what ran since the last
 * update is added here. When that update was is in exec_start, on the scheduler's own clock,
 * clock_task: that of the processor (local_clock()) without the time that interrupts and the
 * hypervisor took, where the kernel is built to tell them apart. How far the one lags behind the
 * other can't be asked for, but be seen:
 *
 *   When a task was switched in, both clocks were read at once: last_arrival is the one, the other
 *   is exec_start less what ran since (sum_exec_runtime - prev_sum_exec_runtime). Their difference
 *   is the lag then, or less where the scheduler began anew with prev_sum_exec_runtime meanwhile,
 *   and the lag never shrinks. So the largest difference seen on a processor is the best.
 *
 *   No update lies in the future: the lag is at most local_clock() - exec_start. Where a scheduling
 *   class keeps prev_sum_exec_runtime in another way, this brings a wrong lag back.
 *
 * The rest that is not in it is what ending itself takes after the record was made: the last
 * moments before the processor is given away.
 */
#include "usage.h"

#include <linux/math64.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/sched/clock.h>
#include <linux/sched/prio.h>
#include <linux/sched/signal.h>
#include <linux/seqlock.h>
#include <linux/task_io_accounting_ops.h>

struct usage {
	u64 runtime, utime, stime;
	u64 min_flt, maj_flt, nvcsw, nivcsw;
	struct task_io_accounting io;
};

static DEFINE_PER_CPU(u64, clock_lag);

/* Another thread is told apart from one that left its processor long ago by no more than this. */
#define UPDATE_MAX_NSEC (2 * TICK_NSEC)

static u64 see_lag(u64 now)
{
	const struct sched_entity *se = &current->se;
	u64 *lag = this_cpu_ptr(&clock_lag);
#ifdef CONFIG_SCHED_INFO
	s64 at_switch = current->sched_info.last_arrival + se->sum_exec_runtime -
			se->prev_sum_exec_runtime - se->exec_start;

	if (current->prio >= MAX_RT_PRIO && at_switch > (s64)*lag)
		*lag = at_switch;
#endif
	if (now - se->exec_start < *lag)
		*lag = now - se->exec_start;
	return *lag;
}

/* On another processor; it may be updated right now. */
static u64 other_runtime(const struct task_struct *task, u64 now)
{
#ifdef CONFIG_SMP
	u64 start = READ_ONCE(task->se.exec_start);
	s64 since = now - per_cpu(clock_lag, task_cpu(task)) - start;
	u64 sum = READ_ONCE(task->se.sum_exec_runtime);

	if (READ_ONCE(task->on_cpu) && READ_ONCE(task->se.exec_start) == start && since > 0 &&
	    since < UPDATE_MAX_NSEC)
		return sum + since;
	return sum;
#else
	return task->se.sum_exec_runtime;
#endif
}

static u64 task_runtime(const struct task_struct *task)
{
	u64 now = local_clock();

	if (task != current)
		return other_runtime(task, now);
	/* The scheduler's reading of the clock may be a moment ahead. */
	if ((s64)(now - task->se.exec_start) <= 0)
		return task->se.sum_exec_runtime;
	return task->se.sum_exec_runtime + now - task->se.exec_start - see_lag(now);
}

static void add_task(struct usage *usage, const struct task_struct *task)
{
	usage->runtime += task_runtime(task);
	usage->utime += task->utime;
	usage->stime += task->stime;
	usage->min_flt += task->min_flt;
	usage->maj_flt += task->maj_flt;
	usage->nvcsw += task->nvcsw;
	usage->nivcsw += task->nivcsw;
	task_io_accounting_add(&usage->io, (struct task_io_accounting *)&task->ioac);
}

/* Threads that are gone, then those that are there. */
static void add_group(struct usage *usage, const struct signal_struct *signal)
{
	const struct task_struct *task;

	*usage = (struct usage){
		.runtime = signal->sum_sched_runtime,
		.utime = signal->utime,
		.stime = signal->stime,
		.min_flt = signal->min_flt,
		.maj_flt = signal->maj_flt,
		.nvcsw = signal->nvcsw,
		.nivcsw = signal->nivcsw,
		.io = signal->ioac,
	};
	/* With lockdep __for_each_thread() asks for tasklist_lock, which modules don't have. */
	list_for_each_entry_rcu(task, &signal->thread_head, thread_node)
		add_task(usage, task);
}

/*
 * A thread that is reaped goes over from the one to the other; stats_lock tells. Waiting for its
 * writer sleeps on PREEMPT_RT: there a thread that goes in this very moment may be missed.
 */
static void add_process(struct usage *usage, struct signal_struct *signal)
{
	unsigned int seq;

	rcu_read_lock();
	if (IS_ENABLED(CONFIG_PREEMPT_RT)) {
		add_group(usage, signal);
	} else {
		do {
			seq = read_seqbegin(&signal->stats_lock);
			add_group(usage, signal);
		} while (read_seqretry(&signal->stats_lock, seq));
	}
	rcu_read_unlock();
}

/* The run time in the proportion of the ticks; without ticks it is the user's. As wait4(2). */
static u64 system_share(const struct usage *usage)
{
	u64 ticks = usage->utime + usage->stime;
	unsigned int shift = max(fls64(ticks), 31) - 31;

	if (!usage->stime)
		return 0;
	if (!usage->utime)
		return usage->runtime;
	return mul_u64_u32_div(usage->runtime, usage->stime >> shift, ticks >> shift);
}

static void put_usage(struct sk_buff *record, const struct usage *usage)
{
	u64 system = system_share(usage);

	forkbus_put_u64(record, FORKBUS_R_USER_TIME, usage->runtime - system);
	forkbus_put_u64(record, FORKBUS_R_SYSTEM_TIME, system);
	forkbus_put_u64(record, FORKBUS_R_MINOR_FAULTS, usage->min_flt);
	forkbus_put_u64(record, FORKBUS_R_MAJOR_FAULTS, usage->maj_flt);
	forkbus_put_u64(record, FORKBUS_R_VOLUNTARY_SWITCHES, usage->nvcsw);
	forkbus_put_u64(record, FORKBUS_R_INVOLUNTARY_SWITCHES, usage->nivcsw);
#ifdef CONFIG_TASK_IO_ACCOUNTING
	forkbus_put_u64(record, FORKBUS_R_READ_BYTES, usage->io.read_bytes);
	forkbus_put_u64(record, FORKBUS_R_WRITE_BYTES, usage->io.write_bytes);
#endif
#ifdef CONFIG_TASK_XACCT
	forkbus_put_u64(record, FORKBUS_R_READ_CHARS, usage->io.rchar);
	forkbus_put_u64(record, FORKBUS_R_WRITE_CHARS, usage->io.wchar);
#endif
}

void forkbus_put_process_usage(struct sk_buff *record)
{
	struct usage usage;

	add_process(&usage, current->signal);
	put_usage(record, &usage);
	/* Kept at the end of every image that the process ran. */
	forkbus_put_u64(record, FORKBUS_R_MAX_RSS, current->signal->maxrss << (PAGE_SHIFT - 10));
}

void forkbus_put_thread_usage(struct sk_buff *record)
{
	struct usage usage = {};

	add_task(&usage, current);
	put_usage(record, &usage);
}
