/* SPDX-License-Identifier: Apache-2.0 */
/* Modalities in one problem: their sums are those of their rows alone, and a mix of them solves
 * as the problem that has just these rows would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/rng.h"
#include "../../common/wire/modality.h"
#include "../../common/wire/msg_chunk.h"
#include "../../common/wire/msg_problem.h"
#include "../../common/wire/msg_solution.h"
#include "../../stages/reduce/reduce.h"
#include "../../stages/solve/solve.h"
#include "../../stages/solve/solve_mix.h"

enum { N = 8, K = 32, T = 40, CHUNKS = 6, LANES = 3, ALL = 2 };

/* Weights of the rows: none, one for all, or all different. */
enum bears { NONE, SAME, VARIED };

static const int32_t LENGTHS[3] = {10, 24, 6};

static uint8_t modality_of(size_t t)
{
    return t < 34 && t % 5 > 2; /* the last sequence is text alone */
}

static float value(uint64_t chunk, size_t i)
{
    struct rng r;

    rng_seed(&r, chunk, i);
    return (float)rng_normal(&r);
}

static float weight(enum bears b, size_t t)
{
    return b == SAME ? 0.5f : 0.25f + (float)(t % 7);
}

/* The rows of one modality, or ALL of them. */
struct rows {
    float x[T * K], xf[T * K], w[T];
    uint8_t modality[T];
    int32_t lengths[3];
    size_t n, nseq;
};

static void rows_fill(struct rows *r, uint64_t chunk, int only, enum bears b)
{
    size_t t = 0;

    memset(r, 0, sizeof *r);
    for (size_t s = 0; s < 3; s++) {
        const size_t before = r->n, end = t + (size_t)LENGTHS[s];

        for (; t < end; t++) {
            if (only != ALL && modality_of(t) != only)
                continue;
            for (size_t k = 0; k < K; k++) {
                r->x[r->n * K + k] = value(chunk, t * K + k);
                r->xf[r->n * K + k] = r->x[r->n * K + k] + 0.125f * value(chunk + 100, t * K + k);
            }
            r->w[r->n] = weight(b, t);
            r->modality[r->n++] = modality_of(t);
        }
        if (r->n > before)
            r->lengths[r->nseq++] = (int32_t)(r->n - before);
    }
}

static struct msg *acts(uint64_t chunk, int only, enum dtype type, enum bears b)
{
    static struct rows r;
    struct acts_view v = {
        .sites = 1, .site = "mlp.up", .chunk = chunk, .chunks = CHUNKS, .lanes = LANES, .K = K};
    struct err e = {0};
    struct msg *m;
    void *x, *xf;

    rows_fill(&r, chunk, only, b);
    v.lane = chunk * LANES / CHUNKS;
    v.lane_first = v.lane * CHUNKS / LANES;
    v.lane_count = CHUNKS / LANES;
    v.T = r.n;
    v.nseq = r.nseq;
    v.lengths = r.lengths;
    v.w = b == NONE ? NULL : r.w;
    v.modality = r.modality;
    m = acts_write(&v, type, &x, &xf, "test", &e);
    assert_non_null(m);
    assert_int_equal(dtype_from_f32(type, r.x, r.n * K, x), 0);
    assert_int_equal(dtype_from_f32(type, r.xf, r.n * K, xf), 0);
    return m;
}

static struct msg *linears(void)
{
    struct json *list = json_new_array(), *l = json_new_object();
    struct weights_view v = {.sites = 1, .site = "mlp.up", .K = K, .linears = list};
    const uint64_t shape[2] = {N, K};
    struct err e = {0};
    struct msg *m;
    float *w;

    json_set_text(l, "name", "up");
    json_set_int(l, "rows", N);
    json_push(list, l);
    m = weights_create(&v, "test", &e);
    w = msg_add_new(m, "up", DT_F32, 2, shape, &e);
    for (size_t i = 0; i < (size_t)N * K; i++)
        w[i] = 0.05f * value(1000, i);
    json_destroy(&list);
    return m;
}

static int keep(void *ctx, struct msg **m, struct err *e)
{
    (void)e;
    *(struct msg **)ctx = *m;
    *m = NULL;
    return 0;
}

