/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user wire as the fake VMM knows it: on purpose not the daemon's own definitions,
 * so that a slip there shows.
 */
#ifndef VMM_PROTO_H
#define VMM_PROTO_H

#include <stdint.h>

enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES,
	VU_SET_OWNER,
	VU_RESET_OWNER,
	VU_SET_MEM_TABLE,
	VU_SET_LOG_BASE,
	VU_SET_LOG_FD,
	VU_SET_VRING_NUM,
	VU_SET_VRING_ADDR,
	VU_SET_VRING_BASE,
	VU_GET_VRING_BASE,
	VU_SET_VRING_KICK,
	VU_SET_VRING_CALL,
	VU_SET_VRING_ERR,
	VU_GET_PROTOCOL_FEATURES,
	VU_SET_PROTOCOL_FEATURES,
	VU_GET_QUEUE_NUM,
	VU_SET_VRING_ENABLE,
	VU_SEND_RARP,
	VU_NET_SET_MTU,
	VU_SET_BACKEND_REQ_FD,
	VU_IOTLB_MSG,
	VU_SET_VRING_ENDIAN,
	VU_GET_CONFIG,
	VU_SET_CONFIG,
	VU_CREATE_CRYPTO_SESSION,
	VU_CLOSE_CRYPTO_SESSION,
	VU_POSTCOPY_ADVISE,
	VU_POSTCOPY_LISTEN,
	VU_POSTCOPY_END,
	VU_GET_INFLIGHT_FD,
	VU_SET_INFLIGHT_FD,
	VU_GPU_SET_SOCKET,
	VU_RESET_DEVICE,
	VU_VRING_KICK,
	VU_GET_MAX_MEM_SLOTS,
	VU_ADD_MEM_REG,
	VU_REM_MEM_REG,
	VU_SET_STATUS,
	VU_GET_STATUS,
	VU_GET_SHARED_OBJECT,
	VU_SET_DEVICE_STATE_FD,
	VU_CHECK_DEVICE_STATE,
};

/* Header flags */
#define VU_VERSION	0x1u
#define VU_REPLY	0x4u
#define VU_NEED_REPLY	0x8u

/* Virtio and vhost feature bits */
#define VU_BIT(n)			(1ull << (n))
#define VU_F_LOG_ALL			VU_BIT(26)
#define VU_F_INDIRECT_DESC		VU_BIT(28)
#define VU_F_EVENT_IDX			VU_BIT(29)
#define VU_F_PROTOCOL_FEATURES		VU_BIT(30)
#define VU_F_VERSION_1			VU_BIT(32)

/* Protocol feature bits */
#define VU_P_MQ				VU_BIT(0)
#define VU_P_LOG_SHMFD			VU_BIT(1)
#define VU_P_REPLY_ACK			VU_BIT(3)
#define VU_P_BACKEND_REQ		VU_BIT(5)
#define VU_P_CONFIG			VU_BIT(9)
#define VU_P_BACKEND_SEND_FD		VU_BIT(10)
#define VU_P_INFLIGHT_SHMFD		VU_BIT(12)
#define VU_P_RESET_DEVICE		VU_BIT(13)
#define VU_P_CONFIGURE_MEM_SLOTS	VU_BIT(15)
#define VU_P_DEVICE_STATE		VU_BIT(19)

/* In the u64 of SET_VRING_KICK, CALL and ERR: no descriptor comes with it */
#define VU_VRING_NOFD			0x100u

struct vu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};

struct vu_region {
	uint64_t gpa, size, uaddr, offset;
};

struct vu_state {
	uint32_t index, num;
};

struct vu_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct vu_log {
	uint64_t size, offset;
};

struct vu_config {
	uint32_t offset, size, flags;
	uint8_t data[256];
};

#endif
