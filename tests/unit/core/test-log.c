// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/log.h"
#include "log-format.h"
#include "tests/unit/support.h"

#define SIZE_MIN ((uint64_t)LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)

/* The expected content of the log, in simple arrays. */
#define MODEL_MAX 20000
static struct model {
	uint64_t block;
	bool has_time;
	uint64_t time_usec;
	enum event_type type;
	uint64_t uids; /* bits */
	size_t size;
	unsigned char packed[64];
	uint64_t check; /* of the whole packed form */
} model[MODEL_MAX];	/* by sequence number */
static char filler[EVENT_PATH_MAX];
static uint64_t first, next, at; /* of what is held; bytes in the last block */
static uint64_t block, n_blocks;

static int setup(void **state)
{
	(void)state;
	test_dir_make();
	n_blocks = LOG_BLOCKS_MIN;
	memset(filler, 'x', sizeof(filler));
	first = next = 1;
	at = block = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove();
	return 0;
}

static struct log *open_log(enum log_origin origin)
{
	struct log *log = NULL;

	assert_int_equal(log_open(&log, test_path("log"), n_blocks * LOG_BLOCK_SIZE, (gid_t)-1), 0);
	assert_int_equal(log_origin(log), origin);
	assert_int_equal(log_origin_reason(log)[0] != '\0', origin == LOG_REPLACED);
	assert_int_equal(log_size(log), n_blocks * LOG_BLOCK_SIZE);
	return log;
}

