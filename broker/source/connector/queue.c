// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

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
	};
	return queue->messages && queue->cpus ? 0 : -ENOMEM;
}

void connector_queue_done(struct connector_queue *queue)
{
	free(queue->messages);
	free(queue->cpus);
	*queue = (struct connector_queue){};
}

/* Sequence numbers count each CPU's messages, so a gap is exactly the number of dropped messages. */
static bool count_lost(struct connector_queue *queue, const struct cn_event *cn)
{
	struct connector_loss *loss = &queue->loss;
	struct connector_cpu *cpu;
	uint32_t gap;
	bool lost;

	if (cn->cpu >= QUEUE_CPUS_MAX)
		return false;
	cpu = &queue->cpus[cn->cpu];
	gap = cn->seq - cpu->next;
	lost = cpu->counting && gap > 0 && gap < UINT32_MAX / 2;
	if (lost) {
		if (!loss->count || cpu->last_nsec < loss->since_nsec)
			loss->since_nsec = cpu->last_nsec;
		if (!loss->count || cn->nsec > loss->until_nsec)
			loss->until_nsec = cn->nsec;
		loss->count += gap;
	}
	cpu->counting = true;
	cpu->next = cn->seq + 1;
	cpu->last_nsec = cn->nsec;
	return lost;
}

struct connector_message *connector_queue_push(struct connector_queue *queue, const struct cn_event *cn)
{
	struct connector_message *message = &queue->messages[queue->head++ % QUEUE_MAX];

	message->cn = *cn;
	message->gap = count_lost(queue, cn);
	message->overrun_nsec = 0;
	message->read_nsec = monotonic_nsec();
	message->question = NULL;
	return message;
}

struct connector_message *connector_queue_peek(const struct connector_queue *queue, uint64_t n)
{
	return n < queue->head - queue->tail ? &queue->messages[(queue->tail + n) % QUEUE_MAX] : NULL;
}

struct connector_loss connector_queue_take_loss(struct connector_queue *queue)
{
	struct connector_loss loss = queue->loss;

	queue->loss = (struct connector_loss){};
	return loss;
}

static uint64_t drops_found(const struct connector_drops *drops)
{
	return drops->by_gaps > drops->by_socket ? drops->by_gaps : drops->by_socket;
}

bool connector_drops_are_new(const struct connector_drops *drops)
{
	return drops_found(drops) > drops->reported;
}

uint64_t connector_drops_take(struct connector_drops *drops)
{
	uint64_t found = drops_found(drops);
	uint64_t count = found - drops->reported;

	drops->reported = found;
	return count;
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
