/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/file.h>

#include "lockers.h"

static const char *const both[] = { "-o", "posix_lock,flock", NULL };

struct guest locker[LOCKERS];
uint64_t node, fh;

static void attach(void)
{
	for (unsigned int i = 0; i < LOCKERS; i++) {
		ok(guest_attach(&locker[i], &fx.v, 2 + i, 4096));
		locker[i].pid = 100 + i;
	}
}

void lockers_open(void)
{
	node = func_node("f");
	fh = func_open(node, O_RDWR);
}

void lockers_start(void)
{
	lockers_start_with(both);
}

void lockers_start_with(const char *const *args)
{
	func_start_with(args, &(struct vmm_opts){ .request_queues = 1 + LOCKERS });
	attach();
	host_text("f", "0123456789");
	lockers_open();
}

void lockers_hang_up(void)
{
	for (unsigned int i = 0; i < LOCKERS; i++)
		guest_detach(&locker[i]);
	func_hang_up();
}

void lockers_end(void)
{
	lockers_hang_up();

	int status = daemon_stop(&fx.d);

	ck_assert_msg(status == 0, "the daemon ended with %d", status);
}

struct guest_lock posix(uint64_t owner, uint32_t type, uint64_t first, uint64_t last)
{
	return (struct guest_lock){ node, fh, owner, first, last, type, 0 };
}

struct guest_lock whole(uint64_t by, uint32_t type)
{
	return (struct guest_lock){ node, by, 7, ALL, type, FUSE_LK_FLOCK };
}

int set(struct guest_lock l)
{
	return guest_setlk(&fx.g, &l);
}

void ask(unsigned int i, struct guest_lock l)
{
	ok(guest_setlkw_send(&locker[i], &locker[i].call, &l));
}

bool answered(unsigned int i)
{
	struct ring *r = locker[i].ring;

	return __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) != r->used_idx;
}

/* The same, and it is in line when this returns: the next to come is behind it. */
void ask_and_wait(unsigned int i, struct guest_lock l)
{
	struct ring *r = locker[i].ring;
	int64_t deadline = wait_now_ms() + wait_scaled(5000);

	ask(i, l);
	/* it asks for the next kick once it is done with this one */
	while (__atomic_load_n(ring_avail_event(r), __ATOMIC_ACQUIRE) != r->avail_idx &&
	       wait_now_ms() < deadline)
		wait_sleep_ms(1);
	ck_assert(!answered(i));
}

int answer(unsigned int i)
{
	return guest_wait_for(&locker[i], &locker[i].call);
}

void expect_waiting(unsigned int i)
{
	wait_sleep_ms(20);
	ck_assert_msg(!answered(i), "waiter %u: %s", i, strerror(-answer(i)));
}

int host_lock(short type, off_t first, off_t len, int how)
{
	struct flock l = { .l_type = type, .l_start = first, .l_len = len };
	int fd = host(open(host_path("f"), O_RDWR | O_CLOEXEC));

	host(fcntl(fd, how, &l));
	return fd;
}

bool host_is_free(void)
{
	struct flock l = { .l_type = F_WRLCK };
	int fd = host(open(host_path("f"), O_RDWR | O_CLOEXEC));
	bool is = fcntl(fd, F_OFD_SETLK, &l) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;

	close(fd);
	return is;
}
