/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole device with its queues, without a front-end: the test is the control
 * thread and the guest's driver at the same time.
 */
#ifndef UNIT_MACHINE_H
#define UNIT_MACHINE_H

#include "client.h"
#include "device/device.h"
#include "driver.h"

#define MACHINE_QUEUES 4U
/* Each queue has its rings and its buffers in a part of guest memory. */
#define MACHINE_PART 0x400000ULL
#define MACHINE_DATA 0x100000ULL

struct machine {
	struct client c; /* arena, share and session */
	struct device dev;
	struct gmem g;
	struct driver d[MACHINE_QUEUES];
	struct crew *w[MACHINE_QUEUES];
	unsigned int n;
	int control_fd;
};

/* Queues 1 to n run with rings of @num descriptors; no INIT yet. */
void machine_start(struct machine *m, unsigned int n, uint32_t num);
/* The same, with device_set_pool() and device_set_poll(). */
void machine_start_with(struct machine *m, unsigned int n, uint32_t num,
			long pool, unsigned int poll_us);
void machine_stop(struct machine *m);

/* Ring @i as a driver sets it up that begins anew. */
void machine_start_ring(struct machine *m, unsigned int i, uint32_t num);
/* The ring goes on where it stood. */
void machine_resume_ring(struct machine *m, unsigned int i);

/* The guest addresses of request and reply of descriptors @head, @head + 1. */
uint64_t machine_in(unsigned int i, uint16_t head);
uint64_t machine_out(unsigned int i, uint16_t head);
#define MACHINE_SLOT 8192U

/* Puts a request into the ring; its reply has @room bytes (0: no descriptor).
 * Published and kicked by machine_kick(). */
void machine_offer(struct machine *m, unsigned int i, uint16_t head,
		   const struct call *k, uint32_t room);
void machine_kick(struct machine *m, unsigned int i);

/* Control thread: INIT and the like, if one waits. */
void machine_control(struct machine *m);

/* Waits for the next used entry while it does the control thread's work.
 * False if there is none within @ms. The error of the reply, if wanted. */
bool machine_wait(struct machine *m, unsigned int i, unsigned int ms,
		  struct vring_used_elem *ret, int *ret_error);

/* One request there and back. Returns its error. */
int machine_call(struct machine *m, unsigned int i, const struct call *k);

int machine_init_session(struct machine *m, unsigned int i);

#endif
