/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * libforkbus: events of the processes of this machine, from forkbusd. Begin with libforkbus(3); forkbus_event(3) describes
 * the fields of an event.
 *
 * Errors    Functions that return int return a negative errno on failure. Out parameters are written on success only,
 *           unless said otherwise.
 * Waiting   Only forkbus_wait() and the calls with a timeout block.
 * Threads   A handle, and all that it returns, belongs to one thread at a time. Handles share nothing: no function here uses
 *           a signal, a global variable or exit(3).
 * Texts     Names and paths in Linux are bytes, not characters: a text has a length, and may not be valid UTF-8. A NUL
 *           follows it.
 * Times     are in microseconds. "usec" of an event counts from 1970, "boot" and "start" from the start of the machine
 *           (CLOCK_BOOTTIME).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct forkbus;	       /* a handle: a filter, and a subscription once it is started */
struct forkbus_event;  /* something that happened, or a living process */
struct forkbus_log;    /* a log that is read without its broker */
struct forkbus_list;   /* the living processes, as of one moment */
struct forkbus_status; /* the broker's status, as of one moment */

/* As a timeout: wait without a limit */
#define FORKBUS_FOREVER UINT64_MAX

/* The types of events. The numbers do not change. More may be added: a program should ignore types that it does not know. */
enum forkbus_type {
	FORKBUS_TYPE_FORK = 1,	  /* a process was created: pid is the child */
	FORKBUS_TYPE_EXEC = 2,	  /* it started to run another program */
	FORKBUS_TYPE_EXIT = 3,	  /* it ended, with all its threads */
	FORKBUS_TYPE_ID = 4,	  /* its user or group ids changed */
	FORKBUS_TYPE_COMM = 5,	  /* its name changed, other than by an exec */
	FORKBUS_TYPE_SESSION = 6, /* it became the leader of a new session */
	FORKBUS_TYPE_CHROOT = 7,  /* these three only on request, and not from every source */
	FORKBUS_TYPE_COREDUMP = 8,
	FORKBUS_TYPE_PTRACE = 9,
	FORKBUS_TYPE_SOURCE = 10,  /* the source of events changed. Sent whatever the filter is */
	FORKBUS_TYPE_LOST = 11,	   /* events are missing here. Sent whatever the filter is */
	FORKBUS_TYPE_PROCESS = 12, /* a living process, in a snapshot or a list */
	FORKBUS_TYPE_READY = 13	   /* the snapshot is over, if there was one; live events follow */
};

/*
 * The fields of events, with their kinds if they are not unsigned integers; forkbus_event(3) has more on them. The numbers
 * do not change. More may be added; there can be gaps between numbers, and all are below FORKBUS_FIELDS_END.
 */
#define FORKBUS_FIELDS_END 128

