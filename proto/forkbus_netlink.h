/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
#ifndef _UAPI_LINUX_FORKBUS_NETLINK_H
#define _UAPI_LINUX_FORKBUS_NETLINK_H

/*
 * The generic netlink family "forkbus": process events of the kernel module forkbus.ko.
 *
 * All of it needs CAP_NET_ADMIN in the initial user namespace, and a socket in the initial
 * network namespace. Numbers are in the machine's byte order. Ids of processes and users are
 * those of the initial namespaces. Times are nanoseconds of CLOCK_BOOTTIME. Attributes may be
 * added to any message and record: ignore those that are not known.
 *
 * Events and their numbers
 *	Each event that happens while its type is armed takes the next sequence number, and
 *	becomes one record in one ring: the order of records is the order of their numbers. The
 *	ring is queue and history. Records that were not sent yet are never overwritten. An event
 *	without room in the ring is lost, and keeps its number. As soon as there is room, a record
 *	of type LOST says how many numbers are missing before it. So the ring accounts for every
 *	number, and a listener that sees a gap knows that its own socket was overrun, or that the
 *	ring was overwritten.
 *
 * To listen
 *	Join the group "events", then START with the types that are wanted. START belongs to the
 *	socket that sent it; the last one counts. What is armed is the union of all. When a socket
 *	is closed, its types stay armed for the grace time (module parameter "grace"), so that
 *	a listener that comes back within it has missed nothing. STOP ends it at once. A record of
 *	type ARMED says, in its place in the order, which types are armed from there on.
 *
 * To come back
 *	Every message carries the module's instance, which is random and made when it is loaded.
 *	A listener that has everything up to a sequence number of this instance joins the group,
 *	sends START, then REPLAY from that number, and drops duplicates. The same helps after an
 *	overrun of the socket. The numbers of another instance begin again.
 *
 * To read
 *	A message of the group has at most 16 KiB, one of REPLAY at most 32 KiB. Attributes are
 *	aligned to 4 bytes, also those of 8. There is one group: each listener gets all types and
 *	arguments that any listener asked for.
 *
 * Records come in CMD_EVENTS on the group, and in the answers to CMD_REPLAY: one message holds
 * many, each in an attribute FORKBUS_A_RECORD of its own, in order.
 */

#include <linux/types.h>

#define FORKBUS_FAMILY_NAME    "forkbus"
#define FORKBUS_FAMILY_VERSION 1
#define FORKBUS_MCGRP_EVENTS   "events"

/* Longest texts, in bytes with the NUL. Longer ones are cut, and said to be. */
#define FORKBUS_COMM_MAX 32
#define FORKBUS_PATH_MAX 4096
#define FORKBUS_ARGS_MAX 4096

/* No record is longer, in bytes with its header: all three texts at their longest. */
#define FORKBUS_RECORD_MAX (3 * 4096 + 1024)

enum {
	FORKBUS_CMD_UNSPEC,
	FORKBUS_CMD_START,  /* do: MASK, ARGS? -> nothing. Of no hook: left out; unknown: EINVAL. */
	FORKBUS_CMD_STOP,   /* do: -> nothing. Of a socket that never sent START: ENOENT. */
	FORKBUS_CMD_STATUS, /* do: -> STATUS with all but RECORD, MASK, ARGS, FROM */

	/*
	 * dump: FROM, INSTANCE? -> INSTANCE, RECORDs: all records with a number above FROM that the ring
	 * holds. The first message has FIRST and LAST, as of then: what is above FROM and below
	 * FIRST is not held any more. ESTALE where INSTANCE is given and is another one. Records
	 * that are overwritten while they are asked for show as a hole in the numbers.
	 */
	FORKBUS_CMD_REPLAY,
	FORKBUS_CMD_EVENTS, /* notification: INSTANCE, RECORDs */

	__FORKBUS_CMD_MAX,
	FORKBUS_CMD_MAX = __FORKBUS_CMD_MAX - 1
};

