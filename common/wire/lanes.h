/* SPDX-License-Identifier: Apache-2.0 */
/* lanes - which lanes a process holds, as people and ptq-sample --only-lanes read it: "0,3-5". */
#ifndef PTQ_LANES_H
#define PTQ_LANES_H

#include <stddef.h>
#include <stdint.h>

/* Of chunks in their order, the lane of each; "" of none. -1: it does not fit into size. */
int lanes_print(const uint64_t *lane, size_t chunks, char *out, size_t size);

#endif
