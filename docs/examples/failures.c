// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which programs fail, as they do? Goes on when the broker is restarted, until it is ended.
 * cc failures.c $(pkg-config --cflags --libs libforkbus)
 */
#include <forkbus.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	const struct forkbus_event *event;
	const char *comm;
	struct forkbus *client;
	uint64_t pid, code;
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
		else if (r == FORKBUS_EVENT && forkbus_event_get_type(event) == FORKBUS_TYPE_EXIT &&
			 forkbus_event_get_uint(event, FORKBUS_FIELD_PID, &pid) == 0 &&
			 forkbus_event_get_uint(event, FORKBUS_FIELD_CODE, &code) == 0 &&
			 forkbus_event_get_text(event, FORKBUS_FIELD_COMM, &comm, NULL) == 0)
			printf("%" PRIu64 " %s: %" PRIu64 "\n", pid, comm, code);
		fflush(stdout);
	}
	fprintf(stderr, "forkbus: %s\n", strerror(-r));
	return 1;
}
