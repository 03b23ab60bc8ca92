/* SPDX-License-Identifier: Apache-2.0 */
/* chain_run - for tests: sample, forward, reduce and solve as one process over tiny_model, each
 * commit the solution that was just made. Of each site the sums and the solution are kept as
 * bytes, so that two runs can be compared. */
#ifndef PTQ_TEST_CHAIN_RUN_H
#define PTQ_TEST_CHAIN_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../common/wire/msg_solution.h"
#include "../../stages/forward/forward.h"
#include "../../stages/reduce/reduce.h"
#include "../../stages/sample/sample.h"
#include "../../stages/solve/solve.h"
#include "tiny_model.h"

struct bytes {
    char *at;
    size_t n;
};

struct chain {
    struct solve_opts solve;
    struct par *par;
    struct reduce *reduce;
    struct msg *commit;          /* of the site that was solved last */
    struct bytes sums, grids;    /* S and D; codes, scales and zeros: of all sites */
    double loss[TINY_SITES * 3]; /* of all linears */
    size_t nloss;
};

static inline void chain_need(int ok, const struct err *e)
{
    if (!ok)
        fail_msg("%s", e->text);
}

static inline void bytes_add(struct bytes *b, const struct tensor *t)
{
    if (!t)
        return;
    b->at = realloc(b->at, b->n + t->bytes);
    assert_non_null(b->at);
    memcpy(b->at + b->n, t->data, t->bytes);
    b->n += t->bytes;
}

static inline int chain_solve(void *ctx, struct msg **problem, struct err *e)
{
    struct chain *c = ctx;
    struct solve_note note;
    struct solution_view v;

    bytes_add(&c->sums, msg_tensor(*problem, "S"));
    bytes_add(&c->sums, msg_tensor(*problem, "D"));
    assert_null(c->commit);
    if (!(c->commit = solve_problem(&c->solve, problem, c->par, &note, e)) ||
        solution_read(c->commit, &v, e) < 0)
        return -1;
    for (size_t i = 0; i < c->commit->ntensors; i++)
        bytes_add(&c->grids, &c->commit->tensors[i]);
    for (size_t i = 0; i < v.nlinears; i++) {
        assert_true(c->nloss < sizeof c->loss / sizeof c->loss[0]);
        c->loss[c->nloss++] = v.linear[i].loss;
    }
    c->commit->kind = MSG_COMMIT;
    return 0;
}

static inline int chain_reduce(void *ctx, struct msg **m, struct err *e)
{
    return reduce_push(((struct chain *)ctx)->reduce, m, e);
}

static inline int chain_commit(void *ctx, uint64_t order, struct msg **m, struct err *e)
{
    struct chain *c = ctx;

    (void)order;
    if (!c->commit)
        return err_set(e, ERR_DATA, "the site is not solved yet");
    *m = c->commit;
    c->commit = NULL;
    return 0;
}

/* All chunks of s through the model of `dir`. */
static inline void chain_run(struct chain *c, const char *dir, const struct sample *s,
                             const struct forward_opts *fo, const struct solve_opts *so)
{
    struct forward_io io = {.ctx = c, .emit = chain_reduce, .commit = chain_commit};
    struct err e = {0};
    struct model *m;
    struct forward *f;

    *c = (struct chain){.solve = *so, .par = par_open(1, &e)};
    chain_need(!!c->par, &e);
    chain_need(!!(c->reduce = reduce_open(&(struct reduce_opts){.mem = UINT64_MAX}, c->par,
                                          chain_solve, c, &e)),
               &e);
    chain_need(!!(m = model_open(dir, c->par, &e)), &e);
    chain_need(!!(f = forward_open(m, fo, &e)), &e);
    for (size_t i = 0; i < sample_chunks(s); i++) {
        struct msg *chunk = sample_chunk(s, i, &e);
        chain_need(chunk && forward_add(f, &chunk, &e) == 0, &e);
        msg_destroy(&chunk);
    }
    chain_need(forward_run(f, &io, &e) == 0 && reduce_finish(c->reduce, &e) == 0, &e);
    forward_close(&f);
    model_close(&m);
    reduce_close(&c->reduce);
    par_close(&c->par);
}

static inline void chain_release(struct chain *c)
{
    free(c->sums.at);
    free(c->grids.at);
    msg_destroy(&c->commit);
}

static inline int bytes_same(const struct bytes *a, const struct bytes *b)
{
    return a->n == b->n && memcmp(a->at, b->at, a->n) == 0;
}

#endif
