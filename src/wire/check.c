/* SPDX-License-Identifier: BSD-3-Clause */
/* Proves at compile time that the layouts are what the specifications say. */
#include <assert.h>
#include <stddef.h>

#include "wire/fuse.h"
#include "wire/vhost_user.h"
#include "wire/vring.h"

#define SIZE(type, n) static_assert(sizeof(struct type) == (n), #type)
#define AT(type, field, n)                                                     \
	static_assert(offsetof(struct type, field) == (n), #type "." #field)

SIZE(fuse_in_header, 40);
SIZE(fuse_out_header, 16);
SIZE(fuse_init_in, 64);
SIZE(fuse_init_out, 64);
SIZE(fuse_attr, 88);
SIZE(fuse_entry_out, 128);
SIZE(fuse_attr_out, 104);
SIZE(fuse_open_out, 16);
SIZE(fuse_read_in, 40);
SIZE(fuse_write_in, 40);
SIZE(fuse_setattr_in, 88);
SIZE(fuse_getattr_in, 16);
SIZE(fuse_mknod_in, 16);
SIZE(fuse_mkdir_in, 8);
SIZE(fuse_create_in, 16);
SIZE(fuse_rename_in, 8);
SIZE(fuse_rename2_in, 16);
SIZE(fuse_link_in, 8);
SIZE(fuse_release_in, 24);
SIZE(fuse_flush_in, 24);
SIZE(fuse_fsync_in, 16);
SIZE(fuse_statfs_out, 80);
SIZE(fuse_fallocate_in, 32);
SIZE(fuse_lseek_in, 24);
SIZE(fuse_copy_file_range_in, 56);
SIZE(fuse_file_lock, 24);
SIZE(fuse_lk_in, 48);
SIZE(fuse_lk_out, 24);
SIZE(fuse_ioctl_in, 32);
SIZE(fuse_ioctl_out, 16);
SIZE(fuse_syncfs_in, 8);
SIZE(wire_fuse_statx_in, 24);
SIZE(wire_fuse_statx, 256);
SIZE(wire_fuse_statx_out, 288);
SIZE(fuse_batch_forget_in, 8);
SIZE(fuse_forget_one, 16);
AT(fuse_in_header, total_extlen, 36);
AT(fuse_init_in, flags2, 16);
AT(fuse_dirent, name, 24);
AT(fuse_direntplus, dirent, 128);

SIZE(vring_desc, 16);
SIZE(vring_used_elem, 8);
SIZE(wire_virtio_fs_config, 44);

SIZE(vhost_user_header, 12);
SIZE(vhost_user_vring_state, 8);
SIZE(vhost_user_vring_addr, 40);
SIZE(vhost_user_region, 32);
SIZE(vhost_user_mem_table, 264);
SIZE(vhost_user_single_region, 40);
SIZE(vhost_user_log, 16);
SIZE(vhost_user_config, 268);