enum forkbus_field {
	/* begin generated: fields, from proto/event-fields.toml */
	/*
	 * position in the broker's log; gaps are events that your filter or your rights leave out
	 */
	FORKBUS_FIELD_SEQ = 1,
	/* when it happened, in microseconds since 1970 */
	FORKBUS_FIELD_TIME_USEC = 2,
	/* when it happened, in microseconds since boot, suspended time included */
	FORKBUS_FIELD_BOOT_USEC = 3,
	/* process id (of the thread group), in the initial pid namespace */
	FORKBUS_FIELD_PID = 4,
	/* thread id, in events of a thread that is not the leader */
	FORKBUS_FIELD_TID = 5,
	/*
	 * when the process started, in microseconds since boot; pid and startUsec together identify
	 * a process, since pids are reused. Of processes older than the broker it is exact to 10
	 * ms. Absent after a loss, if the event may be of another process with this pid
	 */
	FORKBUS_FIELD_START_USEC = 6,
	/* process id of the parent */
	FORKBUS_FIELD_PPID = 7,
	/* when the parent started, in microseconds since boot */
	FORKBUS_FIELD_PARENT_START_USEC = 8,
	/* real user id, as after the event */
	FORKBUS_FIELD_UID = 9,
	/* real group id, as after the event */
	FORKBUS_FIELD_GID = 10,
	/* effective user id, as after the event */
	FORKBUS_FIELD_EUID = 11,
	/* effective group id, as after the event */
	FORKBUS_FIELD_EGID = 12,
	/* user id of the login, as the audit subsystem has it; absent if there was none */
	FORKBUS_FIELD_LOGIN_UID = 13,
	/* POSIX session id */
	FORKBUS_FIELD_SESSION = 14,
	/*
	 * text: controlling terminal, relative to /dev; absent if there is none. With the proc
	 * connector it is absent, too, when it may have been hung up since it was read
	 */
	FORKBUS_FIELD_TTY = 15,
	/*
	 * text: name of the process; at most 15 bytes, of kernel threads 63. With the proc
	 * connector a fork has it only if it is certain which thread made the process
	 */
	FORKBUS_FIELD_COMM = 16,
	/*
	 * text: path of the cgroup in the v2 hierarchy, or in v1's name=systemd; a move to another
	 * cgroup causes no event, so with the proc connector exec and process have it, and a fork
	 * for which /proc was read
	 */
	FORKBUS_FIELD_CGROUP = 17,
	/* id of the cgroup: the inode number of its directory */
	FORKBUS_FIELD_CGROUP_ID = 18,
	/* text: systemd unit, taken from the path of the cgroup, and present where that is */
	FORKBUS_FIELD_UNIT = 19,
	/* process id in the pid namespace of the process, if that is not the initial one */
	FORKBUS_FIELD_NS_PID = 20,
	/* inode number of that namespace */
	FORKBUS_FIELD_PID_NS = 21,
	/* fork: flags of clone(2) */
	FORKBUS_FIELD_CLONE_FLAGS = 22,
	/* text: exec, exit, process: path of the file that runs, or ran last */
	FORKBUS_FIELD_EXE = 23,
	/* text: exec: path as it was passed to execve(2) */
	FORKBUS_FIELD_FILENAME = 24,
	/* bool: exec: filename was longer than 4,096 bytes; this is its beginning */
	FORKBUS_FIELD_FILENAME_CUT = 25,
	/* strings: exec: arguments, if the administrator enabled them */
	FORKBUS_FIELD_ARGS = 26,
	/* bool: exec: there are more arguments, or the rest could not be read */
	FORKBUS_FIELD_ARGS_CUT = 27,
	/* exit: exit code, 0 to 255; an exit has this or signal */
	FORKBUS_FIELD_CODE = 28,
	/* exit: number of the signal that ended the process */
	FORKBUS_FIELD_SIGNAL = 29,
	/* bool: exit: whether the signal dumped core */
	FORKBUS_FIELD_CORE_DUMPED = 30,
	/*
	 * exit: processor time in user mode, in microseconds; taskstats counts ticks of the kernel
	 * (1 to 10 ms), so it is 0 for most short-lived processes
	 */
	FORKBUS_FIELD_USER_USEC = 31,
	/*
	 * exit: processor time in the kernel, in microseconds, counted in the same way as userUsec
	 */
	FORKBUS_FIELD_SYSTEM_USEC = 32,
	/* exit: how long the process lived, in microseconds: bootUsec minus startUsec */
	FORKBUS_FIELD_ELAPSED_USEC = 33,
	/* exit: the most memory that was resident at a time, in KiB */
	FORKBUS_FIELD_MAX_RSS_KIB = 34,
	/* exit: page faults without reading from storage */
	FORKBUS_FIELD_MINOR_FAULTS = 35,
	/* exit: page faults with reading from storage */
	FORKBUS_FIELD_MAJOR_FAULTS = 36,
	/* exit: context switches because the process waited */
	FORKBUS_FIELD_VOLUNTARY_SWITCHES = 37,
	/* exit: context switches because the scheduler chose another task */
	FORKBUS_FIELD_INVOLUNTARY_SWITCHES = 38,
	/* exit: bytes read from storage */
	FORKBUS_FIELD_READ_BYTES = 39,
	/* exit: bytes written to storage */
	FORKBUS_FIELD_WRITE_BYTES = 40,
	/*
	 * exit: bytes read by read(2) and similar calls; taskstats rounds down to KiB, for each
	 * thread; absent with the module if the process waited for a child
	 */
	FORKBUS_FIELD_READ_CHARS = 41,
	/*
	 * exit: bytes written by write(2) and similar calls, rounded in the same way as readChars
	 */
	FORKBUS_FIELD_WRITE_CHARS = 42,
	/* id: real user id before the event */
	FORKBUS_FIELD_OLD_UID = 43,
	/* id: real group id before the event */
	FORKBUS_FIELD_OLD_GID = 44,
	/* id: effective user id before the event */
	FORKBUS_FIELD_OLD_EUID = 45,
	/* id: effective group id before the event */
	FORKBUS_FIELD_OLD_EGID = 46,
	/* text: chroot: path of the new root directory, as seen from the previous one */
	FORKBUS_FIELD_ROOT = 47,
	/* ptrace: process id of the tracer; 0: the process is no longer traced */
	FORKBUS_FIELD_TRACER_PID = 48,
	/* text: source: where events come from now: module, connector, replay, none */
	FORKBUS_FIELD_SOURCE = 49,
	/*
	 * text: source: types of events that are requested from the source from now on, separated
	 * by spaces (threads is one of them)
	 */
	FORKBUS_FIELD_ARMED = 50,
	/*
	 * text: lost, source: why; of a loss: kernel, netlink, unarmed or source if no subscriber
	 * has the events; slow, expired or epoch if only this one does not have them
	 */
	FORKBUS_FIELD_REASON = 51,
	/* text: lost, source: a sentence for people */
	FORKBUS_FIELD_DETAIL = 52,
	/* lost: how many events were lost; absent if unknown */
	FORKBUS_FIELD_COUNT = 53,
	/* lost: nothing is missing before this time, in microseconds since 1970 */
	FORKBUS_FIELD_SINCE_USEC = 54,
	/* lost: nothing is missing after this time, in microseconds since 1970 */
	FORKBUS_FIELD_UNTIL_USEC = 55,
	/*
	 * lost: first position in the log that this subscriber did not get, whatever its filter is
	 */
	FORKBUS_FIELD_FROM = 56,
	/* lost: last position in the log that this subscriber did not get */
	FORKBUS_FIELD_TO = 57,
	/*
	 * text: ready, heartbeat: all events up to here were sent; as since in a request it
	 * continues from here
	 */
	FORKBUS_FIELD_CURSOR = 58,
	/*
	 * process group id; setpgid(2) causes no event, so with the proc connector only exec and
	 * process have it
	 */
	FORKBUS_FIELD_PGID = 61,
	/*
	 * comm, id, chroot, ptrace: how many earlier events of this type and process are not in the
	 * log, since one user made too many: this is the newest of them
	 */
	FORKBUS_FIELD_FOLDED = 64
	/* end generated: fields */
};

