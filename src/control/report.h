/* SPDX-License-Identifier: BSD-3-Clause */
/* The answers of the control socket, each one line of JSON into a stream. */
#ifndef CONTROL_REPORT_H
#define CONTROL_REPORT_H

#include <stdio.h>

#include "control/control.h"

void report_status(const struct control_view *v, FILE *f);
void report_stats(const struct control_view *v, FILE *f);

/* One request; finds out what its path is. */
void report_request(const struct control_view *v, const struct trace_record *r,
		    FILE *f);

/* {"error": ...} */
void report_error(FILE *f, const char *what);

/* {"@what": true} */
void report_done(FILE *f, const char *what);
void report_missed(FILE *f, uint64_t n);

/* The opcode with this name, or 0. */
uint32_t report_opcode(const char *name);

#endif
