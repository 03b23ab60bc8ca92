/* SPDX-License-Identifier: Apache-2.0 */
/* test_importance - weights from gradients: clips, selection, tokens that a site does not get; the
 * ratios of MBQ and their floor; what chunks are refused; the same weights however many chunks are
 * worked on together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/tensor/blas.h"
#include "../../common/text/role.h"
#include "../../common/wire/modality.h"
#include "../../stages/importance/importance.h"
#include "../../stages/importance/importance_local.h"
#include "../../stages/importance/importance_weights.h"
#include "model_run.h"

#define OWN "tests/golden/conformance/qwen3"

static const struct importance_opts plain = {.select = 1, .clip = {0.1, 10}};

static void weigh(const struct importance_opts *o, float *g, size_t n, int told)
{
    struct err e = {0};

    assert_int_equal(weights_of_tokens(g, n, o, &e), told);
}

static void near(float a, double b)
{
    assert_true(fabs((double)a - b) <= 1e-6 * fmax(1, fabs(b)));
}

static void mean_one_clipped_and_again(void **state)
{
    float g[] = {1, 1, 2, 0}, far[20] = {1000}, none[3] = {0}, bad[2] = {INFINITY, 1};

    (void)state;
    weigh(&plain, g, 4, 1); /* 1, 1, 2, 0.1 over 1.025 */
    near(g[0], 1 / 1.025);
    near(g[2], 2 / 1.025);
    near(g[3], 0.1 / 1.025);
    weigh(&plain, far, 20, 1); /* 10, 0.1 ..., their mean is 11.9 / 20 */
    near(far[0], 10 / 0.595);
    near(far[19], 0.1 / 0.595);
    weigh(&plain, none, 3, 0);
    assert_true(none[0] == 1 && none[2] == 1);
    weigh(&plain, bad, 2, 0);
    assert_true(bad[0] == 1 && bad[1] == 1);
}

static void only_the_largest(void **state)
{
    const struct importance_opts half = {.select = 0.5, .clip = {0.1, 10}},
                                 few = {.select = 0.01, .clip = {0.1, 10}},
                                 square = {.select = 1, .clip = {0.1, 10}, .squared = 1};
    float g[] = {1, 3, 3, 2, 3}, one[] = {1, 2, 3}, s[] = {1, 2, 1};

    (void)state;
    weigh(&half, g, 5, 1); /* three of five: those with 3 */
    assert_true(g[0] == 0 && g[3] == 0);
    near(g[1], 5.0 / 3);
    near(g[4], 5.0 / 3);
    weigh(&few, one, 3, 1);
    assert_true(one[0] == 0 && one[1] == 0);
    near(one[2], 3);
    weigh(&square, s, 3, 1);
    near(s[0], 0.5);
    near(s[1], 2);
}

static void tokens_of_other_experts_count_one(void **state)
{
    float g[] = {NAN, 1, NAN, 3}, all[] = {NAN, NAN};

    (void)state;
    weigh(&plain, g, 4, 1);
    assert_true(g[0] == 1 && g[2] == 1);
    near(g[1], 0.5);
    near(g[3], 1.5);
    weigh(&plain, all, 2, 0);
    assert_true(all[0] == 1 && all[1] == 1);
}

static void ratios_have_the_median_as_floor(void **state)
{
    static const uint8_t image[] = {1, 1, 0, 0}, answer[] = {1, 0, 0, 1};
    const float g[3][4] = {{2, 4, 9, 6}, {1, 1, 9, 4}, {8, 8, 9, 4}};
    struct weights_mbq q;
    struct err e = {0};

    (void)state;
    assert_int_equal(weights_mbq_init(&q, 3, &e), 0);
    weights_mbq_add(&q, 0, MBQ_MLP, g[0], image, answer + 2, 2); /* images only: no sample */
    assert_int_equal(weights_mbq_end(&q, &e), -1);
    assert_non_null(strstr(e.text, "no sequence has both"));
    for (size_t b = 0; b < 3; b++)
        for (size_t n = 0; n < 2; n++)
            weights_mbq_add(&q, b, MBQ_ATTENTION, g[b], image, answer, 4);
    assert_int_equal(weights_mbq_end(&q, &e), 0);
    near((float)q.rho[0 * MBQ_PARTS + MBQ_ATTENTION], 0.5); /* 3 / 6, the median */
    near((float)q.rho[1 * MBQ_PARTS + MBQ_ATTENTION], 0.5); /* 1 / 4 */
    near((float)q.rho[2 * MBQ_PARTS + MBQ_ATTENTION], 2);   /* 8 / 4 */
    near((float)q.rho[1 * MBQ_PARTS + MBQ_MLP], 1);
    weights_mbq_release(&q);
}

