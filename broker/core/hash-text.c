// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core/hash-text.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint64_t secret[2];

/* Early at boot there may be no random bytes yet: better a key that is hard to guess than to wait. */
__attribute__((constructor)) static void make_secret(void)
{
	struct timespec now;

	if (getrandom(secret, sizeof(secret), GRND_NONBLOCK) == sizeof(secret))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	secret[0] = (uint64_t)now.tv_sec ^ (uint64_t)(uintptr_t)&now;
	secret[1] = (uint64_t)now.tv_nsec ^ (uint64_t)(uintptr_t)make_secret << 20;
}

static uint64_t rotate(uint64_t word, int by)
{
	return word << by | word >> (64 - by);
}

static void mix(uint64_t v[static 4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static void take(uint64_t v[static 4], uint64_t word)
{
	v[3] ^= word;
	mix(v);
	v[0] ^= word;
}

uint32_t hash_text(const void *data, size_t size)
{
	uint64_t v[4] = { secret[0] ^ UINT64_C(0x736f6d6570736575), secret[1] ^ UINT64_C(0x646f72616e646f6d),
			  secret[0] ^ UINT64_C(0x6c7967656e657261),
			  secret[1] ^ UINT64_C(0x7465646279746573) };
	const unsigned char *at = data;
	uint64_t word;

	for (size_t left = size; left >= sizeof(word); left -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		take(v, word);
	}
	word = (uint64_t)size << 56;
	for (size_t i = 0; i < size % sizeof(word); i++)
		word |= (uint64_t)at[i] << 8 * i;
	take(v, word);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		mix(v);
	word = v[0] ^ v[1] ^ v[2] ^ v[3];
	return (uint32_t)(word ^ word >> 32);
}