static uint64_t sum(const void *data, size_t size)
{
	uint64_t result = 1;

	for (size_t i = 0; i < size; i++)
		result = (result ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
	return result;
}

static void model_append(const struct fb_event *event)
{
	static unsigned char packed[EVENT_PACKED_MAX];
	size_t size = fb_event_pack(event, packed);
	size_t record = sizeof(struct log_record) + (size + 7) / 8 * 8;
	struct model *entry = &model[next];

	assert_true(next < MODEL_MAX);
	if (at + record > LOG_BLOCK_SIZE) {
		block++;
		at = 0;
	}
	at += record;
	while (block - model[first].block >= n_blocks && first < next)
		first++;
	*entry = (struct model){
		.block = block, .type = event->type, .size = size, .check = sum(packed, size)
	};
	memcpy(entry->packed, packed, size < sizeof(entry->packed) ? size : sizeof(entry->packed));
	entry->has_time = EVENT_HAS(event, time_usec);
	entry->time_usec = entry->has_time ? event->time_usec : 0;
	if (EVENT_HAS(event, uid))
		entry->uids |= log_uid_bit(event->uid);
	if (EVENT_HAS(event, old_uid))
		entry->uids |= log_uid_bit(event->old_uid);
	next++;
}

static void append(struct log *log, struct fb_event *event)
{
	uint64_t seq = next;

	assert_int_equal(log_append(log, event), seq);
	assert_int_equal(event->seq, seq);
	model_append(event);
}

static void assert_entry(const struct fb_event *event, uint64_t seq)
{
	static unsigned char packed[EVENT_PACKED_MAX];
	size_t size = fb_event_pack(event, packed);

	assert_int_equal(event->seq, seq);
	assert_int_equal(size, model[seq].size);
	assert_true(sum(packed, size) == model[seq].check);
}

static void assert_bounds(const struct log *log)
{
	uint64_t oldest = 0, latest = 0;

	for (uint64_t seq = next; seq > first; seq--)
		if (model[seq - 1].has_time)
			oldest = model[seq - 1].time_usec;
	for (uint64_t seq = first; seq < next; seq++)
		if (model[seq].has_time)
			latest = model[seq].time_usec;
	assert_int_equal(log_first(log), first);
	assert_int_equal(log_next(log), next);
	assert_int_equal(log_first_time(log), oldest);
	assert_int_equal(log_last_time(log), latest);
	assert_true(log_used(log) <= log_size(log));
	if (first < next)
		assert_int_equal(log_used(log), (block - model[first].block) * LOG_BLOCK_SIZE + at);
}

/* All of it, from the tail to the head. */
static void assert_all(const struct log *log)
{
	struct log_place place;
	struct fb_event event;

	assert_bounds(log);
	if (first == next) {
		assert_int_equal(log_seek(log, first, &place), LOG_E_END);
		return;
	}
	assert_int_equal(log_seek(log, first, &place), 0);
	for (uint64_t seq = first; seq < next; seq++) {
		assert_int_equal(place.seq, seq);
		assert_int_equal(log_read(log, &place, &event), 0);
		assert_entry(&event, seq);
	}
	assert_int_equal(place.seq, next);
	assert_int_equal(log_read(log, &place, &event), LOG_E_END);
}

static void test_empty(void **state)
{
	struct log *log = open_log(LOG_NEW);
	uint64_t epoch = log_epoch(log);
	struct log_place place;

	(void)state;
	assert_int_equal(log_first(log), 1);
	assert_int_equal(log_next(log), 1);
	assert_int_equal(log_used(log), 0);
	assert_int_equal(log_first_time(log), 0);
	assert_int_equal(log_last_time(log), 0);
	assert_int_equal(log_seek(log, 0, &place), LOG_E_GONE);
	assert_int_equal(log_seek(log, 1, &place), LOG_E_END);
	assert_int_equal(log_seek_time(log, 0), 1);
	assert_int_equal(log_seek_time(log, 5), 1);
	assert_null(log_free(log));
	assert_null(log_free(NULL));
	log = open_log(LOG_REOPENED);
	assert_true(log_epoch(log) == epoch);
	assert_all(log);
	log_free(log);
}

/* Random events through many laps, checked all the time, reopened sometimes */
static void test_model(void **state)
{
	struct log *log = open_log(LOG_NEW);
	struct random random = { 1 };
	uint64_t epoch = log_epoch(log);
	static struct random_event made;
	struct log_place place;
	struct fb_event event;

	(void)state;
	while (block < 60 && next < MODEL_MAX - 1) {
		seq_event(&made, next, 1);
		append(log, &made.event);
		assert_int_equal(log_first(log), first);
		assert_int_equal(log_next(log), next);

		for (unsigned int i = 0; i < 2; i++) {
			uint64_t seq = random_below(&random, next + 2);
			int expected = seq < first ? LOG_E_GONE : seq >= next ? LOG_E_END : 0;

			assert_int_equal(log_seek(log, seq, &place), expected);
			if (expected != 0)
				continue;
			for (unsigned int n = (unsigned int)random_below(&random, 20); n > 0; n--, seq++) {
				assert_int_equal(place.seq, seq < next ? seq : next);
				assert_int_equal(log_read(log, &place, &event), seq < next ? 0 : LOG_E_END);
				if (seq < next)
					assert_entry(&event, seq);
			}
		}
		if (random_below(&random, 500) == 0) {
			assert_all(log);
			log_free(log);
			log = open_log(LOG_REOPENED);
			assert_true(log_epoch(log) == epoch);
			assert_all(log);
		}
	}
	assert_true(block == 60);
	assert_true(first > 1);
	assert_all(log);
	log_free(log);
}

/* All events can be read after the end of a block, wherever the block ends */
static void test_full_blocks(void **state)
{
	struct log *log = open_log(LOG_NEW);
	struct fb_event event;

	(void)state;
	for (unsigned int left = 0; left <= 64; left += 8) {
		/* Blocks are filled except for the size of one more event; this event leaves just @left. */
		for (size_t room = LOG_BLOCK_SIZE; room > left; room = LOG_BLOCK_SIZE - at) {
			const size_t fixed = sizeof(struct log_record) + EVENT_PACKED_FIXED + 8 + 2;
			size_t len = room - left > 8000	  ? 4000
				     : room - left > 4000 ? 2000
							  : room - left - fixed;

			fb_event_init(&event, EVENT_EXEC);
			EVENT_SET(&event, cgroup, ((struct event_text){ filler, len }));
			append(log, &event);
		}
		assert_int_equal(at, LOG_BLOCK_SIZE - left);
		assert_all(log);
		log_free(log);
		log = open_log(LOG_REOPENED);
		assert_all(log);
		for (int i = 0; i < 3; i++) {
			fb_event_init(&event, EVENT_EXEC);
			append(log, &event);
			assert_all(log);
		}
	}
	log_free(log);
}

static void test_seek_time(void **state)
{
	struct log *log = open_log(LOG_NEW);
	struct random random = { 2 };
	static struct random_event made;
	uint64_t now = 1000000;

	(void)state;
	while (block < 12) {
		seq_event(&made, next, 2);
		EVENT_CLEAR(&made.event, time_usec);
		now += random_below(&random, 100);
		/* Some have no time, and times go back a little. */
		if (random_below(&random, 10) != 0)
			EVENT_SET(&made.event, time_usec, now - random_below(&random, 1000));
		append(log, &made.event);
		if (next % 16 == 0) {
			uint64_t wanted = now + 200 - random_below(&random, 2 * (now - 990000));
			uint64_t seq = first;

			while (seq < next && (!model[seq].has_time || model[seq].time_usec < wanted))
				seq++;
			assert_int_equal(log_seek_time(log, wanted), seq);
			assert_bounds(log);
		}
	}
	log_free(log);
}

/* An event type and a user for some blocks at a time, so that there is something to skip */
static void fill_striped(struct log *log, struct random *random)
{
	struct fb_event event;

	while (block < 3 * n_blocks) {
		uint64_t stripe = block / 3;

		fb_event_init(&event, stripe % 5 == 4 ? EVENT_SOURCE : EVENT_FORK + (int)(stripe % 3));
		if (stripe % 2)
			EVENT_SET(&event, uid, (uint32_t)(1000 + stripe % 4));
		if (stripe % 4 != 2 && random_below(random, 500) == 0) {
			event.type = EVENT_ID;
			EVENT_SET(&event, old_uid, (uint32_t)random_below(random, 100));
		}
		EVENT_SET(&event, pid, (uint32_t)next);
		EVENT_SET(&event, cgroup, ((struct event_text){ filler, 1000 }));
		append(log, &event);
	}
}

static bool is_wanted(uint64_t seq, uint32_t types, uint64_t uids)
{
	if (EVENT_TYPES_ALWAYS & EVENT_TYPE_BIT(model[seq].type))
		return true;
	return (types & EVENT_TYPE_BIT(model[seq].type)) && (uids == UINT64_MAX || (model[seq].uids & uids));
}

static void test_skip(void **state)
{
	struct random random = { 3 };
	uint64_t skipped = 0;
	struct log_place place;
	struct fb_event event;
	struct log *log;

	(void)state;
	n_blocks = 40;
	log = open_log(LOG_NEW);
	fill_striped(log, &random);
	for (int run = 0; run < 300; run++) {
		uint32_t types = (uint32_t)random_next(&random) & (uint32_t)random_next(&random);
		uint64_t uids = random_below(&random, 3)
					? log_uid_bit(1000 + (uint32_t)random_below(&random, 6))
					: UINT64_MAX;
		uint64_t seq = first + random_below(&random, next - first);

		assert_int_equal(log_seek(log, seq, &place), 0);
		while (place.seq < next) {
			if (log_skip(log, &place, types, uids)) {
				assert_true(place.seq > seq);
				skipped += place.seq - seq;
				for (; seq < place.seq; seq++)
					assert_false(is_wanted(seq, types, uids));
				continue;
			}
			assert_int_equal(log_read(log, &place, &event), 0);
			assert_entry(&event, seq);
			seq++;
		}
	}
	assert_false(log_skip(log, &place, 0, 0));
	assert_true(skipped > 10000);
	log_free(log);
}

static void test_busy(void **state)
{
	struct log *log = open_log(LOG_NEW), *second = NULL;
	unsigned int descriptors = count_descriptors();

	(void)state;
	assert_int_equal(log_open(&second, test_path("log"), SIZE_MIN, (gid_t)-1), LOG_E_BUSY);
	assert_null(second);
	/* The lock is that of the directory: it prevents another file in it, too. */
	assert_int_equal(log_open(&second, test_path("other"), SIZE_MIN, (gid_t)-1), LOG_E_BUSY);
	assert_int_equal(access(test_path("other"), F_OK), -1);
	assert_int_equal(count_descriptors(), descriptors);
	log_free(log);
	log = open_log(LOG_REOPENED);
	log_free(log);
}

/* What every user can lock keeps no broker from its log. */
static void test_lock(void **state)
{
	int directory = open(test_path("."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	(void)state;
	assert_int_equal(flock(directory, LOCK_EX | LOCK_NB), 0);
	log_free(open_log(LOG_NEW));
	close(directory);
	assert_int_equal(stat(test_path("lock"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* Where others may write, nothing is made. */
static void test_foreign(void **state)
{
	static const mode_t open_to_others[] = { 0702, 0720, 01777 };
	struct log *log = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(open_to_others) / sizeof(open_to_others[0]); i++) {
		assert_int_equal(chmod(test_path("."), open_to_others[i]), 0);
		assert_int_equal(log_open(&log, test_path("log"), SIZE_MIN, (gid_t)-1), LOG_E_FOREIGN);
	}
	assert_int_equal(chmod(test_path("."), 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(test_path("."), 4711, (gid_t)-1), 0);
		assert_int_equal(log_open(&log, test_path("log"), SIZE_MIN, (gid_t)-1), LOG_E_FOREIGN);
		assert_int_equal(chown(test_path("."), 0, (gid_t)-1), 0);
	}
	assert_int_equal(access(test_path("log"), F_OK), -1);
	assert_int_equal(access(test_path("lock"), F_OK), -1);
	/* A lock that others may take is none, and a link is not followed. */
	file_write(test_path("lock"), "", 0);
	assert_int_equal(chmod(test_path("lock"), 0644), 0);
	assert_int_equal(log_open(&log, test_path("log"), SIZE_MIN, (gid_t)-1), LOG_E_FOREIGN);
	assert_int_equal(rename(test_path("lock"), test_path("target")), 0);
	assert_int_equal(symlink("target", test_path("lock")), 0);
	assert_int_equal(log_open(&log, test_path("log"), SIZE_MIN, (gid_t)-1), -ELOOP);
	assert_null(log);
}

static void test_file(void **state)
{
	struct log *log;
	struct stat st;

	(void)state;
	assert_int_equal(log_open(&log, test_path("log"), SIZE_MIN + 3 * LOG_BLOCK_SIZE + 17, getgid()), 0);
	assert_int_equal(stat(test_path("log"), &st), 0);
	assert_int_equal(st.st_size, LOG_HEADER_SIZE + SIZE_MIN + 3 * LOG_BLOCK_SIZE);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_gid, getgid());
	assert_true(st.st_blocks * 512 >= st.st_size);
	assert_int_equal(access(test_path("log.new"), F_OK), -1);
	log_free(log);
	assert_int_equal(log_open(&log, test_path("nowhere/log"), SIZE_MIN, (gid_t)-1), -ENOENT);
	/* Less than the least is the least. */
	assert_int_equal(unlink(test_path("log")), 0);
	assert_int_equal(log_open(&log, test_path("log"), 0, (gid_t)-1), 0);
	assert_int_equal(log_size(log), SIZE_MIN);
	assert_int_equal(stat(test_path("log"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	log_free(log);
}

/* Records become visible a few at a time, and all of them before the first is overwritten. */
static void test_show(void **state)
{
	static struct random_event made;
	struct log *log = open_log(LOG_NEW);
	const struct log_header *header;
	unsigned int hidden = 0, most = 0, together = 0;
	uint64_t head = 0;
	int fd = log_share(log);
	void *map = mmap(NULL, LOG_HEADER_SIZE, PROT_READ, MAP_SHARED, fd, 0);

	(void)state;
	assert_true(map != MAP_FAILED);
	close(fd);
	header = map;
	for (int i = 0; i < (in_valgrind() ? 1000 : 10000); i++) {
		seq_event(&made, log_next(log), 1);
		log_append(log, &made.event);
		hidden = position_of(&header->head) == head ? hidden + 1 : 0;
		head = position_of(&header->head);
		assert_true(position_of(&header->tail) <= head);
		most = hidden > most ? hidden : most;
		if (i % 50 == 0)
			log_show(log);
		else if (i % 50 == 1)
			(void)log_wake(log, 0);
		else
			continue;
		head = position_of(&header->head);
		assert_int_equal(head - position_of(&header->tail), log_used(log));
		hidden = 0;
		together++;
	}
	assert_in_range(most, 2, 15);
	assert_true(together > 0 && log_first(log) > 1);
	seq_event(&made, log_next(log), 1);
	log_append(log, &made.event);
	log_free(log);
	assert_int_not_equal(position_of(&header->head), head);
	munmap(map, LOG_HEADER_SIZE);
}

/* The shared descriptor can be read and mapped, even if the file's name was removed, and never be written. */
static void test_share(void **state)
{
	struct log *log = open_log(LOG_NEW);
	unsigned int descriptors = count_descriptors();
	const struct log_header *header;
	struct fb_event event;
	int fd, second;
	void *map;

	(void)state;
	assert_int_equal(unlink(test_path("log")), 0);
	fd = log_share(log);
	second = log_share(log);
	assert_true(fd >= 0 && second >= 0 && fd != second);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND), O_RDONLY);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	map = mmap(NULL, LOG_HEADER_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	header = map;
	assert_true(header->epoch == log_epoch(log));
	assert_int_equal(header->head, log_position_seal(0));
	fb_event_init(&event, EVENT_EXEC);
	append(log, &event);
	log_show(log);
	assert_int_not_equal(header->head, log_position_seal(0));

	assert_true(mmap(NULL, LOG_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_int_equal(errno, EACCES);
	assert_int_equal(mprotect(map, LOG_HEADER_SIZE, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(ftruncate(fd, 0), -1);

	munmap(map, LOG_HEADER_SIZE);
	close(fd);
	close(second);
	assert_int_equal(count_descriptors(), descriptors);
	log_free(log);
}

/* No room: an error, and nothing left behind */
static void test_no_room(void **state)
{
	struct rlimit limit, small;
	struct log *log = NULL;
	int r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = (struct rlimit){ SIZE_MIN / 2, limit.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = log_open(&log, test_path("log"), SIZE_MIN, (gid_t)-1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(r, -EFBIG);
	assert_null(log);
	assert_int_equal(access(test_path("log.new"), F_OK), -1);
	assert_int_equal(access(test_path("log"), F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_model, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seek_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_skip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_show, setup, teardown),
		cmocka_unit_test_setup_teardown(test_share, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
