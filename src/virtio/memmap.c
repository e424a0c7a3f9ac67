/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio/memmap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/guestmem.h"
#include "base/recall.h"

/* Guest memory is gone, and whom to tell: the signal handler's. */
static int vanished_fd = -1;
static atomic_bool vanished;

void memmap_init(struct memmap *m, struct region_record *records)
{
	memset(m, 0, sizeof(*m));
	m->record = records;
}

/* The unit in which the file can be mapped: a huge page or the normal one. */
static int file_page_size(int fd, size_t *ret)
{
	struct statfs sf;

	if (fstatfs(fd, &sf) < 0)
		return -errno;
	*ret = sf.f_type == HUGETLBFS_MAGIC ? (size_t)sf.f_bsize :
					      (size_t)sysconf(_SC_PAGESIZE);
	return 0;
}

/* syscalls: fstat fstatfs mmap madvise */
static int map_region(struct region *r, uint64_t size, uint64_t mmap_offset,
		      int fd)
{
	uint64_t end, start;
	struct stat st;
	void *p;
	int e;

	if (size == 0 || add_overflow(mmap_offset, size, &end) ||
	    end > INT64_MAX || end > SIZE_MAX)
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* Other kinds (a DAX device) have no size; mmap() says what fits. */
	if (S_ISREG(st.st_mode) && end > (uint64_t)st.st_size)
		return -EINVAL;
	e = file_page_size(fd, &r->page);
	if (e < 0)
		return e;
	if (!is_power_of_2(r->page))
		return -EINVAL;

	start = round_down(mmap_offset, r->page);
	r->map_len = round_up(end - start, r->page);
	p = mmap(NULL, r->map_len, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_NORESERVE, fd, (off_t)start);
	if (p == MAP_FAILED)
		return -errno;
	/* A guest's memory does not belong into our core dump. */
	(void)madvise(p, r->map_len, MADV_DONTDUMP);
	r->map = p;
	r->hva = r->map + (mmap_offset - start);
	return 0;
}

static bool overlaps(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a < b_end && b < a_end;
}

static int check_place(const struct memmap *m, uint64_t gpa, uint64_t size,
		       uint64_t uaddr)
{
	uint64_t end, uend;

	if (size == 0 || add_overflow(gpa, size, &end) ||
	    add_overflow(uaddr, size, &uend))
		return -EINVAL;
	for (uint32_t i = 0; i < m->n; i++) {
		const struct region *r = &m->region[i];

		if (overlaps(gpa, end, r->gpa, r->end) ||
		    overlaps(uaddr, uend, r->uaddr,
			     r->uaddr + (r->end - r->gpa)))
			return -EEXIST;
	}
	return m->n == MEMMAP_REGIONS_MAX ? -ENOSPC : 0;
}

static struct region_record *free_record(struct memmap *m)
{
	for (uint32_t i = 0; i < MEMMAP_REGIONS_MAX; i++)
		if (!m->record[i].valid)
			return &m->record[i];
	ASSERT(!"as many records as regions");
	return NULL;
}

/* Sorted by address. */
static void insert(struct memmap *m, const struct region *new)
{
	uint32_t at = m->n++;

	for (; at > 0 && m->region[at - 1].gpa > new->gpa; at--)
		m->region[at] = m->region[at - 1];
	m->region[at] = *new;
}

int memmap_add(struct memmap *m, uint64_t gpa, uint64_t size, uint64_t uaddr,
	       uint64_t mmap_offset, int *fd_taken)
{
	_cleanup_close_ int fd = fd_take(fd_taken);
	struct region new = { .gpa = gpa, .end = gpa + size, .uaddr = uaddr };
	int r;

	r = check_place(m, gpa, size, uaddr);
	if (r < 0)
		return r;
	r = map_region(&new, size, mmap_offset, fd);
	if (r < 0)
		return r;

	new.record = free_record(m);
	new.record->gpa = gpa;
	new.record->size = size;
	new.record->uaddr = uaddr;
	new.record->mmap_offset = mmap_offset;
	new.record->fd = fd_take(&fd);
	atomic_store_explicit(&new.record->valid, 1, memory_order_release);
	insert(m, &new);
	return 0;
}

static int attach_region(struct memmap *m, struct region_record *rec)
{
	struct region new = { .gpa = rec->gpa, .end = rec->gpa + rec->size,
			      .uaddr = rec->uaddr, .record = rec };
	int r = check_place(m, rec->gpa, rec->size, rec->uaddr);

	if (r == 0)
		r = recall_fd(rec->fd);
	if (r == 0)
		r = map_region(&new, rec->size, rec->mmap_offset, rec->fd);
	if (r == 0)
		insert(m, &new);
	return r;
}

int memmap_attach(struct memmap *m)
{
	int r = 0;

	for (uint32_t i = 0; i < MEMMAP_REGIONS_MAX && r == 0; i++)
		if (m->record[i].valid)
			r = attach_region(m, &m->record[i]);
	return r;
}

static void drop(struct memmap *m, uint32_t at)
{
	struct region *r = &m->region[at];
	int fd = r->record->fd;

	munmap(r->map, r->map_len);
	atomic_store_explicit(&r->record->valid, 0, memory_order_release);
	(void)fd_close(&fd);
	memmove(r, r + 1, (m->n - at - 1) * sizeof(*r));
	m->n--;
}

