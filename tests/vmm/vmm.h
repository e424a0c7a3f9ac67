/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_VMM_H
#define VMM_VMM_H

#include "front.h"
#include "mem.h"
#include "ring.h"

#define VMM_QUEUES_MAX 64

#define VMM_FEATURES (VU_F_VERSION_1 | VU_F_EVENT_IDX | VU_F_INDIRECT_DESC | \
		      VU_F_PROTOCOL_FEATURES | VU_F_LOG_ALL)
#define VMM_PROTOCOL_FEATURES (VU_P_MQ | VU_P_LOG_SHMFD | VU_P_REPLY_ACK | VU_P_BACKEND_REQ | \
			       VU_P_CONFIG | VU_P_RESET_DEVICE | VU_P_CONFIGURE_MEM_SLOTS)

/* The machine to build; zero means the usual for every member. */
struct vmm_opts {
	unsigned int request_queues;	/* besides hiprio; usual: 1 */
	uint32_t queue_size;		/* usual: 1024 */
	uint16_t base;			/* ring index to start from */
	uint64_t without;		/* features not to agree to */
	uint64_t without_protocol;
	uint64_t mem_size;		/* of region 0; usual: 64 MiB */
	const struct mem_spec *regions;	/* instead of the usual single region */
	unsigned int nregions;
	bool stopped;			/* negotiate and set up memory, start no ring */
};

/* A machine: RAM, front-end, rings (0 is hiprio, requests from 1 on). */
struct vmm {
	struct mem mem;
	struct front front;
	struct ring ring[VMM_QUEUES_MAX];
	unsigned int nrings;
};

/* vmm_start() - connect to the socket and set everything up; opts may be NULL.
 * On failure the machine is released. */
int vmm_start(struct vmm *v, const char *socket_path, const struct vmm_opts *opts);
/* vmm_start_on() - the same on a connected socket, which is consumed */
int vmm_start_on(struct vmm *v, int sock, const struct vmm_opts *opts);
void vmm_stop(struct vmm *v);

/* vmm_ring_start() - tell the back-end of one ring as it is now, kick and enable it; the ring's
 * own thread may go on adding to it meanwhile */
int vmm_ring_start(struct vmm *v, struct ring *r, unsigned int base);
/* vmm_ring_addr() - (again) the ring's addresses; log: with dirty logging of the used ring */
int vmm_ring_addr(struct vmm *v, struct ring *r, bool log);
int vmm_ring_stop(struct vmm *v, struct ring *r, unsigned int *ret_base);

#endif
