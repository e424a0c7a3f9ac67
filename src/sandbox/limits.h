/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SANDBOX_LIMITS_H
#define SANDBOX_LIMITS_H

/*
 * Raises the limit of open files: to @wanted, or as high as is useful if that
 * is below 0, or not at all if it is 0. What cannot be had is said in the log
 * and is no error.
 */
int limits_raise_nofile(long wanted);

#endif