int memmap_remove(struct memmap *m, uint64_t gpa, uint64_t size, uint64_t uaddr)
{
	for (uint32_t i = 0; i < m->n; i++) {
		const struct region *r = &m->region[i];

		if (r->gpa == gpa && r->end - r->gpa == size &&
		    r->uaddr == uaddr) {
			drop(m, i);
			return 0;
		}
	}
	return -ENOENT;
}

void memmap_clear(struct memmap *m)
{
	while (m->n)
		drop(m, m->n - 1);
	atomic_store(&vanished, false);
}

/* The last region that begins at or below @gpa, if @gpa is inside. */
static const struct region *find_gpa(const struct memmap *m, uint64_t gpa)
{
	uint32_t lo = 0, hi = m->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (m->region[mid].gpa <= gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || gpa >= m->region[lo - 1].end)
		return NULL;
	return &m->region[lo - 1];
}

void *memmap_gpa(const struct memmap *m, uint64_t gpa, size_t len,
		 size_t *ret_len)
{
	const struct region *r = find_gpa(m, gpa);

	if (!r || len == 0)
		return NULL;
	*ret_len = (size_t)min_u64(len, r->end - gpa);
	return r->hva + (gpa - r->gpa);
}

void *memmap_uaddr(const struct memmap *m, uint64_t uaddr, size_t len)
{
	uint64_t end;

	if (add_overflow(uaddr, (uint64_t)len, &end))
		return NULL;
	for (uint32_t i = 0; i < m->n; i++) {
		const struct region *r = &m->region[i];

		if (uaddr >= r->uaddr && end <= r->uaddr + (r->end - r->gpa))
			return r->hva + (uaddr - r->uaddr);
	}
	return NULL;
}

bool memmap_to_gpa(const struct memmap *m, const void *ptr, uint64_t *ret_gpa,
		   size_t *ret_len)
{
	const char *p = ptr;

	for (uint32_t i = 0; i < m->n; i++) {
		const struct region *r = &m->region[i];

		if (p >= r->hva && p < r->hva + (r->end - r->gpa)) {
			*ret_gpa = r->gpa + (uint64_t)(p - r->hva);
			*ret_len = (size_t)(r->end - *ret_gpa);
			return true;
		}
	}
	return false;
}

static bool all_zero(const char *p, size_t len)
{
	bool zero;

	guestmem_begin();
	zero = len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
	guestmem_end();
	return zero;
}

/* Holes are passed over: a look at them would fill them. syscalls: lseek */
static bool region_is_zero(const struct region *r)
{
	off_t start = (off_t)r->record->mmap_offset;
	off_t end = start + (off_t)r->record->size, at = start, hole;
	/* Opened anew, as the position of the other is the front-end's too. */
	_cleanup_close_ int fd = fd_openat(AT_FDCWD,
					   fd_name(r->record->fd).s, O_RDONLY, 0);

	if (fd < 0)
		return false;
	for (;;) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0 || at >= end)
			return at >= 0 || errno == ENXIO;
		hole = lseek(fd, at, SEEK_HOLE);
		if (hole < 0)
			return false;
		if (hole > end)
			hole = end;
		if (!all_zero(r->hva + (at - start), (size_t)(hole - at)))
			return false;
		at = hole;
	}
}

bool memmap_is_shared(const struct memmap *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (!region_is_zero(&m->region[i]))
			return true;
	return m->n == 0;
}

/*
 * SIGBUS. The handler reads the region table without a lock: it runs in a
 * thread that is touching guest memory, which excludes any change of it.
 */
static struct memmap *guarded;
static struct {
	char *start;
	size_t len;
} guarded_extra;

static bool replace_page(char *start, size_t len, size_t page, char *addr)
{
	char *at;

	if (!start || addr < start || addr >= start + len)
		return false;
	at = start + round_down((uint64_t)(addr - start), page);
	return mmap(at, page, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
		    0) != MAP_FAILED;
}

static bool is_guarded(char *addr)
{
	for (uint32_t i = 0; guarded && i < guarded->n; i++) {
		const struct region *r = &guarded->region[i];

		if (replace_page(r->map, r->map_len, r->page, addr))
			return true;
	}
	return replace_page(guarded_extra.start, guarded_extra.len,
			    (size_t)sysconf(_SC_PAGESIZE), addr);
}

/* syscalls: mmap write rt_sigaction */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	const uint64_t one = 1;
	int saved = errno;

	if (info->si_code <= 0 || !is_guarded(info->si_addr)) {
		/* A bug of ours: the access is repeated and kills us. */
		signal(sig, SIG_DFL);
		return;
	}
	if (!atomic_exchange(&vanished, true) &&
	    write(vanished_fd, &one, sizeof(one)) < 0) {
		/* The control thread also looks at the flag. */
	}
	errno = saved;
}

int memmap_catch_sigbus(struct memmap *m, int event_fd)
{
	struct sigaction sa = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};

	guarded = m;
	vanished_fd = event_fd;
	atomic_store(&vanished, false);
	sigemptyset(&sa.sa_mask);
	return sigaction(SIGBUS, &sa, NULL) < 0 ? -errno : 0;
}

void memmap_guard_extra(void *start, size_t len)
{
	guarded_extra.start = start;
	guarded_extra.len = len;
}

bool memmap_vanished(void)
{
	return atomic_load(&vanished);
}
