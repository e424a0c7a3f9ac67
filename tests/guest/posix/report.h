/* SPDX-License-Identifier: BSD-3-Clause */
/* The report of the check that runs: in shared memory, so that what a process said before
 * it crashed, and what its children say, is there. */
#ifndef REPORT_H
#define REPORT_H

int report_init(void);
void report_start(const char *name);
void report_end(const char *how);       /* prints it */

#endif
