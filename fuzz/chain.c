/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A walk over descriptors that are all the input's: size of the ring, head, and
 * then memory, from the ring's table on. Regions: two that touch, a gap, a third.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "fuzz.h"
#include "virtio/chain.h"

#define REGION 0x1000ULL

static const uint64_t places[] = { 0x10000, 0x10000 + REGION, 0x20000 };
#define REGIONS (sizeof(places) / sizeof(places[0]))

static struct memmap map;
static struct region_record records[MEMMAP_REGIONS_MAX];
static struct iovec iov[CHAIN_IOV_MAX];
static char *memory[REGIONS];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	memmap_init(&map, records);
	for (size_t i = 0; i < REGIONS; i++) {
		int fd = fd_adopt(memfd_create("guest", MFD_CLOEXEC));
		size_t n;

		must(ftruncate(fd, REGION) == 0);
		must(memmap_add(&map, places[i], REGION, places[i], 0, &fd) == 0);
		memory[i] = memmap_gpa(&map, places[i], REGION, &n);
		must(n == REGION);
	}
	return 0;
}

static void check_piece(const struct iovec *v)
{
	uint64_t gpa;
	size_t n;

	must(v->iov_len > 0);
	must(memmap_to_gpa(&map, v->iov_base, &gpa, &n));
	/* A piece may go on in another region, if that is mapped next to it. */
	must(memmap_to_gpa(&map, (char *)v->iov_base + v->iov_len - 1, &gpa, &n));
}

static void check_bytes(const struct iovec *v, size_t n)
{
	uint64_t all = 0;

	for (size_t i = 0; i < n; i++) {
		check_piece(&v[i]);
		all += v[i].iov_len;
	}
	must(all <= CHAIN_BYTES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint16_t num = (uint16_t)(1U << (input_u8(&in) % 10));
	uint16_t head = input_u8(&in) % num;
	struct chain c = { .iov = iov };
	const char *wrong;

	for (size_t i = 0; i < REGIONS; i++) {
		size_t n;
		const uint8_t *at = input_bytes(&in, REGION, &n);

		memset(memory[i], 0, REGION);
		memcpy(memory[i], at, n);
	}
	wrong = chain_walk(&c, &map, (const void *)memory[0], num, head);
	must(c.n_read + c.n_write <= CHAIN_IOV_MAX);
	if (!wrong) {
		must(c.n_read + c.n_write > 0);
		check_bytes(c.iov, c.n_read);
		check_bytes(chain_write_iov(&c), c.n_write);
	}
	return 0;
}
