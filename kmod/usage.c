// SPDX-License-Identifier: GPL-2.0-only
/*
 * The usage of a process up to now.
 *
 * The scheduler updates a task's run time (sum_exec_runtime) when its clock ticks and when the task
 * leaves the processor. A process that lives for less than a tick has none at its end, or only the
 * time until its first sleeps: this is what taskstats and accounting files contain. So the time
 * since the last update is added here. exec_start is the time of that update, on the scheduler's
 * own clock, clock_task. This clock is that of the processor (local_clock()) without the time of
 * interrupts and of the hypervisor, if the kernel is built to distinguish these. The kernel has no
 * function that returns how far clock_task lags behind, but it can be calculated:
 *
 *   When a task was switched in, both clocks were read at the same time: last_arrival is
 *   local_clock(); clock_task is exec_start minus the run time since (sum_exec_runtime -
 *   prev_sum_exec_runtime). Their difference is the lag at that time, or less if the scheduler has
 *   reset prev_sum_exec_runtime meanwhile. The lag never decreases. So the largest difference seen
 *   on a processor is the best estimate.
 *
 *   Scheduling classes other than the fair one do not maintain prev_sum_exec_runtime. Then the run
 *   time is mostly longer than the time that has passed, and the difference is not used. No update
 *   can be in the future: the lag is at most local_clock() - exec_start, which corrects a lag that
 *   is too long. No update was before the task was switched in, which limits the error of a lag
 *   that is too short, because no fair task has ended on the processor yet.
 *
 * Known differences: the time between the record and the moment when the process leaves the
 * processor is missing. If a thread on another processor is updated at this moment, up to a tick of
 * it may be missing. For a realtime task, or under sched_ext, a wrong lag hides up to a tick, or
 * adds the interrupts since boot, but no more than the time since the task was switched in. On
 * processors without a tick (nohz_full) the last part of the system time may count as user time;
 * the sum is right.
 */
#include "forkbus.h"

#include <linux/math64.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/task_io_accounting_ops.h>

struct usage {
	u64 runtime, utime, stime;
	u64 min_flt, maj_flt, nvcsw, nivcsw;
	struct task_io_accounting io;
};

static DEFINE_PER_CPU(u64, clock_lag);

/* A thread that was updated longer ago than this is not running. */
#define UPDATE_MAX_NSEC (2 * TICK_NSEC)
/* How often to read the sums again while a writer, which may be interrupted, changes them. */
#define READINGS 100

static void see_lag(u64 now, u64 start, u64 sum)
{
	u64 *lag = this_cpu_ptr(&clock_lag);
	u64 ran = sum - current->se.prev_sum_exec_runtime, since = current->sched_info.last_arrival;

	if (ran <= now - since && (s64)(since + ran - start) > (s64)*lag)
		*lag = since + ran - start;
	*lag = min(*lag, now - start);
}

/* Start and sum are of one update: an interrupt, or the task's own processor, may change them. */
static u64 task_runtime(const struct task_struct *task)
{
	const struct sched_entity *se = &task->se;
	u64 start, sum, now;
	s64 since;

	do {
		start = READ_ONCE(se->exec_start);
		sum = READ_ONCE(se->sum_exec_runtime);
		now = local_clock();
		barrier();
	} while (READ_ONCE(se->exec_start) != start);
	/* The time that the scheduler has read may be slightly ahead. */
	if (task == current && (s64)(now - start) > 0)
		see_lag(now, start, sum);
	since = now - per_cpu(clock_lag, task_cpu(task)) - start;
	if (task == current)
		since = min_t(s64, since, now - task->sched_info.last_arrival);
	else if (!READ_ONCE(task->on_cpu) || since > UPDATE_MAX_NSEC)
		since = 0;
	return sum + max(since, 0LL);
}

/* Tasks and signal_struct use the same names. */
#define ADD_COUNTS(from)                                          \
	do {                                                      \
		typeof(from) _from = (from);                      \
		usage->utime += _from->utime;                     \
		usage->stime += _from->stime;                     \
		usage->min_flt += _from->min_flt;                 \
		usage->maj_flt += _from->maj_flt;                 \
		usage->nvcsw += _from->nvcsw;                     \
		usage->nivcsw += _from->nivcsw;                   \
		task_io_accounting_add(&usage->io, &_from->ioac); \
	} while (0)

