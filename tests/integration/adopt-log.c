// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * adopt-log FILE - make a log of another boot one of this boot, and change nothing else
 *
 * A broker replaces a log that is older than the boot of its machine. Tests have logs that were written elsewhere. Exit status:
 * 77 where it was written by a machine of another byte order.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log-format.h"

/* Return: whether the kernel said it. */
static _Bool read_boot_id(uint8_t id[static 16])
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	int n = 0;

	while (file && n < 16 && fscanf(file, "%2hhx%*[-]", &id[n]) == 1)
		n++;
	if (file)
		fclose(file);
	return n == 16;
}

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	struct log_header *header;

	if (fd < 0 || lseek(fd, 0, SEEK_END) < LOG_HEADER_SIZE) {
		fprintf(stderr, "usage: %s FILE, a log\n", argv[0]);
		return 1;
	}
	header = mmap(NULL, LOG_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (header == MAP_FAILED) {
		perror(argv[1]);
		return 1;
	}
	if (header->magic == __builtin_bswap64(LOG_MAGIC))
		return 77;
	if (header->magic != LOG_MAGIC ||
	    header->check != log_check(0, header, offsetof(struct log_header, check))) {
		fprintf(stderr, "%s is not a log\n", argv[1]);
		return 1;
	}
	if (!read_boot_id(header->boot_id)) {
		fprintf(stderr, "the kernel has no boot id\n");
		return 1;
	}
	header->check = log_check(0, header, offsetof(struct log_header, check));
	return 0;
}
