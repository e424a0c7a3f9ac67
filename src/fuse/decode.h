/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUSE_DECODE_H
#define FUSE_DECODE_H

#include "fs/request.h"

/*
 * Reads header, fixed arguments, names and extensions of a request out of the
 * guest's memory, each byte once, and checks them against the op's row. Data of
 * a WRITE and the list of a BATCH_FORGET stay in rq->in.
 *
 * Returns 0, or -errno for the reply. rq->h is zeroed if there is not even a
 * header; rq->op is NULL unless the opcode is known.
 */
int fuse_decode(struct request *rq);

#endif
