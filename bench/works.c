/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

extern const struct work work_empty, work_read, work_write, work_read_mib, work_write_mib,
	work_direct_read, work_sync, work_getattr, work_lookup, work_cold, work_missing,
	work_mkdir, work_rename, work_open_read, work_create, work_untar, work_readdir,
	work_readdirplus, work_tree, work_nodes, work_slow, work_slow_base, work_lock,
	work_lock_base, work_idle;

const struct work *const works[] = {
	&work_empty, &work_read, &work_write, &work_read_mib, &work_write_mib,
	&work_direct_read, &work_sync, &work_getattr, &work_lookup, &work_cold, &work_missing,
	&work_open_read, &work_create, &work_mkdir, &work_rename, &work_readdir,
	&work_readdirplus, &work_tree, &work_untar, &work_nodes, &work_slow, &work_slow_base,
	&work_lock, &work_lock_base, &work_idle, NULL,
};
