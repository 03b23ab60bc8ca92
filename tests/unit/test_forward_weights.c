/* SPDX-License-Identifier: Apache-2.0 */
/* Token weights by modality: bad ratios and chunks that do not say what their tokens are,
 * weights by hand, and through the stages: rows of weight 0 are rows left out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../common/tensor/blas.h"
#include "../../common/wire/msg_chunk.h"
#include "../../common/wire/msg_problem.h"
#include "../../stages/forward/forward.h"
#include "../../stages/forward/forward_weights.h"
#include "../../stages/reduce/reduce.h"
#include "tiny_model.h"

enum { T = 24, LENGTH = 12 };

static char root[] = "/tmp/ptq-modality-XXXXXX", model[64];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(root))
        return -1;
    snprintf(model, sizeof model, "%s/model", root);
    tiny_model(model);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return fs_remove_tree(root, NULL);
}

static void ratios(void **state)
{
    static const char *const bad[] = {
        "",        "text",          "text=",           "text=.",         "text=x",
        "text=-1", "text=nan",      "text=inf",        "text=1e31",      "audio=1",
        "text=1,", "text=1,text=2", "text=1 image=2",  "text=1;image=2", "text=0,image=0",
        ",",       "Image=1",       "text=1,image=2,x"};
    double m[2];
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (modality_ratios_parse(bad[i], "--modality-weights", m, &e) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(e.kind, ERR_USE);
        assert_non_null(strstr(e.text, "--modality-weights"));
    }
    assert_int_equal(modality_ratios_parse("image=.25", "--mix", m, &e), 0);
    assert_true(m[0] == 1 && m[1] == 0.25);
    assert_int_equal(modality_ratios_parse("image=1,text=0", "--mix", m, &e), 0);
    assert_true(m[0] == 0 && m[1] == 1);
}

static void weights_by_hand(void **state)
{
    static const int32_t n[] = {4, 2, 2};
    static const uint8_t modality[] = {0, 0, 1, 1, 1, 1, 0, 0};
    const struct rows r = {.T = 8, .nseq = 3, .lengths = n};
    const struct weigh_clip none = {0, 0}, some = {0.5, 1.5};
    float w[8] = {1, 1, 1, 1, 1, 1, 1, 1}, of_attention[8] = {3, 1, 2, 2, 1, 1, 1, 3};

    (void)state;
    assert_int_equal(forward_weights_share(&r, modality, (const double[]){1, 0.25}, &none, w), 0);
    /* 1 1 1/4 1/4 over 5/8; a sequence of one modality counts alike */
    for (size_t t = 0; t < 8; t++)
        assert_true(fabsf(w[t] - (t < 2 ? 1.6f : t < 4 ? 0.4f : 1)) <= 1e-6f);
    assert_int_equal(
        forward_weights_share(&r, modality, (const double[]){1, 0.25}, &some, of_attention), 0);
    /* 3 1 .5 .5 over 5/4 = 2.4 .8 .4 .4, clipped 1.5 .8 .5 .5 over 3.3/4; 1 1; .5 1.5 */
    assert_true(fabsf(of_attention[0] - 1.5f * 4 / 3.3f) <= 1e-6f &&
                fabsf(of_attention[1] - 0.8f * 4 / 3.3f) <= 1e-6f);
    assert_true(fabsf(of_attention[2] - 0.5f * 4 / 3.3f) <= 1e-6f &&
                fabsf(of_attention[7] - 1.5f) <= 1e-6f);
    for (size_t t = 0; t < 8; t++)
        w[t] = 1;
    /* the second has images only */
    assert_int_equal(forward_weights_share(&r, modality, (const double[]){3, 0}, &none, w), 1);
    assert_true(w[0] == 2 && w[1] == 2 && w[4] == 1 && w[5] == 1 && w[6] == 1);
    assert_true(fpclassify(w[2]) == FP_ZERO && fpclassify(w[3]) == FP_ZERO);
}

