// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

#define FORKS_MAX 4096

struct connector_cpu {
	bool counting;
	uint32_t next;
	uint64_t last_nsec;
};

int connector_queue_init(struct connector_queue *queue)
{
	*queue = (struct connector_queue){
		.messages = calloc(QUEUE_MAX, sizeof(*queue->messages)),
		.cpus = calloc(QUEUE_CPUS_MAX, sizeof(*queue->cpus)),
		.forks = calloc(FORKS_MAX, sizeof(*queue->forks)),
	};
	return queue->messages && queue->cpus && queue->forks ? 0 : -ENOMEM;
}

void connector_queue_done(struct connector_queue *queue)
{
	free(queue->messages);
	free(queue->cpus);
	free(queue->forks);
	*queue = (struct connector_queue){};
}

/* Sequence numbers count each CPU's messages, so a gap is exactly the number of dropped messages. */
static void count_gap(struct connector_queue *queue, struct connector_message *message)
{
	const struct cn_event *cn = &message->cn;
	struct connector_cpu *cpu;
	uint32_t gap;

	message->gap = 0;
	if (cn->cpu >= QUEUE_CPUS_MAX)
		return;
	cpu = &queue->cpus[cn->cpu];
	gap = cn->seq - cpu->next;
	if (cpu->counting && gap < UINT32_MAX / 2) {
		message->gap = gap;
		message->gap_nsec = cpu->last_nsec;
	}
	cpu->counting = true;
	cpu->next = cn->seq + 1;
	cpu->last_nsec = cn->nsec;
}

static bool is_fork(const struct cn_event *cn)
{
	return cn->what == PROC_EVENT_FORK && cn->tid == cn->tgid;
}

struct connector_message *connector_queue_push(struct connector_queue *queue, const struct cn_event *cn)
{
	struct connector_message *message = &queue->messages[queue->head++ % QUEUE_MAX];

	if (is_fork(cn))
		queue->forks[cn->tgid % FORKS_MAX]++;
	message->cn = *cn;
	count_gap(queue, message);
	message->overrun_nsec = 0;
	message->read_nsec = monotonic_nsec();
	message->question = NULL;
	return message;
}

struct connector_message *connector_queue_peek(const struct connector_queue *queue, uint64_t n)
{
	return n < queue->head - queue->tail ? &queue->messages[(queue->tail + n) % QUEUE_MAX] : NULL;
}

void connector_queue_drop(struct connector_queue *queue)
{
	const struct cn_event *cn = &queue->messages[queue->tail++ % QUEUE_MAX].cn;

	if (is_fork(cn))
		queue->forks[cn->tgid % FORKS_MAX]--;
}

bool connector_queue_may_fork(const struct connector_queue *queue, uint32_t pid)
{
	return queue->forks[pid % FORKS_MAX] > 0;
}

static uint64_t drops_report(struct connector_drops *drops, uint64_t found)
{
	uint64_t count = found > drops->reported ? found - drops->reported : 0;

	drops->reported += count;
	return count;
}

uint64_t connector_drops_take(struct connector_drops *drops)
{
	return drops_report(drops, drops->by_gaps > drops->by_socket ? drops->by_gaps : drops->by_socket);
}

uint64_t connector_drops_take_gaps(struct connector_drops *drops)
{
	return drops_report(drops, drops->by_gaps);
}

void connector_drops_begin(struct connector_drops *drops, uint64_t nsec)
{
	if (!drops->first_nsec)
		drops->first_nsec = nsec;
	drops->last_nsec = nsec;
}

uint64_t connector_drops_pass(struct connector_drops *drops, uint64_t nsec)
{
	uint64_t passed = nsec < drops->last_nsec ? drops->first_nsec : drops->last_nsec;

	if (!drops->first_nsec || nsec < drops->first_nsec)
		return 0;
	/* What came between two overruns may be about what the first one lost: all of it comes after that. */
	if (passed == drops->last_nsec)
		drops->first_nsec = drops->last_nsec = 0;
	return passed;
}

void connector_drops_place(struct connector_drops *drops, uint64_t nsec, uint64_t at)
{
	if (!drops->pending)
		drops->at = at;
	drops->pending = true;
	if (nsec > drops->lost_nsec)
		drops->lost_nsec = nsec;
}