enum forkbus_kind {
	FORKBUS_KIND_UINT = 1,
	FORKBUS_KIND_BOOL = 2,
	FORKBUS_KIND_TEXT = 3,
	FORKBUS_KIND_STRINGS = 4
};

/* --- a handle ----------------------------------------------------------------------------------------------------- */

/* Flags of forkbus_new() */
#define FORKBUS_RING	(UINT64_C(1) << 0) /* read the broker's log in shared memory, where possible */
#define FORKBUS_PATIENT (UINT64_C(1) << 1) /* if no broker runs at forkbus_start(), wait for one */

/*
 * forkbus_new() - create a handle without a filter, which gets all events that the caller may see
 * @ret: to be freed by forkbus_free()
 * @runtime_dir: the directory of the broker's sockets; NULL: /run/forkbus
 * @flags: of FORKBUS_RING, FORKBUS_PATIENT
 * Does not connect yet. Return: 0; -EINVAL for unknown flags, -ENAMETOOLONG, -ENOMEM, -EMFILE, -ENFILE.
 */
int forkbus_new(struct forkbus **ret, const char *runtime_dir, uint64_t flags);

/*
 * forkbus_free() - end the subscription, and free the handle and everything that belongs to it
 * After fork(2) this is the only call that the child may make with its parent's handle. NULL is fine. Return: NULL.
 */
