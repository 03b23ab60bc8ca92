/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_acts - rows and weights of a made-up site for the tests of the reducer: CHUNKS chunks in
 * LANES lanes, two sequences of 20 and 30 rows each. */
#ifndef PTQ_TEST_REDUCE_ACTS_H
#define PTQ_TEST_REDUCE_ACTS_H

#include "../../common/base/rng.h"
#include "../../common/wire/msg_chunk.h"

#define NK 37
#define NT 50
#define CHUNKS 7
#define LANES 3

static float value(uint64_t chunk, size_t i)
{
    struct rng r;

    rng_seed(&r, chunk, i);
    return (float)rng_normal(&r);
}

/* One chunk of two sequences; weight: NULL, or one per sequence. */
static struct msg *acts_of(uint64_t chunk, enum dtype type, const float *weight)
{
    static const int32_t lengths[2] = {20, 30};
    struct err e = {0};
    struct acts_view v = {.block = 0,
                          .order = 0,
                          .sites = 1,
                          .site = "attn.qkv",
                          .chunk = chunk,
                          .chunks = CHUNKS,
                          .lanes = LANES,
                          .T = NT,
                          .K = NK,
                          .nseq = 2,
                          .lengths = lengths};
    float rows[NT * NK], w[NT];
    struct msg *m;
    void *x;

    while ((v.lane + 1) * CHUNKS / LANES <= chunk)
        v.lane++;
    v.lane_first = v.lane * CHUNKS / LANES;
    v.lane_count = (v.lane + 1) * CHUNKS / LANES - v.lane_first;
    for (size_t t = 0; weight && t < NT; t++)
        w[t] = weight[t >= 20];
    v.w = weight ? w : NULL;
    m = acts_write(&v, type, &x, NULL, "test", &e);
    assert_non_null(m);
    for (size_t i = 0; i < NT * NK; i++)
        rows[i] = value(chunk, i);
    assert_int_equal(dtype_from_f32(type, rows, NT * NK, x), 0);
    return m;
}

/* The same with rows of the full-precision model: x plus a drift. */
static inline struct msg *dual_of(uint64_t chunk, const float *weight)
{
    struct err e = {0};
    struct msg *m = acts_of(chunk, DT_F32, weight);
    const float *x = msg_tensor(m, "x")->data;
    uint64_t shape[2] = {NT, NK};
    float *xf = msg_add_new(m, "xf", DT_F32, 2, shape, &e);

    for (size_t i = 0; i < NT * NK; i++)
        xf[i] = x[i] + 0.125f * value(chunk + 1000, i);
    return m;
}

static inline struct msg *weights_of(void)
{
    struct err e = {0};
    struct json *linears = json_new_array(), *l = json_new_object();
    struct weights_view v = {
        .block = 0, .order = 0, .sites = 1, .site = "attn.qkv", .K = NK, .linears = linears};
    uint64_t shape[2] = {4, NK};
    struct msg *m;
    float *w;

    json_set_text(l, "name", "l.q");
    json_set_int(l, "rows", 4);
    json_push(linears, l);
    m = weights_create(&v, "test", &e);
    assert_non_null(m);
    w = msg_add_new(m, "l.q", DT_F32, 2, shape, &e);
    for (size_t i = 0; i < 4 * NK; i++)
        w[i] = (float)i;
    json_destroy(&linears);
    return m;
}

#endif
