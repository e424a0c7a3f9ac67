/* SPDX-License-Identifier: BSD-3-Clause */
#include "hostile.h"

static uint64_t state;

uint64_t random_seed_from_env(void)
{
	const char *s = getenv("HOSTILE_SEED");

	return s ? strtoull(s, NULL, 0) : (uint64_t)wait_now_ns();
}

void random_seed(uint64_t seed)
{
	state = seed;
}

/* splitmix64 */
uint64_t random_u64(void)
{
	uint64_t x = state += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

uint32_t random_below(uint32_t n)
{
	return (random_u64() >> 32) * n >> 32;
}

bool random_one_in(uint32_t n)
{
	return random_below(n) == 0;
}

void random_bytes(void *buf, size_t len)
{
	uint8_t *p = buf;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t x = random_u64();

		memcpy(p, &x, 8);
	}
	while (len--)
		*p++ = random_u64();
}

uint64_t random_odd(void)
{
	uint64_t power = 1ull << random_below(64);

	switch (random_below(6)) {
	case 0:
		return random_below(16);
	case 1:
		return power;
	case 2:
		return power - 1 - random_below(8);
	case 3:
		return -(uint64_t)random_below(4096);
	case 4:
		return power + random_below(4096);
	default:
		return random_u64();
	}
}