/* The problem of all chunks, through the reducer. */
static struct msg *problem(int only, enum dtype type, enum bears b, struct reduce_opts o)
{
    struct err e = {0};
    struct par *par = par_open(2, &e);
    struct msg *out = NULL, *m = linears();
    struct reduce *r;

    o.tmp = "/tmp";
    r = reduce_open(&o, par, keep, &out, &e);
    assert_non_null(r);
    assert_int_equal(reduce_push(r, &m, &e), 0);
    for (uint64_t c = 0; c < CHUNKS; c++) {
        m = acts(c, only, type, b);
        if (reduce_push(r, &m, &e) < 0)
            fail_msg("%s", e.text);
    }
    assert_int_equal(reduce_finish(r, &e), 0);
    reduce_close(&r);
    par_close(&par);
    return out;
}

static struct msg *with_classes(enum dtype type, enum bears b)
{
    return problem(ALL, type, b,
                   (struct reduce_opts){.how = {.classes = CLASS_MODALITY}, .mem = 1 << 30});
}

/* ---- a reducer for images alone ---- */

static int hand_over(void *ctx, struct msg **m, struct err *e)
{
    return reduce_push(ctx, m, e);
}

static void push_all(struct reduce *r, int only, enum dtype type, enum bears b)
{
    struct err e = {0};

    for (uint64_t c = 0; c < CHUNKS; c++) {
        struct msg *m = acts(c, only, type, b);

        if (reduce_push(r, &m, &e) < 0)
            fail_msg("%s", e.text);
    }
    if (reduce_finish(r, &e) < 0 && only != ALL)
        fail_msg("%s", e.text);
}

/* The problem of two reducers, one of which has the images; first: it is done before the other. */
static struct msg *routed(enum dtype type, enum bears b, int first)
{
    const unsigned image = 1u << MODALITY_IMAGE;
    struct reduce_opts all = {.how = {.classes = CLASS_MODALITY},
                              .apart = image,
                              .mem = 1 << 30,
                              .tmp = "/tmp"},
                       part = {.partial = 1, .apart = image, .mem = 0, .tmp = "/tmp"};
    struct err e = {0};
    struct par *par = par_open(2, &e);
    struct msg *out = NULL, *m = linears();
    struct reduce *r = reduce_open(&all, par, keep, &out, &e),
                  *images = reduce_open(&part, par, hand_over, r, &e);

    assert_int_equal(reduce_push(r, &m, &e), 0);
    if (first)
        push_all(images, MODALITY_IMAGE, type, b);
    push_all(r, ALL, type, b);
    if (!first) {
        assert_null(out); /* it waits */
        assert_int_equal(reduce_finish(r, &e), -1);
        assert_non_null(strstr(e.text, "class of images did not come"));
        push_all(images, MODALITY_IMAGE, type, b);
    }
    assert_int_equal(reduce_finish(r, &e), 0);
    reduce_close(&images);
    reduce_close(&r);
    par_close(&par);
    return out;
}

static void two_reducers_make_the_problem_of_one(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        const enum dtype type = i % 2 ? DT_F32 : DT_BF16;
        const enum bears b = (enum bears)(i / 2);
        struct msg *one = with_classes(type, b), *two = routed(type, b, i % 2);

        assert_int_equal(msg_checksum(one), msg_checksum(two));
        msg_destroy(&one);
        msg_destroy(&two);
    }
}

static void a_reducer_of_images_takes_no_text(void **state)
{
    struct reduce_opts part = {.partial = 1, .apart = 1u << MODALITY_IMAGE, .tmp = "/tmp"},
                       all = {.how = {.classes = CLASS_MODALITY}, .mem = 1 << 30, .tmp = "/tmp"};
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct msg *lane = NULL, *m = acts(0, ALL, DT_F32, NONE), *out = NULL;
    struct reduce *r = reduce_open(&part, par, keep, &lane, &e), *other;

    (void)state;
    assert_int_equal(reduce_push(r, &m, &e), -1);
    assert_non_null(strstr(e.text, "row 0 is of text: --rows-of"));
    reduce_close(&r);
    r = reduce_open(&part, par, keep, &lane, &e);
    for (uint64_t c = 0; c < CHUNKS / LANES; c++) {
        m = acts(c, MODALITY_IMAGE, DT_F32, NONE);
        assert_int_equal(reduce_push(r, &m, &e), 0);
    }
    assert_non_null(lane);
    other = reduce_open(&all, par, keep, &out, &e); /* which sums the images too */
    assert_int_equal(reduce_push(other, &lane, &e), -1);
    assert_non_null(strstr(e.text, "give it --apart image"));
    reduce_close(&r);
    reduce_close(&other);
    par_close(&par);
}

