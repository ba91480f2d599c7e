// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "core/log-file.h"
#include "log-reader.h"

#define LOCK_NAME "lock"

/* The 128 random bits of the kernel's boot id: a log in memory-backed storage may be older than the current boot. */
static int read_boot_id(uint8_t id[static 16])
{
	_cleanup_fclose_ FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	unsigned int digit;
	int c, n = 0;

	if (!file)
		return -errno;
	memset(id, 0, 16);
	while (n < 32 && (c = fgetc(file)) != EOF) {
		if (c == '-')
			continue;
		if (sscanf((char[]){ (char)c, '\0' }, "%x", &digit) != 1)
			return -EBADMSG;
		id[n / 2] = (uint8_t)(id[n / 2] << 4 | digit);
		n++;
	}
	return n == 32 ? 0 : -EBADMSG;
}

/*
 * The lock shows readers that a broker writes. It is not important here if it fails, or another process has it: the file "lock"
 * prevents a second broker.
 */
static void lock_file(int fd)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	(void)fcntl(fd, F_OFD_SETLK, &all);
}

static struct log_file *guarded;

/*
 * An instruction used a part of the mapping that the file no longer has, or that cannot be read. After this it is repeated.
 * Only system calls that are allowed in a handler are made.
 */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
	struct log_file *file = guarded;
	uintptr_t address = (uintptr_t)info->si_addr, begin = file ? (uintptr_t)file->header : 0;
	int saved = errno;

	(void)context;
	if (info->si_code > 0 && begin && address >= begin && address - begin < file->size &&
	    mmap(file->header, file->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		 -1, 0) != MAP_FAILED) {
		file->cut = true;
		errno = saved;
		return;
	}
	signal(number, SIG_DFL);
	raise(number);
}

static void protect(struct log_file *file)
{
	struct sigaction action = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
	file->cut = false;
	guarded = file;
}

/* Takes the descriptor on success. */
static int map_file(struct log_file *file, int *fd)
{
	void *map;
	int r;

	/* Before the mapping is written: if the file system has no room, it must fail here, not by SIGBUS. */
	r = posix_fallocate(*fd, 0, (off_t)file->size);
	if (r)
		return -r;
	map = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	lock_file(*fd);
	file->header = map;
	file->fd = steal_fd(fd);
	protect(file);
	return 0;
}

static void unmap_file(struct log_file *file)
{
	if (guarded == file)
		guarded = NULL;
	if (file->header)
		munmap(file->header, file->size);
	file->header = NULL;
	file->fd = close_fd(file->fd);
}

static void fill_header(struct log_file *file, struct log_header *header, uint64_t epoch, uint64_t first_seq)
{
	header->magic = LOG_MAGIC;
	header->version = LOG_VERSION;
	header->block_size = LOG_BLOCK_SIZE;
	header->n_blocks = (file->size - LOG_HEADER_SIZE) / LOG_BLOCK_SIZE;
	header->epoch = epoch;
	memcpy(header->boot_id, file->boot_id, sizeof(header->boot_id));
	header->first_seq = first_seq;
	header->check = log_check(0, header, offsetof(struct log_header, check));
	header->tail = header->head = log_position_seal(0);
	log_schema_add(header);
}

/* A broker that has no group to give it to, or may not, keeps it to itself. */
static int give_to_group(const struct log_file *file)
{
	bool given = file->group != (gid_t)-1 && fchown(file->fd, (uid_t)-1, file->group) == 0;

	return fchmod(file->fd, given ? 0640 : 0600) < 0 ? -errno : 0;
}

