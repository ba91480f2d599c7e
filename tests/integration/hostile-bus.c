// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hostile-bus ADDRESS CONNECTIONS - the same as hostile.c on a message bus, until standard input ends
 *
 * Connections take turns in what they do: subscriptions with star patterns, the whole log again and again, trees, calls ahead
 * whose answers are not read, and subscribing and leaving. None reads its signals. Prints a line when each was done, and at
 * the end how often each was done.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define STARS	    16
#define NAME_LENGTH 250
#define CALLS	    16
#define STAYS	    8 /* subscriptions of one connection that stay */
#define PAUSE_MSEC  2
#define LATE_ROUNDS 30000 /* at least a minute */

enum kind { PATTERNS, WHOLE_LOG, TREES, CALLS_AHEAD, STORM, N_KINDS };

static const char *const kind_names[N_KINDS] = { "busPatterns", "busWholeLog", "busTrees", "busCallsAhead",
						 "busStorm" };

struct attack {
	sd_bus *bus;
	enum kind kind;
};

static const char *address;
static unsigned long done[N_KINDS];

static void leave(struct attack *attack)
{
	sd_bus_close(attack->bus);
	attack->bus = sd_bus_unref(attack->bus);
}

static void join(struct attack *attack)
{
	if (sd_bus_new(&attack->bus) < 0 || sd_bus_set_address(attack->bus, address) < 0 ||
	    sd_bus_set_bus_client(attack->bus, true) < 0 || sd_bus_start(attack->bus) < 0)
		attack->bus = sd_bus_unref(attack->bus);
}

static void append_text(sd_bus_message *call, const char *key, const char *text)
{
	(void)sd_bus_message_append(call, "{sv}", key, "s", text);
}

/* Patterns that no path ends early, all different. */
static void append_patterns(sd_bus_message *call)
{
	char pattern[NAME_LENGTH + sizeof("**Z")];

	(void)sd_bus_message_append(call, "{sv}", "types", "as", 2, "exec", "exit");
	(void)sd_bus_message_open_container(call, 'e', "sv");
	(void)sd_bus_message_append(call, "s", "exe");
	(void)sd_bus_message_open_container(call, 'v', "as");
	(void)sd_bus_message_open_container(call, 'a', "s");
	for (int i = 0; i < STARS; i++) {
		pattern[0] = '*';
		for (int j = 1; j <= NAME_LENGTH; j++)
			pattern[j] = rand() % 2 ? 'a' : '?';
		strcpy(pattern + 1 + NAME_LENGTH, "*Z");
		(void)sd_bus_message_append(call, "s", pattern);
	}
	for (int i = 0; i < 3; i++)
		(void)sd_bus_message_close_container(call);
}

static void append_filter(sd_bus_message *call, enum kind kind)
{
	switch (kind) {
	case PATTERNS:
		append_patterns(call);
		break;
	case WHOLE_LOG:
		/* Nothing matches: all of the log is searched. */
		append_text(call, "since", "-1d");
		(void)sd_bus_message_append(call, "{sv}", "minElapsedUsec", "t",
					    UINT64_C(2000000000) + (uint64_t)rand() % 1000);
		break;
	case TREES:
		append_text(call, "since", "-1d");
		(void)sd_bus_message_append(call, "{sv}", "tree", "u", (uint32_t)getpid());
		break;
	case CALLS_AHEAD:
	case STORM:
	case N_KINDS:
		break;
	}
}

static void ask(struct attack *attack, const char *method)
{
	sd_bus_message *call = NULL;

	if (sd_bus_message_new_method_call(attack->bus, &call, "org.forkbus1", "/org/forkbus1",
					   "org.forkbus1.Manager", method) >= 0 &&
	    sd_bus_message_open_container(call, 'a', "{sv}") >= 0) {
		append_filter(call, attack->kind);
		if (sd_bus_message_close_container(call) >= 0 && sd_bus_send(attack->bus, call, NULL) >= 0)
			done[attack->kind]++;
	}
	sd_bus_message_unref(call);
}

/* What the connection needs, and a few of its answers and signals. */
static void process(struct attack *attack)
{
	for (int i = 0; i < 4 && attack->bus; i++) {
		int r = sd_bus_process(attack->bus, NULL);

		if (r < 0)
			leave(attack);
		if (r <= 0)
			break;
	}
}

static void go_on(struct attack *attack, unsigned int round)
{
	if (!attack->bus)
		join(attack);
	if (!attack->bus)
		return;
	process(attack);
	if (!attack->bus || sd_bus_is_ready(attack->bus) <= 0)
		return;
	if (attack->kind == CALLS_AHEAD)
		for (int i = 0; i < CALLS; i++)
			ask(attack, "ListProcesses");
	else if (attack->kind == STORM || attack->kind == WHOLE_LOG || round % 32 < STAYS)
		ask(attack, "Subscribe");
	(void)sd_bus_flush(attack->bus);
	/* They come again. */
	if (attack->kind == STORM || round % 32 == 31)
		leave(attack);
}

static bool each_was_done(void)
{
	for (int i = 0; i < N_KINDS; i++)
		if (done[i] == 0)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	unsigned int n = argc == 3 ? (unsigned int)atoi(argv[2]) : 0;
	struct attack *attacks = calloc(n + 1, sizeof(*attacks));
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	bool begun = false;

	if (n == 0 || !attacks)
		return 2;
	address = argv[1];
	for (unsigned int i = 0; i < n; i++) {
		attacks[i].kind = (enum kind)(i % N_KINDS);
		join(&attacks[i]);
	}
	for (unsigned int round = 0; poll(&input, 1, PAUSE_MSEC) == 0; round++) {
		for (unsigned int i = 0; i < n; i++)
			go_on(&attacks[i], round + i);
		if (begun || (!each_was_done() && round < LATE_ROUNDS))
			continue;
		begun = true;
		puts("{\"ready\":true}");
		fflush(stdout);
	}
	for (int i = 0; i < N_KINDS; i++)
		printf("%s\"%s\":%lu", i ? "," : "{", kind_names[i], done[i]);
	puts("}");
	for (unsigned int i = 0; i < n; i++)
		if (attacks[i].bus)
			leave(&attacks[i]);
	free(attacks);
	return 0;
}