struct forkbus *forkbus_free(struct forkbus *client);

/*
 * forkbus_get_error() - why the last call with this handle failed, as a sentence for people
 * Return: valid until the next call with this handle; NULL if there is nothing to add to the errno.
 */
const char *forkbus_get_error(const struct forkbus *client);

/* --- the filter --------------------------------------------------------------------------------------------------- */

/*
 * An event matches if, for every kind of value that is set, it matches at least one value. An event without the field in
 * question does not match. All return 0; -EBUSY once the handle is started, -EINVAL for an invalid value, -E2BIG beyond
 * 1,024 values of a kind, -ENOMEM.
 */

/*
 * forkbus_set_filter() - replace everything that was set and added before by a filter in JSON
 * @json: one JSON object in the grammar of the protocol: "{\"types\":[\"exit\"],\"uids\":[1000]}"; "{}": no filter
 * Later calls add to it. If it is refused, forkbus_get_error() returns "KEY: REASON", and the filter does not change.
 * Return: as above, but -EINVAL in place of -E2BIG.
 */
int forkbus_set_filter(struct forkbus *client, const char *json);

/* forkbus_add_type() - events of this type (none added: all). FORKBUS_TYPE_PROCESS and _READY cannot be added. */
int forkbus_add_type(struct forkbus *client, enum forkbus_type type);

/*
 * forkbus_add_pid() - events of this process
 * @start_usec: its FORKBUS_FIELD_START_USEC; 0: the process that has this pid when the subscription begins
 */
int forkbus_add_pid(struct forkbus *client, uint32_t pid, uint64_t start_usec);

/* forkbus_set_tree() - events of this process and all its descendants; arguments as of forkbus_add_pid() */
int forkbus_set_tree(struct forkbus *client, uint32_t pid, uint64_t start_usec);

/* forkbus_add_uid() - events of processes with this real user id */
int forkbus_add_uid(struct forkbus *client, uint32_t uid);

/*
 * forkbus_add_glob() - events in which a text matches a pattern
 * @field: FORKBUS_FIELD_COMM, _EXE, _CGROUP or _UNIT
 * @pattern: valid UTF-8; * ? [ ] and backslash as in a shell, where * and ? match slashes too
 */
int forkbus_add_glob(struct forkbus *client, enum forkbus_field field, const char *pattern);

/* Ends of processes, for forkbus_set_exits() */
#define FORKBUS_EXITS_ANY     (1u << 0)
#define FORKBUS_EXITS_SUCCESS (1u << 1) /* by code 0 */
#define FORKBUS_EXITS_FAILURE (1u << 2) /* by another code, or a signal */
#define FORKBUS_EXITS_SIGNAL  (1u << 3)

/* forkbus_set_exits() - only ends of processes, of these kinds; 0: do not select by the kind of end */
int forkbus_set_exits(struct forkbus *client, unsigned int exits);

/* forkbus_set_min_elapsed() - only ends of processes that lived at least this long */
int forkbus_set_min_elapsed(struct forkbus *client, uint64_t usec);

/* forkbus_set_threads() - also events of threads other than the first one of each process */
int forkbus_set_threads(struct forkbus *client, bool threads);

/* forkbus_set_snapshot() - begin with an event of FORKBUS_TYPE_PROCESS for each living process that matches */
int forkbus_set_snapshot(struct forkbus *client, bool snapshot);

/*
 * forkbus_set_since() - begin in the past
 * @since: a cursor, to get all events after it; or a span before now, like "-5min" or "-1h 30min" (us ms s min h d w). For
 *         events that the log no longer has there is an event of FORKBUS_TYPE_LOST. NULL: begin now
 */
int forkbus_set_since(struct forkbus *client, const char *since);

/* forkbus_set_complete() - if the log does not reach back to the cursor, fail with -ESTALE instead of reporting a loss */
int forkbus_set_complete(struct forkbus *client, bool complete);

