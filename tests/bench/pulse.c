// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * pulse RATE MSEC - start RATE processes a second, for MSEC, that end at once: evenly, each as cheap as possible (vfork(2))
 *
 * Prints one JSON line, {"processes":…,"usec":…}: if the machine is too slow, there are fewer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/lib/pace.h"
#include "tests/bench/lib/wire.h"

static void start_one(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		die("vfork");
}

int main(int argc, char *argv[])
{
	uint64_t rate = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
	uint64_t msec = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t began = now_usec(), until = began + msec * 1000, n = 0, now;

	if (rate == 0 || msec == 0) {
		fprintf(stderr, "usage: pulse RATE MSEC\n");
		return 2;
	}
	(void)prctl(PR_SET_TIMERSLACK, 1000);
	while ((now = now_usec()) < until) {
		uint64_t due = began + n * 1000000 / rate;

		if (now < due) {
			usleep((useconds_t)(due - now));
			continue;
		}
		start_one();
		n++;
	}
	printf("{\"processes\":%llu,\"usec\":%llu}\n", (unsigned long long)n,
	       (unsigned long long)(now - began));
	return 0;
}