static struct msg *solved(const char *mix, struct msg *m, struct solution_view *v)
{
    struct solve_opts o = solve_opts_default();
    struct solve_note note;
    struct err e = {0};
    struct par *p = par_open(1, &e);
    struct msg *out;

    o.solver = "gptaq";
    o.group = 16;
    assert_int_equal(solve_mix_parse(mix, &o, &e), 0);
    out = solve_problem(&o, &m, p, &note, &e);
    if (!out || solution_read(out, v, &e) < 0)
        fail_msg("%s", e.text);
    par_close(&p);
    return out;
}

static void assert_tensor(const struct tensor *a, const struct tensor *b)
{
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a->data, b->data, a->bytes);
}

/* To the last bit: S, D and every count of a class are those of a run on its rows alone; and
 * together they are the rows there are. */
static void a_class_is_its_rows_alone(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        const enum dtype type = i % 2 ? DT_F32 : DT_BF16;
        const enum bears b = (enum bears)(i / 2);
        struct msg *all = with_classes(type, b),
                   *without = problem(ALL, type, b, (struct reduce_opts){.mem = 0});
        struct problem_view v, one;
        struct err e = {0};

        assert_int_equal(problem_read(all, &v, &e), 0);
        assert_int_equal(v.nclasses, 2);
        assert_int_equal(v.tokens, CHUNKS * T);
        assert_int_equal(v.classes[0].tokens + v.classes[1].tokens, CHUNKS * T);
        assert_tensor(v.S, msg_tensor(without, "S")); /* the total does not change */
        assert_tensor(v.D, msg_tensor(without, "D"));
        for (size_t m = 0; m < 2; m++) {
            const struct problem_class *c = &v.classes[m];
            struct msg *alone = problem((int)m, type, b, (struct reduce_opts){.mem = 0});

            assert_int_equal(problem_read(alone, &one, &e), 0);
            assert_string_equal(c->kind, "modality");
            assert_string_equal(c->name, m ? "image" : "text");
            assert_int_equal(c->sequences, one.sequences);
            assert_int_equal(c->sequences, CHUNKS * (m ? 2 : 3));
            assert_int_equal(c->tokens, one.tokens);
            assert_true(c->sum_w >= one.sum_w && c->sum_w <= one.sum_w);
            assert_true(c->sum_w2 >= one.sum_w2 && c->sum_w2 <= one.sum_w2);
            assert_tensor(c->S, one.S);
            assert_tensor(c->D, one.D);
            msg_destroy(&alone);
        }
        msg_destroy(&without);
        msg_destroy(&all);
    }
}

/* The two add up to S but for the f32 rounding of a chunk's products: at most T of them, of rows
 * that were rounded three times, so each side is off by (T + 4) eps of the sum of their
 * magnitudes, which is at most sqrt(S_ii S_jj). */
static void classes_add_up_to_the_total(void **state)
{
    struct msg *m = with_classes(DT_F32, VARIED);
    struct problem_view v;
    struct err e = {0};
    const double *s, *text, *image;

    (void)state;
    assert_int_equal(problem_read(m, &v, &e), 0);
    s = v.S->data;
    text = v.classes[0].S->data;
    image = v.classes[1].S->data;
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j <= i; j++) {
            const size_t at = i * (i + 1) / 2 + j;
            const double size = sqrt(s[i * (i + 1) / 2 + i] * s[j * (j + 1) / 2 + j]);

            assert_true(fabs(text[at] + image[at] - s[at]) <= 2 * (T + 4) * 6e-8 * size);
        }
    msg_destroy(&m);
}

