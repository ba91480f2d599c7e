// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/silence.h"

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

/* Without records: silence is tested after QUIET_NSEC without messages, and is certain DEAF_NSEC after the test. */
#define QUIET_NSEC   (2 * NSEC_PER_SEC)
#define DEAF_NSEC    (1 * NSEC_PER_SEC)
/* An exit follows its record at once; after this time it is missing. */
#define UNHEARD_NSEC (2 * NSEC_PER_SEC)

/* Exits whose record arrived, but whose message did not, although the thread is gone. */
struct unheard {
	uint64_t covered_nsec, until_nsec; /* of records that arrived between these times */
	uint64_t since_nsec;		   /* 0: no exit is missing */
};

static void find_unheard(const struct taskstats_record *record, void *userdata)
{
	struct unheard *unheard = userdata;
	uint32_t tgid = record->tgid ? record->tgid : record->tid;

	if (record->arrival_nsec <= unheard->covered_nsec || record->arrival_nsec > unheard->until_nsec)
		return;
	/* Not if the thread still exists: freeing the memory of a large process delays its exit message. */
	if (syscall(SYS_tgkill, tgid, record->tid, 0) == 0 || errno != ESRCH)
		return;
	if (!unheard->since_nsec || record->heard_nsec < unheard->since_nsec)
		unheard->since_nsec = record->heard_nsec;
}

/*
 * When another program starts to listen, the kernel sends events to all listeners again, possibly before the silence was
 * noticed here. The kernel does not number messages while it sends none, so only the records of ended threads show the gap.
 */
uint64_t silence_past(const struct silence *silence, const struct groups *groups, uint64_t now)
{
	struct unheard unheard = { silence->covered_nsec, now - UNHEARD_NSEC, 0 };

	groups_each_record(groups, find_unheard, &unheard);
	return unheard.since_nsec;
}

static void *thread_nothing(void *userdata)
{
	return userdata;
}

/* Starting a thread causes a message, unless the kernel sends none. */
static void test_by_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_nothing, NULL) == 0)
		pthread_join(thread, NULL);
}

/*
 * A record without a message after it shows silence. Without records, only a test shows it. Both need a second check, since
 * a record arrives a moment before its message.
 */
bool silence_check(struct silence *silence, uint64_t now, uint64_t messages, unsigned int records)
{
	bool heard = messages != silence->messages, suspicious = silence->suspicious;

	silence->messages = messages;
	silence->suspicious = false;
	if (heard) {
		silence->quiet_since_nsec = now;
		silence->tested_nsec = 0;
		return false;
	}
	if (silence->records) {
		silence->suspicious = suspicious || records > 0;
		return suspicious;
	}
	if (silence->tested_nsec)
		return now > silence->tested_nsec + DEAF_NSEC;
	if (now > silence->quiet_since_nsec + QUIET_NSEC) {
		test_by_thread();
		silence->tested_nsec = now;
	}
	return false;
}

void silence_init(struct silence *silence, bool records, uint64_t now)
{
	*silence = (struct silence){ .records = records, .quiet_since_nsec = now };
}

void silence_cover(struct silence *silence, uint64_t now)
{
	silence->covered_nsec = now;
}