static void rounded_weights(void **state)
{
    float w[] = {-1, 0, 0.4f, 2, 0, 0, 0, 0}, again[8];
    struct err e = {0};

    (void)state;
    assert_int_equal(importance_round(w, 1, 8, 9, 4, &e), -1);
    assert_int_equal(importance_round(w, 1, 8, 2, 4, &e), 0); /* step 1 */
    assert_true(w[0] == -1 && w[1] == 0 && w[2] == 0 && w[3] == 2 && w[4] == 0);
    memcpy(again, w, sizeof w);
    assert_int_equal(importance_round(again, 1, 8, 2, -1, &e), 0);
    assert_memory_equal(again, w, sizeof w);
}

/* ---- chunks ---- */

enum { TOKENS = 24 };
static const int32_t lengths[] = {9, 15};

static struct msg *chunk(uint64_t number, int with_weights)
{
    static const float one[TOKENS];
    int32_t ids[TOKENS];
    uint8_t role[TOKENS], modality[TOKENS];
    struct err err = {0};
    struct json *sites = json_parse("[{\"block\": 0, \"site\": \"attn.o\"}]", 32, "", &err);
    struct chunk_view v = {.chunk = number,
                           .chunks = 2,
                           .lane = number,
                           .lanes = 2,
                           .vocab = 50,
                           .T = TOKENS,
                           .nseq = 2,
                           .ids = ids,
                           .lengths = lengths,
                           .role = role,
                           .modality = modality};
    struct msg *m;

    for (size_t t = 0; t < TOKENS; t++) {
        ids[t] = (int32_t)((t * 7 + number) % 50);
        role[t] = t % 3 ? ROLE_ANSWER : ROLE_PROMPT;
        modality[t] = t % 4 == 1;
    }
    if (with_weights) {
        v.nsites = 1;
        v.site_weights = one;
        v.sites = sites;
    }
    must(sites);
    m = chunk_write(&v, "test", &err);
    must(m);
    json_destroy(&sites);
    return m;
}

struct sink {
    struct msg *m[2];
    size_t count;
};

static int emit(void *ctx, uint64_t lane, struct msg **m, struct err *e)
{
    struct sink *s = ctx;

    (void)e;
    assert_true(lane < 2);
    s->m[s->count++] = *m;
    *m = NULL;
    return 0;
}

static void progress(void *ctx, size_t done, size_t all)
{
    (void)ctx;
    assert_true(done <= all);
}

/* All of two chunks, worked on together or one by one. */
static struct sink run_two(struct importance_opts o, size_t threads, int apart)
{
    struct err err = {0};
    struct par *par = par_open(threads, &err);
    struct model *m = model_open(OWN, par, &err);
    struct sink out = {.count = 0};
    const struct importance_io io = {.ctx = &out, .emit = emit, .progress = progress};
    struct importance *f;

    o.mem = apart ? 1 : 1 << 30;
    must(m && (f = importance_open(m, par, &o, &err)));
    for (uint64_t i = 0; i < 2; i++) {
        struct msg *c = chunk(i, 0);

        must(importance_add(f, &c, &err) == 0);
        assert_int_equal(importance_full(f), apart);
        must(!apart || importance_work(f, &io, &err) == 0);
        msg_destroy(&c);
    }
    must(importance_end(f, &io, &err) == 0);
    assert_int_equal(out.count, 2);
    importance_close(&f);
    model_close(&m);
    par_close(&par);
    return out;
}

static void same_weights_together_and_apart(void **state)
{
    static const enum importance_method methods[] = {IMPORTANCE_TLQ, IMPORTANCE_VLMQ,
                                                     IMPORTANCE_MBQ};

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct importance_opts o = plain;
        struct sink a, b;
        struct err err = {0};
        struct chunk_view v;

        o.method = methods[k];
        o.bits = 2;
        o.group = 16;
        a = run_two(o, 1, 0);
        b = run_two(o, 3, 1);
        for (size_t i = 0; i < 2; i++) {
            double sum = 0;

            assert_int_equal(msg_checksum(a.m[i]), msg_checksum(b.m[i]));
            must(chunk_read(a.m[i], &v, &err) == 0);
            assert_true(v.nsites >= (k == 1 ? 4 : 8) && v.role);
            for (size_t t = 0; t < 9; t++)
                sum += (double)v.site_weights[(v.nsites - 1) * TOKENS + t];
            assert_true(fabs(sum - 9) < 1e-4);
            assert_int_equal(json_count(v.prov), 1);
            msg_destroy(&a.m[i]);
            msg_destroy(&b.m[i]);
        }
    }
}

