/* SPDX-License-Identifier: BSD-3-Clause */
/* Split virtqueues and feature bits (VIRTIO 1.2, sections 2.7 and 6). */
#ifndef WIRE_VRING_H
#define WIRE_VRING_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

/* The largest split ring (VIRTIO 1.2, 2.7). */
#define WIRE_VRING_SIZE_MAX 32768U

/* struct virtio_fs_config (VIRTIO 1.2, 5.11.4). The header of some build
 * machines lacks the last field. */
#define WIRE_VIRTIO_FS_TAG_LEN 36U
struct wire_virtio_fs_config {
	__u8 tag[WIRE_VIRTIO_FS_TAG_LEN]; /* UTF-8, padded with NUL */
	__le32 num_request_queues;
	__le32 notify_buf_size;
} __attribute__((packed));

#endif
