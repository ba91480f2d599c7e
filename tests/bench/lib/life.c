// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/bench/lib/life.h"

#define PIDS 30000

static void set_usage(struct fb_event *event, uint64_t n)
{
	EVENT_SET(event, code, n % 7 == 0);
	EVENT_SET(event, user_usec, 1200 + n % 1000);
	EVENT_SET(event, system_usec, 800 + n % 500);
	EVENT_SET(event, elapsed_usec, 2400 + n % 1000);
	EVENT_SET(event, max_rss_kib, 2048);
	EVENT_SET(event, minor_faults, 120 + n % 100);
	EVENT_SET(event, major_faults, 0);
	EVENT_SET(event, voluntary_switches, 3);
	EVENT_SET(event, involuntary_switches, 1);
	EVENT_SET(event, read_bytes, 0);
	EVENT_SET(event, write_bytes, 4096);
	EVENT_SET(event, read_chars, 15360 + n % 1000);
	EVENT_SET(event, write_chars, 512);
}

void life_event(struct fb_event *event, uint64_t n, unsigned int users)
{
	static const enum event_type types[] = { EVENT_FORK, EVENT_EXEC, EVENT_EXIT };
	uint64_t life = n / 3, start_usec = 4389561427 + life * 3000;
	uint32_t uid = 1000 + (uint32_t)(life % users);

	fb_event_init(event, types[n % 3]);
	EVENT_SET(event, time_usec, 1795420661550789 + n * 1000);
	EVENT_SET(event, boot_usec, start_usec + n % 3 * 1000);
	EVENT_SET(event, pid, 1000 + (uint32_t)(life % PIDS));
	EVENT_SET(event, start_usec, start_usec);
	EVENT_SET(event, ppid, 900);
	EVENT_SET(event, parent_start_usec, 4389543456);
	EVENT_SET(event, uid, uid);
	EVENT_SET(event, gid, uid);
	EVENT_SET(event, euid, uid);
	EVENT_SET(event, egid, uid);
	EVENT_SET(event, session, 900);
	EVENT_SET(event, comm, event_text("worker"));
	EVENT_SET(event, cgroup, event_text("/system.slice/one-or-another.service"));
	EVENT_SET(event, unit, event_text("one-or-another.service"));
	if (event->type != EVENT_FORK)
		EVENT_SET(event, exe, event_text("/usr/lib/one-or-another/worker"));
	if (event->type == EVENT_EXIT)
		set_usage(event, n);
}