/* --- the subscription --------------------------------------------------------------------------------------------- */

/*
 * forkbus_start() - begin the subscription
 * This connects; forkbus_process() then returns the events. Return: 0; -EINVAL for an invalid filter
 * (forkbus_get_error() has the reason), -EALREADY; without FORKBUS_PATIENT also the errors of connect(2): -ENOENT and
 * -ECONNREFUSED if no broker runs, -EACCES. After these it can be called again.
 */
int forkbus_start(struct forkbus *client);

/* Results of forkbus_process(). More may be added; a program should ignore those that it does not know. */
enum forkbus_item {
	FORKBUS_NOTHING = 0,	  /* there is no item now */
	FORKBUS_EVENT = 1,	  /* an event */
	FORKBUS_DISCONNECTED = 2, /* the connection to the broker was lost; the library tries to reconnect */
	FORKBUS_RECONNECTED = 3	  /* it has reconnected, and events continue where they stopped */
};

/*
 * forkbus_process() - return the next item, if there is one
 * @ret: the event if FORKBUS_EVENT is returned, else NULL. It belongs to the handle, and is valid until the next call with
 *       the handle: see forkbus_event_copy()
 * Call it when the descriptor is ready or the timeout is over, until it returns FORKBUS_NOTHING; a program that returns to
 * its loop before that is woken at once.
 *
 * Return: of enum forkbus_item, or a negative errno. After -ENOMEM it can be called again: nothing was lost. All other
 * errors are final, and each further call returns them: -ENOTCONN (not started), -EBADMSG (not a broker), -EMSGSIZE (a message
 * is too long); and the broker's refusals: -EINVAL (the filter), -ERANGE (the cursor is in the future), -ESTALE (see
 * forkbus_set_complete()), -ESRCH (no process has this pid), -EUSERS (too many connections), -ENOBUFS (the broker is out of
 * memory), -EACCES, -EOPNOTSUPP, -EPROTO (anything else). If a broker that accepted the handle before refuses it for lack of
 * room, the library tries again.
 */
int forkbus_process(struct forkbus *client, const struct forkbus_event **ret);

/*
 * forkbus_wait() - block until forkbus_process() has something to do
 * @timeout_usec: 0: do not block; FORKBUS_FOREVER: no limit
 * Return: 1 if it has; 0 after the timeout; -EINTR after a signal; the final error of forkbus_process().
 */
int forkbus_wait(struct forkbus *client, uint64_t timeout_usec);

/*
 * forkbus_get_fd() - the one descriptor to poll
 * It is an epoll instance, and stays the same for the handle's whole life, also when the connection is lost. Do not read or
 * close it, or use it after fork(2). Return: the descriptor.
 */
int forkbus_get_fd(const struct forkbus *client);

/* forkbus_get_events() - the events to poll it for. Return: POLLIN, which does not change. */
int forkbus_get_events(const struct forkbus *client);

/*
 * forkbus_get_timeout() - when forkbus_process() is to be called even if the descriptor is not ready
 * @usec: set to a time of CLOCK_MONOTONIC, 0 for at once, FORKBUS_FOREVER for never. May change with each forkbus_process()
 * Return: 0.
 */
int forkbus_get_timeout(const struct forkbus *client, uint64_t *usec);

/*
 * forkbus_get_cursor() - the position of this subscriber: after the last event that forkbus_process() returned
 * Store it, and give it to forkbus_set_since() of another handle. A program that stores it after it has handled each event
 * misses none and gets none twice. Return: valid until the next call with this handle; NULL before FORKBUS_TYPE_READY.
 */
const char *forkbus_get_cursor(const struct forkbus *client);

/* forkbus_uses_ring() - whether events come by shared memory now */
bool forkbus_uses_ring(const struct forkbus *client);

/* --- events ------------------------------------------------------------------------------------------------------- */

/* forkbus_type_name() - the name, like "fork". Return: a constant; NULL for an unknown type. */
const char *forkbus_type_name(enum forkbus_type type);

