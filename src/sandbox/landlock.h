/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SANDBOX_LANDLOCK_H
#define SANDBOX_LANDLOCK_H
#include <stdbool.h>

/*
 * For this process and those it makes: files are opened, made and removed in
 * the share alone, whose root @root_fd is, unless they are opened @by_handle;
 * /proc is read alone; TCP, abstract Unix sockets, and signals to other
 * processes are refused; so is a look into other processes. As much of it as
 * the kernel has. 0, or -errno said in the log: what the kernel has not is no
 * error.
 */
int landlock_close(int root_fd, int proc_fd, bool by_handle);

#endif
