// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * chroot-abi {i386|x32} DIRECTORY - chroot(2) as 32-bit programs call it
 *
 * Ends with the errno of the call, or 0.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define X32_BIT	    0x40000000
#define CHROOT	    161
#define CHROOT_I386 61

static long call_i386(const char *path)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(CHROOT_I386), "b"(path)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static long call_x32(const char *path)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(CHROOT | X32_BIT), "D"(path)
			 : "memory", "rcx", "r11");
	return result;
}

int main(int argc, char **argv)
{
	/* An address of 32 bits. */
	char *path = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	size_t len;

	if (argc != 3 || path == MAP_FAILED)
		return EINVAL;
	len = strlen(argv[2]) + 1;
	if (len > 4096)
		return ENAMETOOLONG;
	memcpy(path, argv[2], len);
	return (int)-(strcmp(argv[1], "x32") == 0 ? call_x32(path) : call_i386(path));
}
