// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int connector_queue_init(struct connector_queue *queue)
{
	queue->messages = calloc(QUEUE_MAX, sizeof(*queue->messages));
	return queue->messages ? 0 : -ENOMEM;
}

void connector_queue_done(struct connector_queue *queue)
{
	free(queue->messages);
	queue->messages = NULL;
}

struct connector_message *connector_queue_push(struct connector_queue *queue)
{
	struct connector_message *message = &queue->messages[queue->head++ % QUEUE_MAX];

	memset(message, 0, sizeof(*message));
	return message;
}

struct connector_message *connector_queue_peek(const struct connector_queue *queue, uint64_t n)
{
	return n < queue->head - queue->tail ? &queue->messages[(queue->tail + n) % QUEUE_MAX] : NULL;
}