/* Types of events. Bit n of a mask stands for type n. */
enum forkbus_type {
	FORKBUS_TYPE_LOST,     /* there was no room for what happened before. Always armed. */
	FORKBUS_TYPE_ARMED,    /* what is armed from here on. Always armed. */
	FORKBUS_TYPE_FORK,     /* TGID is the child. Sent before the child runs. */
	FORKBUS_TYPE_EXEC,     /* succeeded; before the new program runs */
	FORKBUS_TYPE_EXIT,     /* of the last thread: one a process; before its parent can know */
	FORKBUS_TYPE_ID,       /* a real or effective uid or gid changed */
	FORKBUS_TYPE_COMM,     /* COMM is the new name. An exec's own renaming is no event. */
	FORKBUS_TYPE_SESSION,  /* setsid(2) */
	FORKBUS_TYPE_CHROOT,   /* chroot(2); not pivot_root(2), nor setns(2) */
	FORKBUS_TYPE_COREDUMP, /* a signal that dumps core is about to end it; written or not */
	FORKBUS_TYPE_PTRACE,   /* a tracer attached or detached */
	/*
	 * No type of a record: in a mask, adds FORK and EXIT of threads that are not the leader
	 * (TID differs from TGID). What such an exit used is the thread's own.
	 */
	FORKBUS_TYPE_THREADS,

	__FORKBUS_TYPE_MAX,
	FORKBUS_TYPE_MAX = __FORKBUS_TYPE_MAX - 1
};

#define FORKBUS_MASK(type) (1U << (type))

/* Attributes of messages */
enum {
	FORKBUS_A_UNSPEC,
	FORKBUS_A_PAD,
	FORKBUS_A_INSTANCE,  /* u64: random, never 0 */
	FORKBUS_A_RECORD,    /* nest of FORKBUS_R_*; many */
	FORKBUS_A_MASK,	     /* u32: types wanted */
	FORKBUS_A_ARGS,	     /* u32: bytes of arguments wanted, to ARGS_MAX; the highest counts */
	FORKBUS_A_FROM,	     /* u64: sequence number; 0: from the oldest */
	FORKBUS_A_VERSION,   /* string: of the module */
	FORKBUS_A_SUPPORTED, /* u32: types that this kernel has hooks for */
	FORKBUS_A_ARMED,     /* u32: types armed now */
	FORKBUS_A_RING_SIZE, /* u32: bytes; 0: nobody has listened yet */
	FORKBUS_A_RING_USED, /* u32: bytes that records take which were not sent yet */
	FORKBUS_A_FIRST,     /* u64: oldest number held; LAST + 1: none */
	FORKBUS_A_LAST,	     /* u64: latest number given; 0: none */
	FORKBUS_A_SENT,	     /* u64: latest number sent, or skipped without a listener */
	FORKBUS_A_LOST,	     /* nest of FORKBUS_L_*; one for each type of which records were lost */
	FORKBUS_A_LISTENERS, /* u32: sockets that sent START and are there */
	FORKBUS_A_GRACE,     /* u32: seconds */

	__FORKBUS_A_MAX,
	FORKBUS_A_MAX = __FORKBUS_A_MAX - 1
};

/* Attributes of a count of lost records, since the module was loaded */
enum {
	FORKBUS_L_UNSPEC,
	FORKBUS_L_PAD,
	FORKBUS_L_TYPE,	 /* u32: enum forkbus_type */
	FORKBUS_L_COUNT, /* u64 */

	__FORKBUS_L_MAX,
	FORKBUS_L_MAX = __FORKBUS_L_MAX - 1
};

/*
 * Attributes of a record. SEQ, TYPE and TIME come first and are in each. The identity, TGID to
 * NS_TGID, is in each but LOST and ARMED, and is as after the event; what does not apply (no
 * login, the initial pid namespace) is absent, as are fields that could not be read without
 * sleeping.
 */
