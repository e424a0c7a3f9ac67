/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user protocol, after its specification in QEMU's documentation
 * ("Vhost-user Protocol"). All fields are in the machine's own byte order.
 */
#ifndef WIRE_VHOST_USER_H
#define WIRE_VHOST_USER_H

#include <stdint.h>

enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_REQUEST_MAX
};

#define VHOST_USER_VERSION 0x1U
#define VHOST_USER_VERSION_MASK 0x3U
#define VHOST_USER_REPLY (1U << 2)
#define VHOST_USER_NEED_REPLY (1U << 3)

/* Virtio feature bits that belong to vhost. */
#define VHOST_F_LOG_ALL_BIT 26
#define VHOST_USER_F_PROTOCOL_FEATURES_BIT 30

enum vhost_user_protocol_feature {
	VHOST_USER_PROTOCOL_F_MQ = 0,
	VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1,
	VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
	VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
	VHOST_USER_PROTOCOL_F_CONFIG = 9,
	VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
	VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
};

struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload, in bytes */
};

/* SET_VRING_NUM, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_ENABLE */
struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};

/* SET_VRING_KICK, _CALL, _ERR: queue index, and a bit for "no descriptor". */
#define VHOST_USER_VRING_INDEX_MASK 0xffU
#define VHOST_USER_VRING_NOFD (1U << 8)

#define VHOST_USER_VRING_F_LOG (1U << 0)
struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc; /* front-end addresses */
	uint64_t used;
	uint64_t avail;
	uint64_t log; /* guest address of the used ring */
};

struct vhost_user_region {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t user_addr;
	uint64_t mmap_offset;
};

/* SET_MEM_TABLE */
#define VHOST_USER_MEM_TABLE_REGIONS 8U
struct vhost_user_mem_table {
	uint32_t nregions;
	uint32_t padding;
	struct vhost_user_region region[VHOST_USER_MEM_TABLE_REGIONS];
};

/* ADD_MEM_REG, REM_MEM_REG */
struct vhost_user_single_region {
	uint64_t padding;
	struct vhost_user_region region;
};

/* SET_LOG_BASE */
struct vhost_user_log {
	uint64_t mmap_size;
	uint64_t mmap_offset;
};

/* One bit of the dirty log stands for this many bytes. */
#define VHOST_LOG_PAGE 4096U

/* GET_CONFIG, SET_CONFIG */
#define VHOST_USER_CONFIG_SIZE_MAX 256U
struct vhost_user_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VHOST_USER_CONFIG_SIZE_MAX];
};

/* The queue index of the vring messages is 8 bits wide. */
#define VHOST_USER_QUEUES_MAX 256U

#endif
