/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The configuration: the defaults, then forkbusd.conf, then the command line. One struct without pointers, so that a reload
 * can be tried on a copy.
 *
 * The file is INI: [Section], Key=value, comments from # or ; at the beginning of a line, or from a ; after
 * white space. Time spans have the units us ms s min h d w, and are in seconds without a unit; sizes have K, M, G, T (powers
 * of 1024), and are in bytes without one.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CONFIG_FILE "/etc/forkbus/forkbusd.conf"

/* So that the longest socket in it fits into a struct sockaddr_un. */
#define CONFIG_DIRECTORY_MAX 90
#define CONFIG_GROUP_MAX     64
#define CONFIG_PATH_MAX	     4096

enum config_bus { CONFIG_BUS_SYSTEM, CONFIG_BUS_USER, CONFIG_BUS_NONE };

enum config_source {
	CONFIG_SOURCE_AUTO,
	CONFIG_SOURCE_CONNECTOR,
	CONFIG_SOURCE_MODULE,
	CONFIG_SOURCE_REPLAY
};

struct config {
	/*
	 * [Broker]
	 * RuntimeDirectory=/run/forkbus   where the sockets and the log are
	 * LogLevel=info                   err, warning, notice, info, debug
	 * Bus=system                      the message bus: system, user (the session bus), none
	 * HeartbeatSec=15s                a subscriber that gets nothing else gets a heartbeat this often;
	 * 100ms to 1h
	 */
	char runtime_directory[CONFIG_DIRECTORY_MAX + 1];
	int log_level;
	uint64_t heartbeat_usec;
	enum config_bus bus;

	/*
	 * [Source]
	 * Source=auto             where events come from: auto (the best available), connector (part of
	 * every kernel), module (the forkbus kernel module), or replay:FILE[@SPEED]: a file of JSON
	 * lines, as fast as it was recorded, SPEED times as fast, or as fast as can be (flat)
	 * CoalesceSec=5ms         under load, wake up, and send to many, no more often than this; 0 to 1s. A quiet machine's
	 * events never wait
	 * SocketBuffer=16M        what the kernel may hold for the broker on each socket; 64K to 1G
	 * Arguments=0             bytes of a program's arguments in exec events, where the kernel module is the source; 0 to
	 * 4K. A password that is passed as an argument is shown to all that may see the process
	 * Armed=                  types that are reported even if nobody who sees all asks for them: chroot, coredump,
	 * ptrace, threads
	 */
	enum config_source source;
	char replay_file[CONFIG_PATH_MAX];
	double replay_speed; /* 0: flat */
	uint64_t coalesce_usec;
	uint64_t socket_buffer;
	uint64_t arguments;
	uint32_t armed; /* of HUB_ARMED_EXTRA */

	/*
	 * [Log]
	 * Size=64M                the file that holds the latest events, in memory; 512K to 64G
	 */
	uint64_t log_size;

	/*
	 * [Access]
	 * Group=forkbus           its members see all processes, others their own; a name or a number, empty
	 * for none
	 */
	char group[CONFIG_GROUP_MAX + 1];

	/*
	 * [Limits]
	 * Connections=4096        on all faces together; 1 to 1000000
	 * ConnectionsPerUser=512  of one user but root; 1 to 1000000
	 * SubordinateUids=/etc/subuid  ranges of uids that count with their owner, as in subuid(5); empty for none
	 * RequestSize=64K         longest request; 1K to 16M
	 * RequestTimeoutSec=10s   time to send it; 100ms to 10min
	 * EncodingCache=8M        encoded events that are kept for several subscribers; 1M to 1G
	 */
	uint64_t connections, connections_per_user;
	char subuid[CONFIG_PATH_MAX];
	uint64_t request_size;
	uint64_t request_timeout_usec;
	uint64_t encoding_cache;
};

enum {
	_CONFIG_E_SUCCESS,
	CONFIG_E_INVALID, /* not what is expected */
	CONFIG_E_UNKNOWN, /* there is no such option */
};

/* config_init() - the defaults */
void config_init(struct config *config);

/*
 * config_load() - set the options of a file
 * @must_exist: if false, a missing file is not an error
 * Return: 0; CONFIG_E_INVALID, or a negative errno, after logging what is wrong, where, and what is expected: @config is
 * unchanged then.
 */
int config_load(struct config *config, const char *path, bool must_exist);

/*
 * config_reload() - take those options of @loaded that can change while the broker runs; the others keep their values
 * Parts of the broker keep pointers to these.
 */
void config_reload(struct config *config, const struct config *loaded);

/*
 * config_set() - set one option, as a line of the file would
 * @expected: set to a description of valid values, for people, on failure
 * Return: 0, CONFIG_E_INVALID, CONFIG_E_UNKNOWN; on failure @config is unchanged.
 */
int config_set(struct config *config, const char *section, const char *key, const char *value,
	       const char **expected);

/* config_parse_source() - the value of Source= and --source=. Return: 0 or CONFIG_E_INVALID. */
int config_parse_source(struct config *config, const char *value);

/*
 * config_group() - the group whose members see all processes
 * @gid: set to it, or to (gid_t)-1 if none is configured, or it does not exist
 * Return: 0; CONFIG_E_INVALID where this machine has no group of that name; or a negative errno.
 */
int config_group(const struct config *config, gid_t *gid);
