/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every field that an event can have, written once.
 *
 * The struct, the presence bits, the packed record of the log, and the JSON encoder and decoder all come from this list, so
 * that a new field is one line here. The order is the order in JSON and in the packed record, and the position of a
 * line is its presence bit: a change of the list is a new version of the log (LOG_VERSION follows by itself, see
 * fb_event_schema_hash()).
 *
 *   F(member, kind, group, key)
 *
 * kind   U32, U64 (JSON integers; no value passes 2^53), BOOL, TEXT and PATH (bytes as the kernel gave them, at most
 *        EVENT_TEXT_MAX and EVENT_PATH_MAX of them; see struct event_text), ARGS (a list of texts, in JSON an array, in
 *        memory like a PATH with a NUL between one and the next)
 * group  TOP: a key of the event itself; STATUS, USAGE, OLD: a key of the object "status", "usage", "old"; NONE: never in
 *        JSON
 * key    the JSON key, camelCase, with the unit in its name
 *
 * Fields of one group stand together, so that the encoder opens and closes an object once.
 *
 * Sources: [C] proc connector, [T] taskstats, [P] /proc, [M] the forkbus module, [B] the broker itself.
 */

/* The record */
F(seq, U64, TOP, "seq")			/* [B] position in the broker's log, contiguous there */
F(time_usec, U64, TOP, "timeUsec")	/* CLOCK_REALTIME of the event, µs since 1970 */
F(boot_usec, U64, TOP, "bootUsec")	/* CLOCK_BOOTTIME of the event, µs since boot */

/* Whose it is, as after the event */
F(pid, U32, TOP, "pid")			/* thread group id, in the initial pid namespace */
F(tid, U32, TOP, "tid")			/* thread id; only in events of a thread that is not the leader */
F(start_usec, U64, TOP, "startUsec")	/* CLOCK_BOOTTIME of the process' start, µs; (pid, startUsec) is its identity */
F(ppid, U32, TOP, "ppid")		/* thread group id of the parent */
F(parent_start_usec, U64, TOP, "parentStartUsec")
F(uid, U32, TOP, "uid")			/* real uid, in the initial user namespace */
F(gid, U32, TOP, "gid")
F(euid, U32, TOP, "euid")
F(egid, U32, TOP, "egid")
F(login_uid, U32, TOP, "loginUid")	/* [P][M] absent when never set */
F(session, U32, TOP, "session")		/* POSIX session id */
F(tty, TEXT, TOP, "tty")		/* controlling terminal, as under /dev; absent without one */
F(comm, TEXT, TOP, "comm")		/* at most 15 bytes, or 63 for a kernel thread in /proc */
F(cgroup, PATH, TOP, "cgroup")		/* path in the cgroup v2 hierarchy, or in v1's name=systemd */
F(cgroup_id, U64, TOP, "cgroupId")	/* [M] inode number of the cgroup's directory */
F(unit, TEXT, TOP, "unit")		/* systemd unit, taken from the path of the cgroup */
F(ns_pid, U32, TOP, "nsPid")		/* [M] pid as its own pid namespace sees it, where that is another */
F(pid_ns, U64, TOP, "pidNs")		/* [M] inode number of that namespace */

/* fork */
F(clone_flags, U64, TOP, "cloneFlags")	/* [M] */

/* exec */
F(exe, PATH, TOP, "exe")		/* path of the file that runs; in exit too: of the one that ran last */
F(filename, PATH, TOP, "filename")	/* [M] as asked for */
F(filename_cut, BOOL, TOP, "filenameCut") /* filename is longer than EVENT_PATH_MAX, this is its beginning */
F(args, ARGS, TOP, "args")		/* [M] arguments, where the administrator turned them on */
F(args_cut, BOOL, TOP, "argsCut")	/* there are more, or the rest could not be read */

/* exit */
F(code, U32, STATUS, "code")		/* 0 to 255; this or signal */
F(signal, U32, STATUS, "signal")
F(core_dumped, BOOL, STATUS, "coreDumped")

/* exit: what the whole thread group used, children never added in */
F(user_usec, U64, USAGE, "userUsec")	/* [T][M] from [T] in ticks of the kernel's clock */
F(system_usec, U64, USAGE, "systemUsec")
F(elapsed_usec, U64, USAGE, "elapsedUsec") /* bootUsec - startUsec */
F(max_rss_kib, U64, USAGE, "maxRssKib")
F(minor_faults, U64, USAGE, "minorFaults")
F(major_faults, U64, USAGE, "majorFaults")
F(voluntary_switches, U64, USAGE, "voluntarySwitches")
F(involuntary_switches, U64, USAGE, "involuntarySwitches")
F(read_bytes, U64, USAGE, "readBytes")	/* from storage */
F(write_bytes, U64, USAGE, "writeBytes")
F(read_chars, U64, USAGE, "readChars")	/* by read(2) and its like; [T] rounds down to KiB a thread */
F(write_chars, U64, USAGE, "writeChars")

/* id: what was before */
F(old_uid, U32, OLD, "uid")
F(old_gid, U32, OLD, "gid")
F(old_euid, U32, OLD, "euid")
F(old_egid, U32, OLD, "egid")

/* chroot */
F(root, PATH, TOP, "root")		/* [M] path of the new root, from the one before */

/* ptrace */
F(tracer_pid, U32, TOP, "tracerPid")	/* 0: the tracer let go */

/* source, lost */
F(source, TEXT, TOP, "source")		/* connector, module, replay */
F(armed, TEXT, TOP, "armed")		/* event types that the source now tells, separated by spaces */
F(reason, TEXT, TOP, "reason")		/* lost: kernel netlink unarmed source slow expired epoch; source: why it changed */
F(detail, TEXT, TOP, "detail")		/* for people */
F(count, U64, TOP, "count")		/* how many were lost; absent where nobody can know */
F(since_usec, U64, TOP, "sinceUsec")	/* CLOCK_REALTIME, µs: nothing is missing before */
F(until_usec, U64, TOP, "untilUsec")	/* and nothing after */
F(from, U64, TOP, "from")		/* first and last log position that this subscriber did not get */
F(to, U64, TOP, "to")

/* ready, heartbeat */
F(cursor, TEXT, TOP, "cursor")		/* EPOCH:SEQ: all up to SEQ has been told; give it back as "since" */

/* Where the record came from; what makes doubles visible after a replay */
F(instance, U64, NONE, NULL)		/* [M] random id of the loaded module */
F(kernel_seq, U64, NONE, NULL)		/* [M] its sequence number there */