enum {
	FORKBUS_R_UNSPEC,
	FORKBUS_R_PAD,
	/* begin generated: record attributes, from proto/event-fields.toml */
	/* u64; Sequence number of the event, from 1. */
	FORKBUS_R_SEQ,
	/* u32: enum forkbus_type; Type of the event. */
	FORKBUS_R_TYPE,
	/* u64; When it happened, in nanoseconds. */
	FORKBUS_R_TIME,
	/* u32; Process, by the id of its thread group. */
	FORKBUS_R_TGID,
	/* u32; Thread that did it. Absent if it is the leader. */
	FORKBUS_R_TID,
	/*
	 * u64; When the process started, in nanoseconds. tgid and start are the identity of a
	 * process.
	 */
	FORKBUS_R_START,
	/* u32; Parent. 0 is none. */
	FORKBUS_R_PARENT_TGID,
	/* u64; When the parent started, in nanoseconds. */
	FORKBUS_R_PARENT_START,
	/* u32; Real user id. */
	FORKBUS_R_UID,
	/* u32; Real group id. */
	FORKBUS_R_GID,
	/* u32; Effective user id. */
	FORKBUS_R_EUID,
	/* u32; Effective group id. */
	FORKBUS_R_EGID,
	/*
	 * u32; User id of the login, as the audit subsystem has it. Absent if there was none.
	 */
	FORKBUS_R_LOGIN_UID,
	/* u32; Session id. */
	FORKBUS_R_SESSION,
	/*
	 * u32; Terminal, by its device number as in /proc/PID/stat. 0 is none, absent is not
	 * known.
	 */
	FORKBUS_R_TTY,
	/*
	 * u64; Id of the cgroup in the v2 hierarchy, which is the inode number of its
	 * directory.
	 */
	FORKBUS_R_CGROUP,
	/* string; Name of the process, that of its leader. */
	FORKBUS_R_COMM,
	/* u32; Inode number of its pid namespace. Absent in the initial one. */
	FORKBUS_R_PID_NS,
	/* u32; tgid as it is in its pid namespace. Absent in the initial one. */
	FORKBUS_R_NS_TGID,
	/* u64; Of fork. Flags as clone(2) has them. */
	FORKBUS_R_CLONE_FLAGS,
	/* string; Of exec. Path of the file that runs, from the process' own root. */
	FORKBUS_R_EXE,
	/*
	 * string; Of exec. Path as it was passed to execve(2); of a script, the path of the
	 * script.
	 */
	FORKBUS_R_FILENAME,
	/* flag; Of exec. filename is longer, and this is its beginning. */
	FORKBUS_R_FILENAME_CUT,
	/*
	 * binary; Of exec. Arguments, each with its NUL, up to the number of bytes that was
	 * requested by start.
	 */
	FORKBUS_R_ARGV,
	/* flag; Of exec. There are more arguments, or reading them would have slept. */
	FORKBUS_R_ARGV_CUT,
	/* u32; Of exit. Status as waitpid(2) gives it. */
	FORKBUS_R_STATUS,
	/*
	 * u64; Of exit. Time on a processor outside the kernel, in nanoseconds, of all threads,
	 * as is all that follows.
	 */
	FORKBUS_R_USER_TIME,
	/*
	 * u64; Of exit. Time on a processor in the kernel, in nanoseconds. The sum of both is
	 * exact, but its division depends on the ticks.
	 */
	FORKBUS_R_SYSTEM_TIME,
	/* u64; Of exit. Most memory that was resident at once, in KiB. */
	FORKBUS_R_MAX_RSS,
	/* u64; Of exit. Number of page faults without I/O. */
	FORKBUS_R_MINOR_FAULTS,
	/* u64; Of exit. Number of page faults with I/O. */
	FORKBUS_R_MAJOR_FAULTS,
	/* u64; Of exit. How many times it gave up the processor to wait. */
	FORKBUS_R_VOLUNTARY_SWITCHES,
	/* u64; Of exit. How many times the processor was taken from it. */
	FORKBUS_R_INVOLUNTARY_SWITCHES,
	/* u64; Of exit. Bytes read from storage. */
	FORKBUS_R_READ_BYTES,
	/* u64; Of exit. Bytes written to storage. */
	FORKBUS_R_WRITE_BYTES,
	/*
	 * u64; Of exit. Bytes read by read(2) and similar calls. Absent if the process waited
	 * for a child.
	 */
	FORKBUS_R_READ_CHARS,
	/* u64; Of exit. Bytes written by write(2) and similar calls. Absent like read-chars. */
	FORKBUS_R_WRITE_CHARS,
	/* u32; Of id. Real user id before it. */
	FORKBUS_R_OLD_UID,
	/* u32; Of id. Real group id before it. */
	FORKBUS_R_OLD_GID,
	/* u32; Of id. Effective user id before it. */
	FORKBUS_R_OLD_EUID,
	/* u32; Of id. Effective group id before it. */
	FORKBUS_R_OLD_EGID,
	/* string; Of chroot. Path of the new root, as seen from the previous one. */
	FORKBUS_R_ROOT,
	/* u32; Of ptrace. Process that traces it from now on. 0 is none. */
	FORKBUS_R_TRACER,
	/*
	 * u64; Of lost. Number of events lost, those with the sequence numbers from seq - count
	 * to seq - 1.
	 */
	FORKBUS_R_COUNT,
	/*
	 * u64; Of lost. When the first of them happened, in nanoseconds. The last is no later
	 * than time.
	 */
	FORKBUS_R_SINCE,
	/* u32: types; Of armed. Types reported from here on. */
	FORKBUS_R_MASK,
	/* u32; Process group id. */
	FORKBUS_R_PGID,
	/* end generated: record attributes */

	__FORKBUS_R_MAX,
	FORKBUS_R_MAX = __FORKBUS_R_MAX - 1
};

#endif /* _UAPI_LINUX_FORKBUS_NETLINK_H */