/* forkbus_type_from_name() - Return: the type, 0 for an unknown name. */
enum forkbus_type forkbus_type_from_name(const char *name);

/*
 * forkbus_field_name() - the field's name in the protocol: "startUsec", "status.code", "usage.userUsec", "old.uid"
 * Return: a constant; NULL for an unknown field.
 */
const char *forkbus_field_name(enum forkbus_field field);

/* forkbus_field_from_name() - the inverse. Return: the field, 0 for an unknown name. */
enum forkbus_field forkbus_field_from_name(const char *name);

/* forkbus_field_kind() - the kind of the field, which decides its getter. Return: 0 for an unknown field. */
enum forkbus_kind forkbus_field_kind(enum forkbus_field field);

/* forkbus_event_copy() - copy an event, to keep it. @ret: to be freed by forkbus_event_free(). Return: 0 or -ENOMEM. */
int forkbus_event_copy(const struct forkbus_event *event, struct forkbus_event **ret);

/* forkbus_event_free() - free an event that the caller owns, not one of a handle or list. NULL is fine. Return: NULL. */
struct forkbus_event *forkbus_event_free(struct forkbus_event *event);

enum forkbus_type forkbus_event_get_type(const struct forkbus_event *event);

/* forkbus_event_has() - does the event have this field? A value that the source does not know is absent. */
bool forkbus_event_has(const struct forkbus_event *event, enum forkbus_field field);

/*
 * Getters. Returned pointers belong to the event, and are valid as long as the event is.
 * All return 0; -ENODATA if the field is absent; -EINVAL if it is of another kind, or there is no such field.
 */

int forkbus_event_get_uint(const struct forkbus_event *event, enum forkbus_field field, uint64_t *ret);
int forkbus_event_get_bool(const struct forkbus_event *event, enum forkbus_field field, bool *ret);

/* forkbus_event_get_text() - @ret: @len bytes, which may contain a NUL, followed by a NUL. @len may be NULL. */
int forkbus_event_get_text(const struct forkbus_event *event, enum forkbus_field field, const char **ret,
			   size_t *len);

/* forkbus_event_get_strings() - @ret: @n strings, then NULL, like argv. @n may be NULL. */
int forkbus_event_get_strings(const struct forkbus_event *event, enum forkbus_field field,
			      const char *const **ret, size_t *n);

/*
 * forkbus_event_to_json() - the event as one JSON object, as the broker's stream prints it
 * @flags: 0
 * @ret: one line of valid UTF-8 without a newline, and a NUL; to be freed by free(3). @len may be NULL.
 * Return: 0, -ENOMEM, -EINVAL for unknown flags.
 */
int forkbus_event_to_json(const struct forkbus_event *event, uint64_t flags, char **ret, size_t *len);

/*
 * forkbus_event_from_json() - the inverse, for an event that was kept as JSON
 * @text: @len bytes; unknown keys are ignored
 * @ret: to be freed by forkbus_event_free()
 * Return: 0; -EBADMSG if it is not an event, -EOPNOTSUPP if its type is unknown, -ENOMEM.
 */
int forkbus_event_from_json(const char *text, size_t len, struct forkbus_event **ret);

/* --- queries ------------------------------------------------------------------------------------------------------ */

/*
 * Queries open a separate connection, whether the handle is started or not, and wait for the answer.
 * All return 0 or a negative errno: an error of connect(2), -ETIMEDOUT, -EINTR after a signal, -ECONNRESET if the broker
 * closed the connection, and the refusals of forkbus_process().
 */

/*
 * forkbus_list_processes() - the living processes that match the handle's filter, as of one moment
 * @ret: to be freed by forkbus_list_free()
 */
int forkbus_list_processes(struct forkbus *client, uint64_t timeout_usec, struct forkbus_list **ret);

struct forkbus_list *forkbus_list_free(struct forkbus_list *list);

/*
 * forkbus_list_next() - go through the list once
 * @ret: of FORKBUS_TYPE_PROCESS; belongs to the list, valid until the next call
 * Return: 1; 0 at the end; -EBADMSG; after -ENOMEM the next call returns the same event.
 */