static void add_task(struct usage *usage, struct task_struct *task)
{
	usage->runtime += task_runtime(task);
	ADD_COUNTS(task);
}

/*
 * Threads that have ended, then threads that exist. The kernel adds the I/O of reaped children to
 * that of the threads that have ended, but counts their blocks of 512 bytes separately.
 */
static void add_group(struct usage *usage, struct signal_struct *signal)
{
	struct task_struct *task;

	*usage = (struct usage){ .runtime = signal->sum_sched_runtime };
	ADD_COUNTS(signal);
	usage->io.read_bytes = (u64)signal->inblock << 9;
	usage->io.write_bytes = (u64)signal->oublock << 9;
	/* With lockdep __for_each_thread() checks tasklist_lock, which modules cannot use. */
	list_for_each_entry_rcu(task, &signal->thread_head, thread_node)
		add_task(usage, task);
}

/*
 * The usage of a thread that is reaped moves to the sums of signal_struct; stats_lock shows this.
 * The lock itself is not taken, because it sleeps on PREEMPT_RT. Returns whether no thread was
 * counted twice.
 */
static bool add_process(struct usage *usage, struct signal_struct *signal)
{
	const seqcount_t *count = &signal->stats_lock.seqcount.seqcount;
	unsigned int seq, tries = 0;

	rcu_read_lock();
	do {
		seq = raw_read_seqcount(count);
		add_group(usage, signal);
	} while ((seq & 1 || read_seqcount_retry(count, seq)) && ++tries < READINGS);
	rcu_read_unlock();
	return tries < READINGS;
}

/* Divides the run time by the ticks, like wait4(2); without ticks it is user time. */
static void put_usage(struct sk_buff *record, const struct usage *usage, bool chars)
{
	u64 ticks = usage->utime + usage->stime, system = 0;

	if (ticks)
		system = mul_u64_u64_div_u64(usage->runtime, usage->stime, ticks);
	forkbus_put_u64(record, FORKBUS_R_USER_TIME, usage->runtime - system);
	forkbus_put_u64(record, FORKBUS_R_SYSTEM_TIME, system);
	forkbus_put_u64(record, FORKBUS_R_MINOR_FAULTS, usage->min_flt);
	forkbus_put_u64(record, FORKBUS_R_MAJOR_FAULTS, usage->maj_flt);
	forkbus_put_u64(record, FORKBUS_R_VOLUNTARY_SWITCHES, usage->nvcsw);
	forkbus_put_u64(record, FORKBUS_R_INVOLUNTARY_SWITCHES, usage->nivcsw);
	forkbus_put_u64(record, FORKBUS_R_READ_BYTES, usage->io.read_bytes);
	forkbus_put_u64(record, FORKBUS_R_WRITE_BYTES, usage->io.write_bytes);
	if (!chars)
		return;
	forkbus_put_u64(record, FORKBUS_R_READ_CHARS, usage->io.rchar);
	forkbus_put_u64(record, FORKBUS_R_WRITE_CHARS, usage->io.wchar);
}

/*
 * After a child was reaped, the kernel has only the sum of the characters. The memory of a small
 * child may count as 0, since pages are counted on each processor, and added up in batches. But the
 * child had page faults, or used processor time.
 */
static bool has_reaped(const struct signal_struct *signal)
{
	return signal->cmaxrss || signal->cmin_flt || signal->cutime || signal->cstime;
}

void forkbus_put_process_usage(struct sk_buff *record)
{
	struct signal_struct *signal = current->signal;
	struct usage usage;

	if (add_process(&usage, signal))
		put_usage(record, &usage, !has_reaped(signal));
	/* Updated at the end of every image that the process ran. */
	forkbus_put_u64(record, FORKBUS_R_MAX_RSS, signal->maxrss << (PAGE_SHIFT - 10));
}

void forkbus_put_thread_usage(struct sk_buff *record)
{
	struct usage usage = {};

	add_task(&usage, current);
	put_usage(record, &usage, true);
}