/* What ptq-forward emits for one chunk of two sequences of 12 tokens. */
struct seen {
    struct msg *acts[TINY_SITES], *weights[TINY_SITES];
    size_t nacts, nweights;
};

static int see(void *ctx, struct msg **m, struct err *e)
{
    struct seen *s = ctx;

    (void)e;
    if ((*m)->kind == MSG_ACTS)
        s->acts[s->nacts++] = *m;
    else
        s->weights[s->nweights++] = *m;
    *m = NULL;
    return 0;
}

static void seen_release(struct seen *s)
{
    for (size_t i = 0; i < s->nacts; i++)
        msg_destroy(&s->acts[i]);
    for (size_t i = 0; i < s->nweights; i++)
        msg_destroy(&s->weights[i]);
}

/* The middle half of each sequence is an image. each NULL, or the weight of both sequences in
 * each block. */
static struct msg *chunk_with(const float *weights, int with_modality, const float *each,
                              size_t blocks)
{
    static const int32_t lengths[2] = {LENGTH, LENGTH};
    int32_t ids[T];
    uint8_t modality[T];
    struct chunk_view v = {.chunks = 1,
                           .lanes = 1,
                           .vocab = TINY_VOCAB,
                           .T = T,
                           .nseq = 2,
                           .ids = ids,
                           .lengths = lengths,
                           .weights = weights,
                           .blocks = blocks,
                           .block_weights = each};
    struct err e = {0};
    struct msg *m;

    for (int32_t t = 0; t < T; t++) {
        ids[t] = (t * 7 + 3) % TINY_VOCAB;
        modality[t] = t % LENGTH >= 3 && t % LENGTH < 9;
    }
    v.modality = with_modality ? modality : NULL;
    if (!(m = chunk_write(&v, "test", &e)))
        fail_msg("%s", e.text);
    return m;
}

static struct msg *chunk_of(const float *weights, int with_modality)
{
    return chunk_with(weights, with_modality, NULL, 0);
}

static int is_image(size_t t)
{
    return t % LENGTH >= 3 && t % LENGTH < 9;
}