static void assert_same_solution(const struct solution_view *a, const struct solution_view *b)
{
    assert_tensor(a->linear[0].codes, b->linear[0].codes);
    assert_tensor(a->linear[0].scales, b->linear[0].scales);
    assert_int_equal(a->tokens, b->tokens);
    assert_int_equal(a->sequences, b->sequences);
    assert_true(a->sum_w >= b->sum_w && a->sum_w <= b->sum_w);
    assert_true(a->sum_w2 >= b->sum_w2 && a->sum_w2 <= b->sum_w2);
    assert_true(a->linear[0].loss >= b->linear[0].loss && a->linear[0].loss <= b->linear[0].loss);
    assert_true(a->linear[0].asym_loss >= b->linear[0].asym_loss &&
                a->linear[0].asym_loss <= b->linear[0].asym_loss);
}

static void a_mix_of_one_is_the_problem_of_its_rows(void **state)
{
    static const char *const only[2] = {"text=1,image=0", "text=0,image=1"};

    (void)state;
    for (int m = 0; m < 2; m++) {
        struct solution_view a, b;
        struct msg *mixed = solved(only[m], with_classes(DT_BF16, VARIED), &a),
                   *alone = solved("tokens",
                                   problem(m, DT_BF16, VARIED, (struct reduce_opts){.mem = 0}), &b);

        assert_same_solution(&a, &b);
        msg_destroy(&mixed);
        msg_destroy(&alone);
    }
}

static void ratios_of_one_keep_every_bit(void **state)
{
    struct solution_view a, b, c;
    struct msg *mixed = solved("text=1,image=1", with_classes(DT_BF16, VARIED), &a),
               *plain = solved("tokens", with_classes(DT_BF16, VARIED), &b),
               *other = solved("text=1,image=0.3", with_classes(DT_BF16, VARIED), &c);
    const struct json *record = json_at(c.prov, json_count(c.prov) - 1);
    double ratio = 0;

    (void)state;
    assert_same_solution(&a, &b);
    assert_null(json_get(plain->meta, "mix"));
    assert_memory_not_equal(c.linear[0].codes->data, b.linear[0].codes->data, (size_t)N * K);
    assert_int_equal(json_as_real(json_get(json_get(record, "mix"), "image"), &ratio), 0);
    assert_true(fabs(ratio - 0.3) < 1e-12);
    assert_int_equal(json_as_real(json_get(json_get(other->meta, "mix"), "text"), &ratio), 0);
    assert_true(fabs(ratio - 1) < 1e-12);
    msg_destroy(&mixed);
    msg_destroy(&plain);
    msg_destroy(&other);
}

static struct msg *with_ratios(double text, double image)
{
    struct msg *m = with_classes(DT_BF16, VARIED);
    const double ratio[MODALITIES] = {text, image};
    struct json *x = json_new_object();

    assert_int_equal(modality_ratios_put(x, ratio), 0);
    assert_int_equal(json_set(m->meta, "ratios", x), 0);
    return m;
}

/* auto: what the problem says of itself; of another mix it is not looked at. */
static void a_problem_says_its_own_mix(void **state)
{
    static const char *const given[] = {"text=1,image=0.3", "text=2,image=0", "tokens"};
    const double text[] = {1, 2, 1}, image[] = {0.3, 0, 1};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct solution_view a, b;
        struct msg *told = solved("auto", with_ratios(text[i], image[i]), &a),
                   *mixed = solved(given[i], with_ratios(7, 9), &b);
        const struct json *record = json_at(a.prov, json_count(a.prov) - 1);
        double ratio[MODALITIES];

        assert_same_solution(&a, &b);
        assert_string_equal(json_as_text(json_get(record, "mix")), "auto");
        assert_int_equal(modality_ratios_read(json_get(told->meta, "mix"), ratio), 0);
        assert_true(fabs(ratio[0] - text[i]) + fabs(ratio[1] - image[i]) < 1e-12);
        assert_null(json_get(told->meta, "ratios"));
        msg_destroy(&told);
        msg_destroy(&mixed);
    }
}

