/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_job - one site of which rows or weights have come: its lanes, what is kept of it, and
 * whether a message fits what came before. A message of one name has one content: who sends it
 * again sends the same, or is refused (ERR_USE, as for all that does not fit). */
#ifndef PTQ_REDUCE_JOB_H
#define PTQ_REDUCE_JOB_H

#include "../../common/wire/msg.h"
#include "reduce_kept.h"
#include "reduce_sink.h"

/* Of the sums of lanes while they are open: the number of the lane. */
#define RANK_TOTAL ((uint64_t)1 << 62)
#define RANK_DONE ((uint64_t)1 << 63)

struct lane {
    uint64_t next; /* the chunk that is added next; first + count: all in */
    uint64_t first, count;
    struct slab_home home;
    struct kept kept;        /* empty when merged, or sent as a partial */
    struct reduce_sink sink; /* of the rows that came here */
    uint64_t *digest;        /* checksums of the chunks that were added; of a partial: its own */
    size_t room;
    int whole; /* it came as a partial */
    /* modalities (1 << m) whose classes came from a reducer of their own, and what came last */
    unsigned apart;
    uint64_t apart_digest;
};

struct job {
    uint64_t order, block, sites, chunks;
    uint64_t nlanes, merged; /* merged: lanes in the total */
    struct kept_how how;     /* how all lanes are summed */
    char site[64];
    size_t K;
    struct lane *lanes;
    struct slab_home home; /* of the total */
    struct kept total;
    int with_d;
    struct msg_expert expert;
    char run[40];
    struct msg *weights;
    size_t weights_k;   /* its inputs */
    struct msg **early; /* acts that came before their turn in the lane */
    size_t nearly, early_cap;
    struct job *next;
};

/* What acts and partials say alike of the site and the division into lanes. */
struct place {
    const char *site;
    uint64_t block, sites, chunks, lanes;
    size_t K;
    int with_d;
    struct kept_how how;
    struct msg_expert expert;
};

/* The first rows or partial of the site. */
int job_start(struct job *j, struct slabs *slabs, const struct msg *m, const struct place *p,
              struct err *e);
void job_destroy(struct job *j);
/* The place of m is that of what came before; weights are of these rows, whichever came first. */
int job_check_place(const struct job *j, const struct msg *m, const struct place *p, struct err *e);
int job_check_weights(const struct job *j, struct err *e);
/* The sums of all tokens for a starved expert are one set, of rows that this reducer has. */
int job_check_expert(const struct msg *m, const struct msg_expert *x, const struct kept_how *how,
                     int partial, struct err *e);
/* A chunk that was added comes again. */
int lane_check_repeat(const struct lane *l, const struct msg *m, uint64_t chunk, struct err *e);
/* m is number `at` of the lane. */
int lane_note_digest(struct lane *l, const struct msg *m, size_t at, struct err *e);
/* Takes *m, which came before its turn, over; once. */
int job_keep_early(struct job *j, struct msg **m, struct err *e);
/* Have chunks of the lane come as rows? */
int job_has_rows(const struct job *j, uint64_t lane);
/* All rows of a lane are in, and the classes that are summed elsewhere. */
int lane_is_whole(const struct lane *l, unsigned apart);
/* Nothing of a lane, or all of it. */
int job_is_whole(const struct job *j);
int job_differs(const struct msg *m, struct err *e); /* says so: -1 */

/* The weights move out of their message into m, to where a solver on this host can read them. */
int job_move_weights(struct job *j, struct msg *m, struct err *e);

#endif
