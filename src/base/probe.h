/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Probes for bpftrace(8), perf(1) and SystemTap: an instruction that does nothing
 * until somebody looks, and nothing at all where the program was built without
 * <sys/sdt.h>. doc/watching.md has what they say.
 */
#ifndef BASE_PROBE_H
#define BASE_PROBE_H

#ifdef HAVE_SDT
#include <sys/sdt.h>
#define probe_request_start(opcode, nodeid, unique)                            \
	DTRACE_PROBE3(virtiofsd, request_start, opcode, nodeid, unique)
#define probe_request_done(opcode, error, ns, unique)                          \
	DTRACE_PROBE4(virtiofsd, request_done, opcode, error, ns, unique)
#else
#define probe_request_start(opcode, nodeid, unique) ((void)0)
#define probe_request_done(opcode, error, ns, unique) ((void)0)
#endif

#endif