/* The matrices of a mix: (sum r S) / (sum r w), in f64. */
static void a_mix_is_that_of_plain_loops(void **state)
{
    struct msg *m = with_classes(DT_F32, VARIED);
    struct problem_view v;
    struct expand_part part[2];
    struct err e = {0};
    double *H = NULL, *D = NULL, sum_w;

    (void)state;
    assert_int_equal(problem_read(m, &v, &e), 0);
    part[0] = (struct expand_part){v.classes[0].S, v.classes[0].D, 0.7};
    part[1] = (struct expand_part){v.classes[1].S, v.classes[1].D, 3};
    sum_w = 0.7 * v.classes[0].sum_w + 3 * v.classes[1].sum_w;
    assert_int_equal(expand_mix(m, K, part, 2, sum_w, NULL, &H, &D, &e), 0);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++) {
            const size_t at = i >= j ? i * (i + 1) / 2 + j : j * (j + 1) / 2 + i;
            const double *s[2] = {v.classes[0].S->data, v.classes[1].S->data},
                         *d[2] = {v.classes[0].D->data, v.classes[1].D->data};

            assert_true(fabs(H[i * K + j] - (0.7 * s[0][at] + 3 * s[1][at]) / sum_w) <=
                        4 * 2.3e-16 * (fabs(s[0][at]) + 3 * fabs(s[1][at])) / sum_w);
            assert_true(
                fabs(D[i * K + j] - (0.7 * d[0][i * K + j] + 3 * d[1][i * K + j]) / sum_w) <=
                4 * 2.3e-16 * (fabs(d[0][i * K + j]) + 3 * fabs(d[1][i * K + j])) / sum_w);
        }
    free(H);
    free(D);
    msg_destroy(&m);
}

static void refused_mix(const char *mix, const char *solver, enum sums_kind sums, struct msg *m,
                        const char *words)
{
    struct solve_opts o = solve_opts_default();
    struct solve_note note;
    struct err e = {0};
    struct par *p = par_open(1, &e);

    o.solver = solver;
    o.group = 16;
    o.sums = sums;
    assert_int_equal(solve_mix_parse(mix, &o, &e), 0);
    assert_null(solve_problem(&o, &m, p, &note, &e));
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
    par_close(&p);
}

static void refused(const char *solver, enum sums_kind sums, struct msg *m, const char *words)
{
    refused_mix("image=0.5", solver, sums, m, words);
}

static void what_cannot_be_mixed_is_refused(void **state)
{
    struct reduce_opts held = {.how = {.classes = CLASS_MODALITY, .holdout = 2}, .mem = 1 << 30};
    struct solve_opts o = solve_opts_default();
    struct err e = {0};
    struct msg *m;

    (void)state;
    assert_int_equal(solve_mix_parse("sound=1", &o, &e), -1);
    assert_non_null(strstr(e.text, "--mix"));
    refused("gptq", SUMS_WEIGHTED, problem(ALL, DT_F32, NONE, (struct reduce_opts){.mem = 0}),
            "ptq-reduce --classes modality");
    refused("gptq", SUMS_PLAIN, with_classes(DT_F32, NONE), "--sums weighted");
    refused("best:gptq,rtn", SUMS_WEIGHTED, problem(ALL, DT_F32, NONE, held), "held-out");
    refused_mix("auto", "gptq", SUMS_WEIGHTED, with_classes(DT_F32, NONE), "--give ratios");
    m = with_classes(DT_F32, NONE);
    json_set_int((struct json *)(uintptr_t)json_at(json_get(m->meta, "classes"), 1), "tokens", 79);
    refused("gptq", SUMS_WEIGHTED, m, "rows of 240");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_mixed_is_refused),
        cmocka_unit_test(a_class_is_its_rows_alone),
        cmocka_unit_test(classes_add_up_to_the_total),
        cmocka_unit_test(a_mix_is_that_of_plain_loops),
        cmocka_unit_test(a_mix_of_one_is_the_problem_of_its_rows),
        cmocka_unit_test(ratios_of_one_keep_every_bit),
        cmocka_unit_test(a_problem_says_its_own_mix),
        cmocka_unit_test(a_reducer_of_images_takes_no_text),
        cmocka_unit_test(two_reducers_make_the_problem_of_one),
    };

    return cmocka_run_group_tests_name("solve_mix", tests, NULL, NULL);
}
