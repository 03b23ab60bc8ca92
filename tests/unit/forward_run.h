/* SPDX-License-Identifier: Apache-2.0 */
/* forward_run - the golden's sequences 0 and 1 as two chunks through the forward stage's core, and
 * what it emits. */
#ifndef PTQ_FORWARD_RUN_H
#define PTQ_FORWARD_RUN_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../common/base/fs.h"
#include "../../common/tensor/blas.h"
#include "../../common/tensor/safetensors.h"
#include "../../common/wire/msg_chunk.h"
#include "../../common/wire/msg_solution.h"
#include "../../stages/forward/forward.h"
#include "../../stages/forward/forward_begin.h"

#define DIR "tests/golden/conformance/llama3"
#define GATE (20 * 2.2e-5f) /* 20 x the f32 - f64 difference that the golden's README measured */

struct recorder {
    size_t n;
    struct msg *m[4096];
    int wrong_commit, other_run, other_codes;
    size_t going, block;          /* chunks that go on from kept states, and where */
    char site[32];                /* the same; "": before the block */
    char ran[32];                 /* the first site to which a chunk was run */
    size_t ran_block;             /* of that */
    size_t lost;                  /* it ends when it waits for the commit of this site; 0: not */
    char bad[512];                /* why one is not used */
    const struct recorder *first; /* a whole run, whose weights are committed; NULL: its own */
    size_t asked;                 /* commits */
    struct tensor committed[64];  /* NAME.weight, F32, as dequantized */
    size_t ncommitted;
    /* chunk 1 is there, 0 comes while it runs; NULL: both are there */
    const struct st_set *late;
    struct forward *f;
    const char *golden; /* folder with the sequences; NULL: DIR */
    uint64_t vocab;     /* of them; 0: 320 */
    size_t came;        /* how often it has asked; at the last -1 is the answer, where fails */
    int fails;
};

static int record(void *ctx, struct msg **m, struct err *e)
{
    struct recorder *r = ctx;

    (void)e;
    assert_true(r->n < 4096);
    r->m[r->n++] = *m;
    *m = NULL;
    return 0;
}

static void goes_on(void *ctx, size_t chunks, size_t block, const char *site, const struct err *bad)
{
    struct recorder *r = ctx;

    r->going = chunks;
    r->block = block;
    snprintf(r->site, sizeof r->site, "%s", site ? site : "");
    snprintf(r->bad, sizeof r->bad, "%s", bad ? bad->text : "");
}

static void progress(void *ctx, size_t block, const char *site, size_t done, size_t chunks)
{
    struct recorder *r = ctx;

    (void)done;
    (void)chunks;
    if (*r->ran)
        return;
    r->ran_block = block;
    snprintf(r->ran, sizeof r->ran, "%s", site);
}

static void recorder_clear(struct recorder *r)
{
    for (size_t i = 0; i < r->n; i++)
        msg_destroy(&r->m[i]);
    for (size_t i = 0; i < r->ncommitted; i++)
        tensor_release(&r->committed[i]);
    r->n = r->ncommitted = 0;
}

/* The golden's sequences 0 and 1 as two chunks. */
static struct msg *chunk_of(const struct st_set *g, uint64_t i, uint64_t vocab)
{
    struct err e = {0};
    char name[32];
    struct tensor ids;
    int32_t id[512], length;
    struct chunk_view v = {
        .chunk = i, .chunks = 2, .lane = i, .lanes = 2, .vocab = vocab, .nseq = 1};
    struct msg *m;

    snprintf(name, sizeof name, "input_ids.%d", (int)i);
    assert_non_null(st_find(g, name));
    assert_int_equal(st_load(g, st_find(g, name), &ids, &e), 0);
    for (size_t t = 0; t < ids.shape[0]; t++)
        id[t] = (int32_t)((int64_t *)ids.data)[t];
    length = (int32_t)ids.shape[0];
    v.T = ids.shape[0];
    v.ids = id;
    v.lengths = &length;
    m = chunk_write(&v, "test", &e);
    if (!m)
        fail_msg("%s", e.text);
    tensor_release(&ids);
    return m;
}

static void add(const struct recorder *r, struct forward *f, const struct st_set *g, uint64_t i)
{
    struct err e = {0};
    struct msg *c = chunk_of(g, i, r->vocab ? r->vocab : 320);

    if (forward_add(f, &c, &e) < 0)
        fail_msg("%s", e.text);
    msg_destroy(&c);
}

static int more(void *ctx, struct err *e)
{
    struct recorder *r = ctx;
    static const uint64_t next[] = {0, 1}; /* one that is there already may come again */

    assert_int_equal(r->n, r->came ? 3 : 1); /* what is there is emitted first */
    if (r->came == 2)
        return r->fails ? err_set(e, ERR_DATA, "cut short") : 0;
    add(r, r->f, r->late, next[r->came++]);
    return 1;
}

