/* SPDX-License-Identifier: Apache-2.0 */
/* forward_held - a chunk that a worker has leased, as it is kept through the run. Private to the
 * stage. */
#ifndef PTQ_FORWARD_HELD_H
#define PTQ_FORWARD_HELD_H

#include "../../common/model/seen.h"
#include "../../common/model/sites.h"
#include "../../common/wire/msg_chunk.h"

struct held {
    struct msg *msg; /* owns ids, lengths, weights; without the pixels of its images */
    uint64_t sum;    /* checksum as it came */
    struct chunk_view view;
    float *w;         /* [T] weights of the block at work; NULL: those of the chunk */
    struct seen seen; /* what its images are in the decoder */
    void *kept;       /* [kept_room] of the tower's block at work; NULL: nothing */
    size_t kept_room;
    size_t place; /* in the stores, once it has begun */
    int begun;
    /* Where it goes on: at this block, those before have passed already; stop 0: before it, else
     * at this stop of it, which has been run. */
    size_t from, stop;
    uint64_t commits; /* that it has come there with: as forward.passed */
    /* Of the block at work, where states are kept: the stop at which the stream was, 0: before the
     * block; with which commits; and the first step behind the last stop that was kept. */
    struct {
        size_t stop, next;
        uint64_t commits;
    } stream;
};

/* tower: its blocks are yet to be run (seen_begin). The message is taken over, *chunk is NULL; its
 * images are looked at, then only token ids and what the tower made of them are kept: pixels are
 * the most of it, and there are never two copies. *c is to be released also after an error. */
int held_make(struct held *c, struct model *m, struct msg **chunk, int tower, struct err *e);
void held_release(struct held *c);
struct rows held_rows(const struct held *c);
/* Seen from the stop of s it goes on before that (< 0), at it, or behind it (> 0). */
int held_place(const struct held *c, const struct site *s);
/* Bytes of what the tower made of the images of all: there until all hidden states have begun. */
uint64_t held_features(const struct held *c, size_t count);

#endif
