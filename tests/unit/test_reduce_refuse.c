/* SPDX-License-Identifier: Apache-2.0 */
/* reduce: what cannot be is refused by name, before memory is taken for it; a message of one name
 * has one content. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../stages/reduce/reduce.h"
#include "reduce_acts.h"

static int drop(void *ctx, struct msg **m, struct err *e)
{
    (void)ctx;
    (void)e;
    msg_destroy(m);
    return 0;
}

static void push_refused(struct reduce *r, struct msg *m, const char *words)
{
    struct err e = {0};

    assert_int_equal(reduce_push(r, &m, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
}

static void push(struct reduce *r, struct msg *m)
{
    struct err e = {0};

    if (reduce_push(r, &m, &e) != 0)
        fail_msg("%s", e.text);
}

static struct msg *acts_changed(uint64_t chunk)
{
    struct msg *m = acts_of(chunk, DT_F32, NULL);

    ((float *)msg_tensor(m, "x")->data)[7] = 1;
    return m;
}

static struct msg *weights_changed(void)
{
    struct msg *m = weights_of();

    ((float *)msg_tensor(m, "l.q")->data)[7] = -1;
    return m;
}

/* A name has one content: what was added, what waits for its turn, and the weights. */
static void other_contents_are_refused(void **state)
{
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct reduce *r =
        reduce_open(&(struct reduce_opts){.mem = 1 << 20, .tmp = "/tmp"}, par, drop, NULL, &e);

    (void)state;
    push(r, acts_of(0, DT_F32, NULL));
    push(r, acts_of(0, DT_F32, NULL));
    push_refused(r, dual_of(1, NULL), "some chunks have the rows of the full-precision model");
    push_refused(r, acts_changed(0), "'b0.attn.qkv/c0' came before with other contents");
    push(r, acts_of(3, DT_F32, NULL)); /* early */
    push(r, acts_of(3, DT_F32, NULL));
    push_refused(r, acts_changed(3), "'b0.attn.qkv/c3' came before with other contents");
    push(r, weights_of());
    push(r, weights_of());
    push_refused(r, weights_changed(), "'b0.attn.qkv/w' came before with other contents");
    reduce_close(&r);
    par_close(&par);
}

/* Asked before memory is taken. */
static void what_no_run_has_is_refused(void **state)
{
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct reduce *r =
        reduce_open(&(struct reduce_opts){.mem = 1 << 20, .tmp = "/tmp"}, par, drop, NULL, &e);
    const int32_t length = 1;
    struct acts_view v = {.sites = 1,
                          .site = "attn.qkv",
                          .chunks = 100000000,
                          .lanes = 100000000,
                          .lane_count = 1,
                          .T = 1,
                          .K = NK,
                          .nseq = 1,
                          .lengths = &length};
    struct msg *m;
    void *x;

    (void)state;
    m = acts_write(&v, DT_F32, &x, NULL, "test", &e);
    memset(x, 0, NK * sizeof(float));
    push_refused(r, m, "'lanes'");
    v.lanes = v.chunks = 1;
    v.K = (size_t)1 << 20;
    m = acts_write(&v, DT_F32, &x, NULL, "test", &e);
    memset(x, 0, v.K * sizeof(float));
    push_refused(r, m, "1048576 inputs: their sums would take 4 TiB");
    m = weights_of();
    ((float *)msg_tensor(m, "l.q")->data)[7] = INFINITY;
    push_refused(r, m, "'l.q' holds 1 NaN or infinite");
    push(r, weights_of());
    v.K = NK + 1;
    m = acts_write(&v, DT_F32, &x, NULL, "test", &e);
    memset(x, 0, v.K * sizeof(float));
    push_refused(r, m, "weights with 37 inputs do not match the rows of 'b0.attn.qkv/w' with 38");
    reduce_close(&r);
    par_close(&par);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_run_has_is_refused),
        cmocka_unit_test(other_contents_are_refused),
    };
    return cmocka_run_group_tests_name("reduce_refuse", tests, NULL, NULL);
}