/* Runs both chunks; what was emitted is in r. Returns what forward_run returned. */
static int run(const char *dir, const struct forward_opts *o, struct recorder *r,
               int (*commit)(void *, uint64_t, struct msg **, struct err *), struct err *e)
{
    char *path = fs_join(r->golden ? r->golden : DIR, "golden.safetensors", e);
    struct st_set *g = st_open(path, e);
    struct par *par = par_open(1, e);
    struct model *m = model_open(dir, par, e);
    struct forward *f;
    struct forward_io io = {
        .ctx = r, .emit = record, .commit = commit, .goes_on = goes_on, .progress = progress};
    char lanes[4];
    int rc;

    assert_true(g && m);
    f = forward_open(m, o, e);
    assert_false(forward_may_begin(f));
    add(r, f, g, 1);
    assert_int_equal(forward_may_begin(f), o->mem > 0 && !o->state && !o->from_site);
    r->f = f;
    if (r->late) {
        r->late = g;
        io.more = more;
    } else {
        add(r, f, g, 0);
    }
    rc = forward_run(f, &io, e);
    assert_true(forward_chunks(f) == 2 && forward_lanes(f, lanes, sizeof lanes) == 0);
    assert_string_equal(lanes, "0-1");
    forward_close(&f);
    model_close(&m);
    par_close(&par);
    st_close(&g);
    free(path);
    return rc;
}

/* Codes of 8 bits per row for a weight; what they stand for is kept in r. */
static void add_codes(struct recorder *r, struct msg *m, const struct tensor *w, struct err *e)
{
    uint64_t shape[2] = {w->shape[0], w->shape[1]}, groups[2] = {w->shape[0], 1};
    char name[TENSOR_NAME + 16];
    struct tensor *f = &r->committed[r->ncommitted++];
    uint8_t *codes;
    double *scales;
    float *v;

    assert_true(r->ncommitted <= sizeof r->committed / sizeof *r->committed);
    snprintf(name, sizeof name, "%.150s.weight", w->name);
    assert_int_equal(tensor_alloc(f, name, DT_F32, 2, shape, e), 0);
    v = f->data;
    assert_int_equal(dtype_to_f32(w->dtype, w->data, shape[0] * shape[1], v), 0);
    snprintf(name, sizeof name, "%s.codes", w->name);
    codes = msg_add_new(m, name, DT_U8, 2, shape, e);
    snprintf(name, sizeof name, "%s.scales", w->name);
    scales = msg_add_new(m, name, DT_F64, 2, groups, e);
    for (size_t n = 0; n < shape[0]; n++, v += shape[1], codes += shape[1]) {
        float most = 0;
        for (size_t k = 0; k < shape[1]; k++)
            most = fmaxf(most, fabsf(v[k]));
        scales[n] = (double)most / 127;
        for (size_t k = 0; k < shape[1]; k++) {
            codes[k] = (uint8_t)(lrint((double)v[k] / scales[n]) + 128);
            v[k] = (float)(scales[n] * (codes[k] - 128));
        }
    }
}

static int commit_8bit(void *ctx, uint64_t order, struct msg **out, struct err *e)
{
    struct recorder *r = ctx;
    const struct recorder *from = r->first ? r->first : r;
    struct solution_view v = {
        .order = r->wrong_commit ? order + 1 : order, .solver = "test", .damp = 0};
    struct msg *weights = NULL;
    struct weights_view w;
    struct msg *m;

    r->asked++;
    if (r->lost && r->lost == order)
        return err_set(e, ERR_SYS, "lost");
    for (size_t i = 0; i < from->n && !weights; i++)
        if (from->m[i]->kind == MSG_WEIGHTS && weights_read(from->m[i], &w, e) == 0 &&
            w.order == order)
            weights = from->m[i];
    assert_non_null(weights);
    v.sites = w.sites;
    v.block = w.block;
    v.site = w.site;
    v.K = w.K;
    v.nlinears = weights->ntensors;
    for (size_t i = 0; i < v.nlinears; i++)
        v.linear[i] = (struct solution_linear){.name = weights->tensors[i].name,
                                               .N = weights->tensors[i].shape[0],
                                               .K = w.K,
                                               .G = 1,
                                               .bits = 8,
                                               .group = -1,
                                               .grid = "sym",
                                               .asym_loss = NAN};
    m = solution_create(&v, "test", e);
    assert_non_null(m);
    m->kind = MSG_COMMIT;
    snprintf(m->run, sizeof m->run, "%s", r->other_run ? "another" : weights->run);
    for (size_t i = 0; i < v.nlinears; i++)
        add_codes(r, m, &weights->tensors[i], e);
    if (r->other_codes)
        *(uint8_t *)m->tensors[0].data ^= 1;
    *out = m;
    return 0;
}

#endif