/* modality NULL: not weighed by it. *c goes. */
static void forward_chunk(const double *modality, struct msg *c, int attention, struct seen *s)
{
    struct forward_opts o = {.acts = DT_F32,
                             .order = FORWARD_FULL,
                             .attention_weights = attention,
                             .weight_min = 0.01,
                             .mem = 1 << 24,
                             .tmp = "/tmp"};
    struct forward_io io = {.ctx = s, .emit = see};
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct model *m = model_open(model, par, &e);
    struct forward *f;

    *s = (struct seen){.nacts = 0};
    if (modality) {
        o.by_modality = 1;
        memcpy(o.modality, modality, sizeof o.modality);
    }
    assert_non_null(m);
    f = forward_open(m, &o, &e);
    if (forward_add(f, &c, &e) < 0 || forward_run(f, &io, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(forward_one_modality(f), 0);
    assert_int_equal(forward_zero(f), 0);
    assert_int_equal(s->nacts, TINY_SITES);
    msg_destroy(&c);
    forward_close(&f);
    model_close(&m);
    par_close(&par);
}

static void forward_one(const double *modality, const float *weights, int attention, struct seen *s)
{
    forward_chunk(modality, chunk_of(weights, 1), attention, s);
}

static void chunks_must_say_it(void **state)
{
    struct forward_opts o = {.acts = DT_F32,
                             .order = FORWARD_FULL,
                             .by_modality = 1,
                             .modality = {1, 0.5},
                             .mem = 1 << 24,
                             .tmp = "/tmp"};
    int32_t ids[2] = {1, 2}, length = 2;
    uint8_t text[2] = {0, 0};
    struct chunk_view v = {.chunks = 1,
                           .lanes = 1,
                           .vocab = TINY_VOCAB,
                           .T = 2,
                           .nseq = 1,
                           .ids = ids,
                           .lengths = &length,
                           .modality = text};
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct model *m = model_open(model, par, &e);
    struct forward *f = forward_open(m, &o, &e);
    struct msg *c = chunk_of(NULL, 0);

    (void)state;
    assert_int_equal(forward_add(f, &c, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "'modality'"));
    msg_destroy(&c);
    c = chunk_write(&v, "test", &e);
    assert_int_equal(forward_add(f, &c, &e), 0);
    assert_int_equal(forward_one_modality(f), 1);
    msg_destroy(&c);
    forward_close(&f);
    model_close(&m);
    par_close(&par);
}

static float weight(const struct msg *m, size_t t)
{
    return ((const float *)msg_tensor(m, "w")->data)[t];
}

/* Rows stay what they are; every site has the weights, times those of the chunk, times those of
 * attention. */
static void every_site_is_weighed(void **state)
{
    const double ratio[2] = {1, 0.25}, equal[2] = {0.1, 0.1};
    float given[T];
    struct seen plain, image, both, attention, all, same;

    (void)state;
    for (size_t t = 0; t < T; t++)
        given[t] = t < LENGTH ? 0.5f : 0.125f;
    forward_one(NULL, NULL, 0, &plain);
    forward_one(ratio, NULL, 0, &image);
    forward_one(ratio, given, 0, &both);
    forward_one(NULL, NULL, 1, &attention);
    forward_one(ratio, NULL, 1, &all);
    forward_one(equal, NULL, 0, &same);
    for (size_t i = 0; i < TINY_SITES; i++) {
        assert_null(msg_tensor(plain.acts[i], "w"));
        assert_memory_equal(msg_tensor(plain.acts[i], "x")->data,
                            msg_tensor(image.acts[i], "x")->data,
                            msg_tensor(image.acts[i], "x")->bytes);
        for (size_t s = 0; s < T; s += LENGTH) {
            double sum = 0;

            for (size_t t = s; t < s + LENGTH; t++)
                sum += (double)weight(attention.acts[i], t) * (is_image(t) ? 0.25 : 1);
            for (size_t t = s; t < s + LENGTH; t++) {
                double want =
                    (double)weight(attention.acts[i], t) * (is_image(t) ? 0.25 : 1) * LENGTH / sum;

                assert_true(fabsf(weight(image.acts[i], t) - (is_image(t) ? 0.4f : 1.6f)) <= 1e-6f);
                assert_true(weight(both.acts[i], t) == weight(image.acts[i], t) * given[t]);
                assert_true(fabs((double)weight(all.acts[i], t) - want) <= 1e-6 * want);
                assert_true(weight(same.acts[i], t) == 1.0f);
            }
        }
    }
    seen_release(&plain);
    seen_release(&image);
    seen_release(&both);
    seen_release(&attention);
    seen_release(&all);
    seen_release(&same);
}

/* In each block its own, times all others; the rows stay what they are. */
static void sequences_weigh_in_each_block(void **state)
{
    static const float each[TINY_LAYERS][2] = {{1.5f, 0.5f}, {0, 2}};
    struct forward_opts o = {.acts = DT_F32, .order = FORWARD_FULL, .mem = 1 << 24, .tmp = "/tmp"};
    float given[T];
    struct seen plain, blocks, attention, all;
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct model *m = model_open(model, par, &e);
    struct forward *f = forward_open(m, &o, &e);
    struct msg *c = chunk_with(NULL, 0, (const float[]){1, 1}, 1);

    (void)state;
    assert_int_equal(forward_add(f, &c, &e), -1);
    assert_non_null(strstr(e.text, "weights in 1 blocks, but the model has 2"));
    msg_destroy(&c);
    forward_close(&f);
    model_close(&m);
    par_close(&par);
    for (size_t t = 0; t < T; t++)
        given[t] = (float)(t % 5) / 4;
    forward_one(NULL, NULL, 0, &plain);
    forward_chunk(NULL, chunk_with(NULL, 1, each[0], TINY_LAYERS), 0, &blocks);
    forward_one(NULL, given, 1, &attention);
    forward_chunk(NULL, chunk_with(given, 1, each[0], TINY_LAYERS), 1, &all);
    for (size_t i = 0; i < TINY_SITES; i++) {
        const struct tensor *x = msg_tensor(plain.acts[i], "x");

        assert_memory_equal(x->data, msg_tensor(blocks.acts[i], "x")->data, x->bytes);
        for (size_t t = 0; t < T; t++) {
            const float want = each[i / TINY_BLOCK_SITES][t / LENGTH];

            assert_true(weight(blocks.acts[i], t) == want);
            assert_true(weight(all.acts[i], t) == weight(attention.acts[i], t) * want);
        }
    }
    seen_release(&plain);
    seen_release(&blocks);
    seen_release(&attention);
    seen_release(&all);
}

/* A chunk with weights for one site. */
static struct msg *chunk_for(const char *site, int64_t block, const float *w, const float *weights)
{
    const uint64_t shape[2] = {1, T};
    struct msg *c = chunk_of(weights, 1);
    struct json *list = json_new_array(), *x = json_new_object();
    struct err e = {0};

    json_set_int(x, "block", block);
    json_set_text(x, "site", site);
    json_push(list, x);
    json_set(c->meta, "site_weights", list);
    memcpy(msg_add_new(c, "site_weights", DT_F32, 2, shape, &e), w, T * sizeof *w);
    return c;
}

static void add_refused(struct msg *c, const char *words)
{
    struct forward_opts o = {.acts = DT_F32, .order = FORWARD_FULL, .mem = 1 << 24, .tmp = "/tmp"};
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct model *m = model_open(model, par, &e);
    struct forward *f = forward_open(m, &o, &e);

    assert_int_equal(forward_add(f, &c, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
    msg_destroy(&c);
    forward_close(&f);
    model_close(&m);
    par_close(&par);
}

/* Weights of a single site are multiplied in there and nowhere else; what the stage does not know
 * goes on with all rows. */
static void of_one_site(void **state)
{
    struct seen plain, given, both;
    float of_site[T], of_chunk[T];
    struct msg *c;
    struct err e = {0};
    size_t hit = 0;

    (void)state;
    for (size_t t = 0; t < T; t++) {
        of_site[t] = (float)(t % 3);
        of_chunk[t] = 0.25f + (float)(t % 5);
    }
    add_refused(chunk_for("attn.o", TINY_LAYERS, of_site, NULL), "no such site");
    add_refused(chunk_for("attn.kv", 0, of_site, NULL), "attn.kv of block 0");
    forward_one(NULL, NULL, 0, &plain);
    forward_one(NULL, of_chunk, 0, &given);
    c = chunk_for("mlp.down", 1, of_site, of_chunk);
    json_set_text(c->meta, "origin", "a film");
    memcpy(msg_add_new(c, "depth", DT_F32, 1, (const uint64_t[]){T}, &e), of_site, sizeof of_site);
    forward_chunk(NULL, c, 0, &both);
    for (size_t i = 0; i < TINY_SITES; i++) {
        const struct msg *m = both.acts[i];
        const struct tensor *x = msg_tensor(plain.acts[i], "x");
        const int here = strcmp(m->id, "b1.mlp.down/c0") == 0;

        hit += here != 0;
        assert_memory_equal(x->data, msg_tensor(m, "x")->data, x->bytes);
        for (size_t t = 0; t < T; t++)
            assert_true(weight(m, t) == weight(given.acts[i], t) * (here ? of_site[t] : 1));
        assert_memory_equal(msg_tensor(m, "depth")->data, of_site, sizeof of_site);
        assert_string_equal(json_as_text(json_get(m->meta, "origin")), "a film");
        assert_non_null(msg_tensor(m, "modality"));
    }
    assert_int_equal(hit, 1);
    seen_release(&plain);
    seen_release(&given);
    seen_release(&both);
    c = chunk_of(NULL, 1); /* the name is taken by the rows of acts */
    memcpy(msg_add_new(c, "x", DT_F32, 1, (const uint64_t[]){T}, &e), of_site, sizeof of_site);
    add_refused(c, "tensor 'x'");
}

static int keep(void *ctx, struct msg **m, struct err *e)
{
    (void)e;
    *(struct msg **)ctx = *m;
    *m = NULL;
    return 0;
}

/* The problem of the second block's attn.o, from these rows. */
static struct msg *problem_of(struct msg *acts, struct msg *weights)
{
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct msg *problem = NULL;
    struct reduce *r =
        reduce_open(&(struct reduce_opts){.mem = UINT64_MAX}, par, keep, &problem, &e);

    if (reduce_push(r, &weights, &e) < 0 || reduce_push(r, &acts, &e) < 0)
        fail_msg("%s", e.text);
    assert_non_null(problem);
    reduce_close(&r);
    par_close(&par);
    return problem;
}

/* The text rows of m alone, without weights. */
static struct msg *text_only(const struct msg *m)
{
    static const int32_t lengths[2] = {LENGTH / 2, LENGTH / 2};
    struct acts_view v;
    struct err e = {0};
    const float *from;
    struct msg *out;
    void *x;

    assert_int_equal(acts_read(m, &v, &e), 0);
    from = v.x->data;
    v.T = T / 2;
    v.lengths = lengths;
    v.w = NULL;
    assert_non_null(out = acts_write(&v, DT_F32, &x, NULL, "test", &e));
    for (size_t t = 0, at = 0; t < T; t++)
        if (!is_image(t))
            memcpy((float *)x + at++ * v.K, from + t * v.K, v.K * sizeof *from);
    return out;
}

/* Half of each sequence is an image, so its text bears weight 2: over the sum of weights that is
 * the mean over text. */
static void weight_zero_is_left_out(void **state)
{
    const size_t at = TINY_BLOCK_SITES + 1;
    struct seen image, plain;
    struct problem_view v, w;
    struct msg *left, *zero;
    struct err e = {0};
    const double *a, *b;
    size_t other = 0;

    (void)state;
    forward_one((const double[]){1, 0}, NULL, 0, &image);
    forward_one(NULL, NULL, 0, &plain);
    left = problem_of(text_only(plain.acts[at]), plain.weights[at]);
    zero = problem_of(image.acts[at], image.weights[at]);
    image.acts[at] = image.weights[at] = plain.weights[at] = NULL;
    assert_int_equal(problem_read(left, &v, &e) || problem_read(zero, &w, &e), 0);
    assert_true(v.sum_w == T / 2 && v.tokens == T / 2);
    assert_true(w.sum_w == T && w.sum_w2 == 4 * T / 2 && w.tokens == T);
    /* the effective sample size that the journal tells */
    assert_true(w.sum_w * w.sum_w / w.sum_w2 == T / 2);
    a = v.S->data;
    b = w.S->data;
    for (size_t i = 0; i < v.K; i++)
        for (size_t k = 0; k <= i; k++) {
            const size_t cell = i * (i + 1) / 2 + k;
            /* T products summed in f32, each of two rows times sqrt(2) rounded twice; |x_i x_k|
             * sums to at most sqrt(S_ii S_kk) */
            const double size = sqrt(a[i * (i + 1) / 2 + i] * a[k * (k + 1) / 2 + k]);
            if (!(fabs(a[cell] / v.sum_w - b[cell] / w.sum_w) <= (T + 6) * 6e-8 * size / v.sum_w))
                fail_msg("S[%zu,%zu]: %.9g, without images %.9g", i, k, b[cell] / w.sum_w,
                         a[cell] / v.sum_w);
            other += fabs(a[cell]) > 1e-3 * size;
        }
    assert_true(other > v.K);
    msg_destroy(&left);
    msg_destroy(&zero);
    seen_release(&image);
    seen_release(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ratios),
        cmocka_unit_test(chunks_must_say_it),
        cmocka_unit_test(weights_by_hand),
        cmocka_unit_test(sequences_weigh_in_each_block),
        cmocka_unit_test(every_site_is_weighed),
        cmocka_unit_test(of_one_site),
        cmocka_unit_test(weight_zero_is_left_out),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("forward_weights", tests, set_up, tear_down);
}