/* A new file under a temporary name, then renamed. @content: of another log, or NULL for an empty one */
static int create(struct log_file *file, const void *content, uint64_t epoch, uint64_t first_seq)
{
	_cleanup_close_ int fd = -1;
	char made[NAME_MAX + 1];
	int r;

	if (snprintf(made, sizeof(made), "%s.new", file->name) >= (int)sizeof(made))
		return -ENAMETOOLONG;
	if (unlinkat(file->directory, made, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(file->directory, made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = map_file(file, &fd);
	if (r < 0)
		goto fail;
	if (content)
		memcpy(file->header, content, file->size);
	else
		fill_header(file, file->header, epoch, first_seq);
	r = give_to_group(file);
	if (r == 0 && renameat(file->directory, made, file->directory, file->name) < 0)
		r = -errno;
	if (r < 0)
		goto fail;
	return 0;
fail:
	unmap_file(file);
	unlinkat(file->directory, made, 0);
	return r;
}

static int create_new(struct log_file *file)
{
	uint64_t epoch;

	if (getrandom(&epoch, sizeof(epoch), 0) != sizeof(epoch))
		return -EIO;
	return create(file, NULL, epoch, 1);
}

static void refuse(struct log_file *file, const char *reason)
{
	unmap_file(file);
	file->origin = LOG_REPLACED;
	snprintf(file->reason, sizeof(file->reason), "%s", reason);
}

/* Checks the file before its records are checked. Return: the error as text. NULL: none; the file is mapped. */
static const char *look_at(struct log_file *file, int *fd)
{
	uint8_t kinds[EVENT_FIELDS_MAX];
	struct log_header *header;
	struct stat st;

	if (fstat(*fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return "it is not a file of this broker";
	if ((uint64_t)st.st_size != file->size)
		return "it is of another size";
	if (map_file(file, fd) < 0)
		return "it cannot be mapped";
	header = file->header;
	if (header->magic != LOG_MAGIC)
		return "it is damaged";
	if (header->version != LOG_VERSION)
		return "it is of another version";
	if (header->check != log_check(0, header, offsetof(struct log_header, check)))
		return "it is damaged";
	if (log_schema_check(header, kinds) == LOG_READER_E_FOREIGN)
		return "it is of another version";
	if (memcmp(header->boot_id, file->boot_id, sizeof(file->boot_id)) != 0)
		return "it is from before the machine was booted";
	return NULL;
}

static int reopen(struct log_file *file)
{
	_cleanup_close_ int fd =
		openat(file->directory, file->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const char *reason;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	reason = fd < 0 ? "it cannot be opened" : look_at(file, &fd);
	if (reason) {
		refuse(file, reason);
		return -ESTALE;
	}
	file->origin = LOG_REOPENED;
	return 0;
}

/* The same content in a new file: who has the old one open, or mapped, sees nothing of what follows. */
static int move(struct log_file *file)
{
	struct log_header *content = file->header;
	int r;

	file->header = NULL;
	file->fd = close_fd(file->fd);
	r = create(file, content, 0, 0);
	munmap(content, file->size);
	if (r == 0)
		return 0;
	/* Memory for a copy may be missing; the old one must not stay. */
	refuse(file, "others may read it, and there is no room for a copy");
	if (unlinkat(file->directory, file->name, 0) < 0)
		return -errno;
	return create_new(file);
}

/* A reopened file may belong to another group than it would now. That group keeps what it has read, but reads no more. */
static int correct_group(struct log_file *file)
{
	struct stat st;

	if (fstat(file->fd, &st) < 0)
		return -errno;
	if (st.st_gid == file->group && (st.st_mode & ALLPERMS) == 0640)
		return 0;
	return st.st_mode & (S_IRWXG | S_IRWXO) ? move(file) : give_to_group(file);
}

/*
 * Who may write in the directory could put a link or another log in the place of what the broker makes there. Everything
 * that follows uses this descriptor: nobody can exchange the directory after it was checked.
 */
static int open_directory(struct log_file *file, const char *path)
{
	struct stat st;

	file->directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (file->directory < 0 || fstat(file->directory, &st) < 0)
		return -errno;
	if ((st.st_uid != geteuid() && st.st_uid != 0) || st.st_mode & (S_IWGRP | S_IWOTH))
		return LOG_E_FOREIGN;
	return 0;
}

/*
 * The log may be replaced while another broker waits for it, so the lock has a file of its own. Everyone may lock what he may
 * read: no other user may read this file.
 */
static int lock_directory(struct log_file *file)
{
	struct stat st;

	file->lock = openat(file->directory, LOCK_NAME,
			    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (file->lock < 0 || fstat(file->lock, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IRWXG | S_IRWXO))
		return LOG_E_FOREIGN;
	if (flock(file->lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? LOG_E_BUSY : -errno;
	return 0;
}

/* "DIRECTORY/NAME" */
static int open_place(struct log_file *file, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *directory = slash ? strndup(path, (size_t)(slash - path)) : NULL;
	int r;

	if (!directory)
		return slash ? -ENOMEM : -EINVAL;
	file->name = strdup(slash + 1);
	if (!file->name)
		return -ENOMEM;
	r = open_directory(file, directory);
	return r ? r : lock_directory(file);
}

int log_file_open(struct log_file *file, const char *path, uint64_t n_blocks, gid_t group)
{
	int r;

	*file = (struct log_file){ .size = LOG_HEADER_SIZE + n_blocks * LOG_BLOCK_SIZE,
				   .group = group,
				   .fd = -1,
				   .directory = -1,
				   .lock = -1 };
	r = open_place(file, path);
	if (r == 0)
		r = read_boot_id(file->boot_id);
	if (r == 0)
		r = reopen(file) < 0 ? create_new(file) : correct_group(file);
	if (r)
		log_file_close(file);
	return r;
}

int log_file_share(const struct log_file *file)
{
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	int fd;

	/* Opened again: a duplicate would be writable, as the original is. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int log_file_replace(struct log_file *file, const char *reason)
{
	refuse(file, reason);
	return create_new(file);
}

int log_file_renew(struct log_file *file, uint64_t epoch, uint64_t first_seq)
{
	struct log_header *memory = file->header;
	int r;

	/* Readers of the old file see by its lock that nobody writes it any more. */
	file->fd = close_fd(file->fd);
	file->header = NULL;
	r = create(file, NULL, epoch, first_seq);
	if (r < 0) {
		file->header = memory;
		file->cut = false;
		fill_header(file, memory, epoch, first_seq);
		return r;
	}
	munmap(memory, file->size);
	return 0;
}

void log_file_close(struct log_file *file)
{
	unmap_file(file);
	file->directory = close_fd(file->directory);
	file->lock = close_fd(file->lock);
	free(file->name);
	file->name = NULL;
}