int forkbus_list_next(struct forkbus_list *list, const struct forkbus_event **ret);

/* forkbus_list_get_cursor() - for forkbus_set_since(), to get all events after the list. Return: belongs to the list. */
const char *forkbus_list_get_cursor(const struct forkbus_list *list);

/*
 * forkbus_get_process() - one living process
 * @start_usec: its start time; 0: any
 * @ret: of FORKBUS_TYPE_PROCESS, to be freed by forkbus_event_free()
 * Return: as above; -ESRCH if there is none, or the caller may not see it.
 */
int forkbus_get_process(struct forkbus *client, uint32_t pid, uint64_t start_usec, uint64_t timeout_usec,
			struct forkbus_event **ret);

/* forkbus_get_status() - the broker's status. @ret: to be freed by forkbus_status_free(). */
int forkbus_get_status(struct forkbus *client, uint64_t timeout_usec, struct forkbus_status **ret);

struct forkbus_status *forkbus_status_free(struct forkbus_status *status);

/* Texts belong to the status, and are never NULL. */
const char *forkbus_status_get_version(const struct forkbus_status *status);
const char *forkbus_status_get_cursor(const struct forkbus_status *status); /* of the newest event */
const char *forkbus_status_get_source(
	const struct forkbus_status *status); /* module, connector, replay, none */
const char *forkbus_status_get_json(
	const struct forkbus_status *status); /* the whole status, in JSON as in the protocol */
uint64_t forkbus_status_get_processes(const struct forkbus_status *status); /* the number of living ones */

/* forkbus_status_get_events() - the number of events of this type since the broker started */
uint64_t forkbus_status_get_events(const struct forkbus_status *status, enum forkbus_type type);

/*
 * forkbus_status_get_lost() - the losses for one reason
 * @reason: "kernel", "netlink", "unarmed", "source", "slow" …; NULL: for any
 * @times, @count: the number of losses, and of lost events as far as known; may be NULL. 0 if the reason is unknown
 */
void forkbus_status_get_lost(const struct forkbus_status *status, const char *reason, uint64_t *times,
			     uint64_t *count);

/*
 * forkbus_open_ring() - open the broker's log, to be mapped for reading while it is written
 * Permitted only to users who see all processes; with FORKBUS_RING the library reads the log itself. @fd: owned by the caller.
 * Return: as above; -EACCES for other users.
 */
int forkbus_open_ring(struct forkbus *client, uint64_t timeout_usec, int *fd);

/* --- a log without its broker ------------------------------------------------------------------------------------- */

/*
 * forkbus_read_log() - read the file of a log from its oldest event on, whether or not a broker writes it
 * The handle's filter and since apply. A tree, a snapshot and a pid without its start are refused: only a broker knows which
 * processes live. A file that is truncated while it is read is damaged.
 * @fd: stays the caller's, and may be closed. @ret: to be freed by forkbus_log_free()
 * Return: 0; -EBADMSG if it is not a log, -EPROTONOSUPPORT if it is of another version or machine, -ERANGE if the cursor is
 * of another log, -EINVAL for the filter (forkbus_get_error() has the reason), -ENOMEM, errors of pread(2).
 */
int forkbus_read_log(struct forkbus *client, int fd, struct forkbus_log **ret);

struct forkbus_log *forkbus_log_free(struct forkbus_log *log);

/*
 * forkbus_log_next() - the next event that matches
 * Events that were overwritten before they were read become one of FORKBUS_TYPE_LOST, with FORKBUS_FIELD_FROM and _TO.
 * @ret: belongs to the log, valid until the next call
 * Return: 1; 0 at the current end; -EBADMSG if the log is damaged; after -ENOMEM it can be called again.
 */
int forkbus_log_next(struct forkbus_log *log, const struct forkbus_event **ret);

/* forkbus_log_get_cursor() - the position after the last event that was read. Return: valid until the next call. */
const char *forkbus_log_get_cursor(struct forkbus_log *log);

#ifdef __cplusplus
}
#endif
