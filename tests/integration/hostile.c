// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hostile - one user who does what costs the broker most, with many connections, until standard input ends
 *
 *   hostile SOCKETS CONNECTIONS DIRECTORY    the directories are that of the broker, and an own one
 *
 * Connections take turns in what they do: star patterns, the whole log again and again, trees, pipelined calls that are not
 * read, descriptors, connecting and leaving. Meanwhile it runs programs whose paths are long. Prints a line when all have
 * connected, and at the end how often each was done.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX    9000
#define STARS	    16
#define CALLS	    64
#define DEPTH	    15
#define NAME_LENGTH 250

enum kind { PATTERNS, WHOLE_LOG, TREES, CALLS_AHEAD, DESCRIPTORS, STORM, N_KINDS };

static const char *const kind_names[N_KINDS] = { "patterns",   "wholeLog",    "trees",
						 "callsAhead", "descriptors", "storm" };

struct attack {
	int fd;
	enum kind kind;
};

static const char *directory;
static unsigned long done[N_KINDS];

static int connect_to(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", directory, name);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Patterns that no path ends early, all different. */
static size_t print_patterns(char *text)
{
	size_t at = (size_t)sprintf(text, "{\"types\":[\"exec\",\"exit\"],\"exe\":[");

	for (int i = 0; i < STARS; i++) {
		at += (size_t)sprintf(text + at, "%s\"*", i ? "," : "");
		for (int j = 0; j < NAME_LENGTH; j++)
			text[at++] = rand() % 2 ? 'a' : '?';
		at += (size_t)sprintf(text + at, "*Z\"");
	}
	return at + (size_t)sprintf(text + at, "]}\n");
}

static size_t print_calls(char *text)
{
	size_t at = 0;

	for (int i = 0; i < CALLS; i++)
		at += (size_t)sprintf(text + at, "{\"method\":\"org.forkbus1.%s\"}%c",
				      i % 2 ? "GetStatus" : "ListProcesses", '\0');
	return at;
}

static size_t print_request(char *text, enum kind kind)
{
	switch (kind) {
	case PATTERNS:
		return print_patterns(text);
	case WHOLE_LOG:
		/* Nothing matches: all of the log is searched. */
		return (size_t)sprintf(text, "{\"since\":\"-1d\",\"minElapsedUsec\":%d}\n",
				       2000000000 + rand() % 1000);
	case TREES:
		return (size_t)sprintf(text, "{\"since\":\"-1d\",\"tree\":%d}\n", getpid());
	case CALLS_AHEAD:
		return print_calls(text);
	case STORM:
	case DESCRIPTORS:
	case N_KINDS:
		break;
	}
	return (size_t)sprintf(text, "{}\n");
}

static ssize_t send_request(int fd, const char *text, size_t size, bool with_descriptor)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec part = { (char *)(uintptr_t)text, size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int passed = STDIN_FILENO;

	memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
	if (with_descriptor) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void begin(struct attack *attack)
{
	static char text[TEXT_MAX];

	if (attack->fd < 0)
		attack->fd = connect_to(attack->kind == CALLS_AHEAD ? "org.forkbus1" : "stream");
	if (attack->fd < 0)
		return;
	if (send_request(attack->fd, text, print_request(text, attack->kind), attack->kind == DESCRIPTORS) >
	    0)
		done[attack->kind]++;
}

static void end(struct attack *attack)
{
	if (attack->fd >= 0)
		close(attack->fd);
	attack->fd = -1;
}

/* Those that last stay; the others come again. */
static void go_on(struct attack *attack, unsigned int round)
{
	static char dropped[4096];

	switch (attack->kind) {
	case PATTERNS:
	case TREES:
		if (round % 64 == 63)
			end(attack);
		break;
	case CALLS_AHEAD:
		/* Reads little of what it asked for. */
		(void)!recv(attack->fd, dropped, sizeof(dropped), MSG_DONTWAIT);
		begin(attack);
		return;
	case WHOLE_LOG:
		if (round % 8 == 7)
			end(attack);
		break;
	case DESCRIPTORS:
	case STORM:
	case N_KINDS:
		end(attack);
	}
	if (attack->fd < 0)
		begin(attack);
}

/* Makes a directory with a long path, and a program there. */
static const char *make_program(void)
{
	static char path[100] = "./";
	char name[NAME_LENGTH + 1] = {}, copy[] = "cp /bin/true ttttttttttttttt";

	memset(name, 'a', NAME_LENGTH);
	for (int i = 0; i < DEPTH; i++)
		if (mkdir(name, 0755) < 0 || chdir(name) < 0)
			return "/bin/true";
	strcat(path, strrchr(copy, ' ') + 1);
	return system(copy) == 0 ? path : "/bin/true";
}

static void run_program(const char *path)
{
	char *const arguments[] = { (char *)(uintptr_t)path, NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execv(path, arguments);
		_exit(1);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	unsigned int n = argc == 4 ? (unsigned int)atoi(argv[2]) : 0, round;
	struct attack *attacks = calloc(n + 1, sizeof(*attacks));
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	const char *program;

	if (n == 0 || !attacks)
		return 2;
	directory = argv[1];
	if (chdir(argv[3]) < 0)
		return 2;
	program = make_program();
	for (unsigned int i = 0; i < n; i++) {
		attacks[i] = (struct attack){ -1, (enum kind)(i % N_KINDS) };
		begin(&attacks[i]);
	}
	puts("{\"ready\":true}");
	fflush(stdout);
	for (round = 0; poll(&input, 1, 0) == 0; round++) {
		for (unsigned int i = 0; i < n; i++)
			go_on(&attacks[i], round + i);
		for (int i = 0; i < 4; i++)
			run_program(program);
	}
	for (int i = 0; i < N_KINDS; i++)
		printf("%s\"%s\":%lu", i ? "," : "{", kind_names[i], done[i]);
	puts("}");
	free(attacks);
	return 0;
}
