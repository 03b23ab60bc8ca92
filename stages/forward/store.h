/* SPDX-License-Identifier: Apache-2.0 */
/* store - the hidden states of the chunks a worker holds, within a memory budget; what does not
 * fit lives in a spill file.
 *
 * Per chunk two areas of bytes: h, the residual stream (f32 [T,d]), which every step reads, and x,
 * whatever else the block's program needs between two stops, written by one step and read by the
 * next. Each has a budget; the areas of the first chunks stay in memory until it is used, the
 * others are read and written at each use (the file is unlinked at once, so nothing is left
 * behind). Which area lies where changes no number. */
#ifndef PTQ_STORE_H
#define PTQ_STORE_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"

struct store;

struct store_room {
    uint64_t h, x; /* bytes that may stay in memory */
};

struct store *store_open(struct store_room budget, const char *tmp_dir, struct err *e);
/* Declares a chunk; returns its number, counted from 0, or -1. Only before the first store_load. */
int store_add(struct store *s, size_t h_bytes, size_t x_bytes, struct err *e);
/* Pointers to the areas of a chunk, valid until the next store_load; content is what was saved
 * (zero at first). x_bytes: how much of x to load. */
int store_load(struct store *s, size_t chunk, size_t x_bytes, void **h, void **x, struct err *e);
/* Says that h (save_h) and x_bytes of x of the loaded chunk have changed. */
int store_save(struct store *s, size_t chunk, int save_h, size_t x_bytes, struct err *e);
uint64_t store_spilled(const struct store *s); /* bytes in the file */
void store_close(struct store **s);

#endif
