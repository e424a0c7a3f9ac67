/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection to syslog that is made once and outlives the way to its socket.
 *
 * The C library's closes and reopens its descriptor as it likes. Processes that
 * share descriptors cannot have that, and in a sandbox there is nothing to
 * reopen.
 */
#ifndef BASE_SYSLOG_H
#define BASE_SYSLOG_H

#include <stddef.h>

/* Connects. Without a syslog, whatever is sent is lost. */
void syslog_open(void);

/* Sends one line at this priority (LOG_INFO, ...). Any thread. */
void syslog_send(int priority, const char *line, size_t len);

/* The descriptor, or -1. */
int syslog_fd(void);

#endif
