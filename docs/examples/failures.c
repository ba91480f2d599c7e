// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which programs fail, as they do, and by which status or signal? Goes on when the broker is restarted, until it is ended.
 * cc failures.c $(pkg-config --cflags --libs libforkbus)
 */
#include <forkbus.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A field that is unknown is absent: the name of a process that nobody could look up in time. */
static void show(const struct forkbus_event *event)
{
	const char *comm = "?";
	uint64_t pid, status;

	if (forkbus_event_get_uint(event, FORKBUS_FIELD_PID, &pid) < 0)
		return;
	(void)forkbus_event_get_text(event, FORKBUS_FIELD_COMM, &comm, NULL);
	if (forkbus_event_get_uint(event, FORKBUS_FIELD_CODE, &status) == 0)
		printf("%" PRIu64 " %s: status %" PRIu64 "\n", pid, comm, status);
	else if (forkbus_event_get_uint(event, FORKBUS_FIELD_SIGNAL, &status) == 0)
		printf("%" PRIu64 " %s: signal %" PRIu64 "\n", pid, comm, status);
}

int main(int argc, char **argv)
{
	const struct forkbus_event *event;
	struct forkbus *client;
	int r;

	r = forkbus_new(&client, argc > 1 ? argv[1] : NULL, 0);
	if (r >= 0)
		r = forkbus_set_exits(client, FORKBUS_EXITS_FAILURE);
	if (r >= 0)
		r = forkbus_start(client);
	while (r >= 0) {
		r = forkbus_process(client, &event);
		if (r == FORKBUS_NOTHING)
			r = forkbus_wait(client, FORKBUS_FOREVER);
		else if (r == FORKBUS_EVENT && forkbus_event_get_type(event) == FORKBUS_TYPE_EXIT)
			show(event);
		fflush(stdout);
	}
	fprintf(stderr, "forkbus: %s\n", strerror(-r));
	return 1;
}