/* What image and text tokens weigh in a sample, apart from its mean. */
static double weight_ratio(const struct chunk_view *v, size_t site)
{
    const float *w = v->site_weights + site * TOKENS;
    float image = 0, text = 0;

    for (size_t t = 0; t < (size_t)lengths[0]; t++)
        *(v->modality[t] ? &image : &text) = w[t];
    return (double)image / (double)text;
}

static void ratios_instead_of_weights(void **state)
{
    struct importance_opts o = plain;
    struct sink weights, ratios;
    struct chunk_view v, r;
    struct err err = {0};

    (void)state;
    o.method = IMPORTANCE_MBQ;
    weights = run_two(o, 1, 0);
    o.ratios = 1;
    ratios = run_two(o, 1, 0);
    assert_string_not_equal(weights.m[0]->run, ratios.m[0]->run);
    for (size_t i = 0; i < 2; i++) {
        must(chunk_read(weights.m[i], &v, &err) == 0 && chunk_read(ratios.m[i], &r, &err) == 0);
        assert_null(v.ratios);
        assert_null(r.site_weights);
        assert_int_equal(json_count(r.ratios), v.nsites);
        for (size_t s = 0; s < v.nsites; s++) {
            const struct json *site = json_at(v.sites, s);
            double ratio[MODALITIES];
            int64_t block;

            json_as_int(json_get(site, "block"), &block);
            must(modality_ratios_read(
                     chunk_ratios(&r, (uint64_t)block, json_as_text(json_get(site, "site"))),
                     ratio) == 0);
            assert_true(ratio[MODALITY_TEXT] == 1);
            near((float)weight_ratio(&v, s), ratio[MODALITY_IMAGE]);
        }
        msg_destroy(&weights.m[i]);
        msg_destroy(&ratios.m[i]);
    }
}

static void chunks_that_do_not_fit(void **state)
{
    struct importance_opts o = plain;
    struct err err = {0};
    struct par *par = par_open(1, &err);
    struct model *m = model_open(OWN, par, &err);
    struct sink out = {.count = 0};
    const struct importance_io io = {.ctx = &out, .emit = emit, .progress = progress};
    struct msg *weighed = chunk(0, 1), *fine = chunk(0, 0), *other = chunk(1, 0);
    struct importance *f;

    (void)state;
    o.mem = 1 << 30;
    o.keep = "never-written.safetensors";
    must(m);
    f = importance_open(m, par, &o, &err);
    must(f);
    assert_int_equal(importance_add(f, &weighed, &err), -1);
    assert_non_null(strstr(err.text, "has weights of sites already"));
    must(importance_add(f, &fine, &err) == 0);
    assert_null(fine);
    fine = chunk(0, 0);
    assert_int_equal(importance_add(f, &fine, &err), -1);
    assert_non_null(strstr(err.text, "chunk 0 came before"));
    json_set_int(other->meta, "vocab", 1 << 20);
    assert_int_equal(importance_add(f, &other, &err), -1);
    assert_non_null(strstr(err.text, "ids of a vocabulary of 1048576"));
    assert_int_equal(importance_end(f, &io, &err), -1);
    assert_non_null(strstr(err.text, "--keep goes by all chunks of the run, but 1 of 2 came here"));
    assert_int_equal(out.count, 0);
    importance_close(&f);
    model_close(&m);
    par_close(&par);
    msg_destroy(&weighed);
    msg_destroy(&fine);
    msg_destroy(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mean_one_clipped_and_again),
        cmocka_unit_test(only_the_largest),
        cmocka_unit_test(tokens_of_other_experts_count_one),
        cmocka_unit_test(ratios_have_the_median_as_floor),
        cmocka_unit_test(rounded_weights),
        cmocka_unit_test(same_weights_together_and_apart),
        cmocka_unit_test(ratios_instead_of_weights),
        cmocka_unit_test(chunks_that_do_not_fit),
    };
    struct err err = {0};

    return blas_start(&err) < 0 ? 111 : cmocka_run_group_tests(tests, NULL, NULL);
}
