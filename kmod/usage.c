// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process used, as of now.
 *
 * The scheduler adds to a task's run time (sum_exec_runtime) when its clock ticks and when the task
 * leaves the processor. A process that lives for less than a tick has none at its end, or that of
 * its first sleeps: which is what taskstats and accounting files say. So what ran since the last
 * update is added here. When that update was is in exec_start, on the scheduler's own clock,
 * clock_task: that of the processor (local_clock()) without the time that interrupts and the
 * hypervisor took, where the kernel is built to keep them apart. How far the one lags behind the
 * other can't be asked for, but be seen:
 *
 *   When a task was switched in, both clocks were read at once: last_arrival is the one, the other
 *   is exec_start less what ran since (sum_exec_runtime - prev_sum_exec_runtime). Their difference
 *   is the lag then, or less where the scheduler began anew with prev_sum_exec_runtime meanwhile,
 *   and the lag never shrinks. So the largest difference seen on a processor is the best.
 *
 *   Scheduling classes other than the fair one do not keep prev_sum_exec_runtime. Then more seems to
 *   have run than there was time for, mostly, and the difference is not used. No update lies in the
 *   future: the lag is at most local_clock() - exec_start, which brings a wrong lag back.
 *
 * What remains: ending itself takes some time after the record was made, until the processor is
 * given away. Of a thread on another processor that is updated just now, up to a tick may be
 * missing. Under sched_ext a wrong lag hides up to a tick. On processors without a tick (nohz_full)
 * the last part of the system's time may count as the user's; the sum is right.
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

/* A running thread differs from one that left its processor long ago by no more than this. */
#define UPDATE_MAX_NSEC (2 * TICK_NSEC)
/* A writer of the sums that is interrupted for longer than so many readings is not waited for. */
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
	/* The scheduler's reading of the clock may be a moment ahead. */
	if (task == current && (s64)(now - start) > 0)
		see_lag(now, start, sum);
	since = now - per_cpu(clock_lag, task_cpu(task)) - start;
	if (task != current && (!READ_ONCE(task->on_cpu) || since > UPDATE_MAX_NSEC))
		return sum;
	return sum + max(since, 0LL);
}

/* Tasks and signal_struct name them alike. */
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
 * Threads that are gone, then those that are there. The kernel adds what reaped children read and
 * wrote to that of the threads that are gone, but keeps their blocks of 512 bytes apart.
 */
static void add_group(struct usage *usage, struct signal_struct *signal)
{
	struct task_struct *task;

	*usage = (struct usage){ .runtime = signal->sum_sched_runtime };
	ADD_COUNTS(signal);
	usage->io.read_bytes = (u64)signal->inblock << 9;
	usage->io.write_bytes = (u64)signal->oublock << 9;
	/* With lockdep __for_each_thread() asks for tasklist_lock, which modules don't have. */
	list_for_each_entry_rcu(task, &signal->thread_head, thread_node)
		add_task(usage, task);
}

/*
 * A thread that is reaped goes over from the one to the other; stats_lock shows it. Its writer is
 * not waited for by the lock, which sleeps on PREEMPT_RT. Returns whether no thread counts twice.
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

/* The run time in the proportion of the ticks; without ticks it is the user's. As wait4(2). */
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

void forkbus_put_process_usage(struct sk_buff *record)
{
	struct signal_struct *signal = current->signal;
	struct usage usage;

	/* Only the sum of characters is there once a child was reaped, which had some memory. */
	if (add_process(&usage, signal))
		put_usage(record, &usage, !signal->cmaxrss);
	/* Kept at the end of every image that the process ran. */
	forkbus_put_u64(record, FORKBUS_R_MAX_RSS, signal->maxrss << (PAGE_SHIFT - 10));
}

void forkbus_put_thread_usage(struct sk_buff *record)
{
	struct usage usage = {};

	add_task(&usage, current);
	put_usage(record, &usage, true);
}
