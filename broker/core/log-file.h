/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The file of a log: locked, preallocated, mapped, and replaced by a new one if it is not valid. Only log.c uses it.
 */

#include <signal.h>
#include <sys/types.h>

#include "core/log.h"
#include "log-format.h"

struct log_file {
	struct log_header *header; /* the mapping of the whole file */
	int fd;			   /* of the same; open as long as it is mapped */
	uint64_t size;
	char *name; /* in the directory */
	gid_t group;
	int directory; /* O_PATH */
	int lock;      /* holds the lock as long as this broker lives */
	uint8_t boot_id[16];
	volatile sig_atomic_t cut; /* its storage is gone: see log_file_renew() */
	enum log_origin origin;
	char reason[64];
};

/*
 * log_file_open() - map the log at @path, or a new one if there is none, or its header says that it cannot be continued
 * If origin is LOG_REOPENED, its records are still to be checked. Return: 0, LOG_E_BUSY, LOG_E_FOREIGN, or a negative errno.
 */
int log_file_open(struct log_file *file, const char *path, uint64_t n_blocks, gid_t group);

/* log_file_share() - a new descriptor of it, for reading only, or a negative errno */
int log_file_share(const struct log_file *file);

/* log_file_replace() - use a new file instead, because of @reason */
int log_file_replace(struct log_file *file, const char *reason);

/*
 * log_file_renew() - after @cut was set: use a new file, with the same epoch, whose first event is @first_seq
 * A file that is cut raises SIGBUS where its mapping is used. Then empty memory takes the place of the whole mapping, so that the
 * broker goes on. Only one file of a program is protected in this way, the one that was mapped last.
 * Return: 0, or a negative errno: then it is a log in memory, which nobody else can read.
 */
int log_file_renew(struct log_file *file, uint64_t epoch, uint64_t first_seq);

/* A zeroed or closed one is allowed if its descriptors are -1. */
void log_file_close(struct log_file *file);
