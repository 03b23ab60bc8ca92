/* SPDX-License-Identifier: Apache-2.0 */
/* reduce: sums against plain loops, the same bytes whatever the order of arrival, repeats
 * dropped, weights, missing chunks. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../common/tensor/blas.h"
#include "../../common/wire/msg_problem.h"
#include "../../stages/reduce/reduce.h"
#include "reduce_acts.h"

static struct msg *kept;
static int keep(void *ctx, struct msg **m, struct err *e)
{
    (void)ctx;
    (void)e;
    assert_null(kept);
    kept = *m;
    *m = NULL;
    return 0;
}

/* for sums: tests run with none in memory but those in use, with few, with all */
static uint64_t mem;

static struct reduce *open_reduce(struct reduce_opts o, struct par *par, struct err *e)
{
    o.mem = mem;
    o.tmp = "/tmp";
    return reduce_open(&o, par, keep, NULL, e);
}

/* Pushes the chunks in this order (-1 ends), then the weights; the problem lands in `kept`. */
static void reduce_all(const int *order, enum dtype type, const float *weight, size_t threads)
{
    struct err e = {0};
    struct par *par = par_open(threads, &e);
    struct reduce *r = open_reduce((struct reduce_opts){0}, par, &e);
    struct msg *m;

    for (; *order >= 0; order++) {
        m = acts_of((uint64_t)*order, type, weight);
        assert_int_equal(reduce_push(r, &m, &e), 0);
        assert_null(m);
    }
    m = weights_of();
    if (reduce_push(r, &m, &e) < 0 || reduce_finish(r, &e) < 0)
        fail_msg("%s", e.text);
    reduce_close(&r);
    par_close(&par);
}

static void sums_are_those_of_plain_loops(void **state)
{
    const float weight[2] = {0.25f, 2};
    struct err e = {0};
    struct problem_view v;
    const double *s;

    (void)state;
    reduce_all((const int[]){0, 1, 2, 3, 4, 5, 6, -1}, DT_F32, weight, 1);
    assert_int_equal(problem_read(kept, &v, &e), 0);
    assert_int_equal(v.tokens, CHUNKS * NT);
    assert_int_equal(v.sequences, CHUNKS * 2);
    assert_true(fabs(v.sum_w - CHUNKS * (20 * 0.25 + 30 * 2)) < 1e-9);
    assert_true(fabs(v.sum_w2 - CHUNKS * (20 * 0.0625 + 30 * 4)) < 1e-9);
    assert_int_equal(v.nlinears, 1);
    s = v.S->data;
    for (size_t i = 0; i < NK; i++)
        for (size_t j = 0; j <= i; j++) {
            double want = 0, size = 0;
            for (uint64_t c = 0; c < CHUNKS; c++)
                for (size_t t = 0; t < NT; t++) {
                    double p = (double)weight[t >= 20] * (double)value(c, t * NK + i) *
                               (double)value(c, t * NK + j);
                    want += p;
                    size += fabs(p);
                }
            /* f32 rows scaled by sqrt(w) (three roundings) and NT products summed in f32 */
            assert_true(fabs(s[i * (i + 1) / 2 + j] - want) <= (NT + 4) * 6e-8 * size);
        }
    msg_destroy(&kept);
}

/* D, held-out chunks and sums without weights of one pass against plain loops. */
static void assert_set(const struct tensor *S, const struct tensor *D, const uint64_t *chunks,
                       const float *weight)
{
    const double *s = S->data, *d = D->data;

    for (size_t i = 0; i < NK; i++)
        for (size_t j = 0; j < NK; j++) {
            double want_s = 0, want_d = 0, size_s = 0, size_d = 0;
            for (const uint64_t *c = chunks; *c < CHUNKS; c++)
                for (size_t t = 0; t < NT; t++) {
                    double w = weight ? (double)weight[t >= 20] : 1,
                           xj = (double)value(*c, t * NK + j);
                    float xi = value(*c, t * NK + i),
                          xf = xi + 0.125f * value(*c + 1000, t * NK + i);
                    double drift = (double)(xf - xi);
                    want_s += w * (double)xi * xj;
                    size_s += w * fabs((double)xi * xj);
                    want_d += w * drift * xj;
                    size_d += w * fabs(drift * xj);
                }
            if (j <= i)
                assert_true(fabs(s[i * (i + 1) / 2 + j] - want_s) <= (NT + 4) * 6e-8 * size_s);
            assert_true(fabs(d[i * NK + j] - want_d) <= (NT + 4) * 6e-8 * size_d);
        }
}

static void one_pass_keeps_all_sets(void **state)
{
    const float weight[2] = {0.25f, 2};
    struct reduce_opts o = {.how = {.holdout = 3, .plain = 1}};
    struct err e = {0};
    struct par *par = par_open(2, &e);
    struct reduce *r = open_reduce(o, par, &e);
    struct problem_view v;
    struct msg *m;

    (void)state;
    for (uint64_t c = 0; c < CHUNKS; c++) {
        m = dual_of(c, weight);
        assert_int_equal(reduce_push(r, &m, &e), 0);
    }
    m = weights_of();
    if (reduce_push(r, &m, &e) < 0 || problem_read(kept, &v, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(v.tokens, 5 * NT);
    assert_int_equal(v.hold.tokens, 2 * NT);
    assert_int_equal(v.plain.tokens, 5 * NT);
    assert_true(fabs(v.plain.sum_w - 5 * NT) < 1e-9);
    assert_true(fabs(v.hold.sum_w - 2 * (20 * 0.25 + 30 * 2)) < 1e-9);
    assert_set(v.S, v.D, (const uint64_t[]){0, 1, 3, 4, 6, CHUNKS}, weight);
    assert_set(v.hold.S, v.hold.D, (const uint64_t[]){2, 5, CHUNKS}, weight);
    assert_set(v.plain.S, v.plain.D, (const uint64_t[]){0, 1, 3, 4, 6, CHUNKS}, NULL);
    msg_destroy(&kept);
    reduce_close(&r);
    par_close(&par);
}

static struct msg *problem_of(const struct reduce_opts *o, const int *order, enum dtype type,
                              const float *weight, size_t threads)
{
    struct err e = {0};
    struct par *par = par_open(threads, &e);
    struct reduce *r = open_reduce(*o, par, &e);
    struct msg *m;

    for (; *order >= 0; order++) {
        m = acts_of((uint64_t)*order, type, weight);
        assert_int_equal(reduce_push(r, &m, &e), 0);
    }
    m = weights_of();
    if (reduce_push(r, &m, &e) < 0)
        fail_msg("%s", e.text);
    reduce_close(&r);
    par_close(&par);
    m = kept;
    kept = NULL;
    return m;
}

/* Chunks 2 and 5 are held out: lengths and diagonals are those of the others, whatever the
 * weights, order and threads. */
static struct msg *diagonals_of(const int *order, const float *weight, size_t threads)
{
    return problem_of(&(struct reduce_opts){.how = {.holdout = 3, .length_diagonals = 1}}, order,
                      DT_F32, weight, threads);
}

static void diagonals_by_length_are_those_of_plain_loops(void **state)
{
    const float weight[2] = {0.25f, 2};
    struct err e = {0};
    struct problem_view v;
    struct msg *one = diagonals_of((const int[]){0, 1, 2, 3, 4, 5, 6, -1}, weight, 1), *two;
    const double *got;

    (void)state;
    assert_int_equal(problem_read(one, &v, &e), 0);
    assert_int_equal(json_count(v.lengths), 2);
    assert_non_null(v.diag);
    got = v.diag->data;
    for (size_t l = 0; l < 2; l++)
        for (size_t k = 0; k < NK; k++) {
            double want = 0;
            for (uint64_t c = 0; c < CHUNKS; c++)
                for (size_t t = l ? 20 : 0; c % 3 != 2 && t < (l ? NT : 20); t++)
                    want += (double)value(c, t * NK + k) * (double)value(c, t * NK + k);
            /* at most 5 x 30 positive numbers, added in f64 in another order */
            assert_true(fabs(got[l * NK + k] - want) <= 150 * 2.3e-16 * want);
        }
    two = diagonals_of((const int[]){6, 3, 5, 0, 2, 4, 1, 1, -1}, NULL, 2);
    assert_memory_equal(msg_tensor(two, "diag")->data, v.diag->data, v.diag->bytes);
    msg_destroy(&two);
    msg_destroy(&one);
    reduce_all((const int[]){0, 1, 2, 3, 4, 5, 6, -1}, DT_F32, weight, 1);
    assert_null(msg_tensor(kept, "diag"));
    msg_destroy(&kept);
}

/* What an expert gets of a chunk of which no token goes to it. */
static struct msg *none_of(uint64_t chunk)
{
    static const int32_t length = 1;
    static const float weight = 0;
    struct err e = {0};
    struct msg *full = acts_of(chunk, DT_F32, NULL), *m;
    struct acts_view v;
    void *x;

    assert_int_equal(acts_read(full, &v, &e), 0);
    v.T = v.nseq = 1;
    v.lengths = &length;
    v.w = &weight;
    m = acts_write(&v, DT_F32, &x, NULL, "test", &e);
    assert_non_null(m);
    memset(x, 0, NK * sizeof(float));
    msg_destroy(&full);
    return m;
}

/* Chunks from `from` on have no rows. */
static void rows_until(uint64_t from, struct problem_view *v)
{
    const struct reduce_opts o = {
        .how = {.plain = 1, .length_diagonals = 1, .classes = CLASS_LENGTH}};
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct reduce *r = open_reduce(o, par, &e);
    struct msg *m;

    for (uint64_t chunk = 0; chunk < CHUNKS; chunk++) {
        m = chunk < from ? acts_of(chunk, DT_F32, NULL) : none_of(chunk);
        assert_int_equal(reduce_push(r, &m, &e), 0);
    }
    m = weights_of();
    if (reduce_push(r, &m, &e) < 0 || problem_read(kept, v, &e) < 0)
        fail_msg("%s", e.text);
    reduce_close(&r);
    par_close(&par);
}

static void a_chunk_without_rows_counts_nothing(void **state)
{
    struct problem_view v;
    const double *s, *plain;

    (void)state;
    rows_until(4, &v);
    assert_true(v.tokens == 4 * NT && v.sequences == 8 && v.sum_w == 4 * NT);
    assert_true(v.plain.tokens == 4 * NT && v.plain.sum_w == 4 * NT);
    assert_int_equal(v.nclasses, 2);
    s = v.S->data;
    plain = v.plain.S->data;
    for (size_t i = 0; i < NK; i++) {
        double want = 0;

        for (uint64_t chunk = 0; chunk < 4; chunk++)
            for (size_t t = 0; t < NT; t++)
                want += (double)value(chunk, t * NK + i) * (double)value(chunk, t * NK + i);
        assert_true(fabs(s[i * (i + 3) / 2] - want) <= (NT + 4) * 6e-8 * want);
        assert_true(s[i * (i + 3) / 2] == plain[i * (i + 3) / 2]);
    }
    msg_destroy(&kept);
    rows_until(0, &v);
    assert_true(v.tokens == 0 && v.sequences == 0 && v.sum_w == 0 && !v.plain.S);
    assert_int_equal(v.nclasses, 0);
    s = v.S->data;
    for (size_t i = 0; i < NK * (NK + 1) / 2; i++)
        assert_true(s[i] == 0);
    msg_destroy(&kept);
}

static struct msg *classes_of(unsigned classes, const int *order, enum dtype type,
                              const float *weight, size_t threads)
{
    return problem_of(&(struct reduce_opts){.how = {.holdout = 3, .classes = classes}}, order, type,
                      weight, threads);
}

/* The class of rows [from, to) of one of the two sequences of each chunk, or of both. */
static void assert_class(const struct problem_class *c, const char *kind, const char *name,
                         const size_t (*rows)[2], size_t n, const float *weight)
{
    const double *s = c->S->data;
    double tokens = 0, sum_w = 0;

    assert_string_equal(c->kind, kind);
    assert_string_equal(c->name, name);
    for (size_t r = 0; r < n; r++) {
        tokens += 5 * (double)(rows[r][1] - rows[r][0]);
        sum_w += 5 * (double)(rows[r][1] - rows[r][0]) * (double)weight[rows[r][0] >= 20];
    }
    assert_int_equal(c->tokens, (uint64_t)tokens);
    assert_true(fabs(c->sum_w - sum_w) <= 1e-12 * sum_w);
    for (size_t i = 0; i < NK; i++)
        for (size_t j = 0; j <= i; j++) {
            double want = 0, size = 0;
            for (uint64_t chunk = 0; chunk < CHUNKS; chunk++)
                for (size_t r = 0; chunk % 3 != 2 && r < n; r++)
                    for (size_t t = rows[r][0]; t < rows[r][1]; t++) {
                        double p = (double)weight[t >= 20] * (double)value(chunk, t * NK + i) *
                                   (double)value(chunk, t * NK + j);
                        want += p;
                        size += fabs(p);
                    }
            assert_true(fabs(s[i * (i + 1) / 2 + j] - want) <= (NT + 4) * 6e-8 * size);
        }
}

static void classes_are_those_of_plain_loops(void **state)
{
    static const size_t shorter[1][2] = {{0, 20}}, longer[1][2] = {{20, 50}},
                        start[2][2] = {{0, 1}, {20, 21}}, rest[2][2] = {{1, 20}, {21, 50}};
    const float weight[2] = {0.25f, 2}, ones[2] = {1, 1};
    const int order[] = {0, 1, 2, 3, 4, 5, 6, -1}, other[] = {6, 3, 5, 0, 2, 4, 1, 1, -1};
    struct err e = {0};
    struct problem_view v;
    struct msg *both = classes_of(CLASS_LENGTH | CLASS_POSITION, order, DT_F32, weight, 1), *again;

    (void)state;
    assert_int_equal(problem_read(both, &v, &e), 0);
    assert_int_equal(v.nclasses, 4);
    assert_class(&v.classes[0], "length", "20", shorter, 1, weight);
    assert_class(&v.classes[1], "length", "30", longer, 1, weight);
    assert_class(&v.classes[2], "position", "0", start, 2, weight);
    assert_class(&v.classes[3], "position", "1-127", rest, 2, weight);
    again = classes_of(CLASS_LENGTH | CLASS_POSITION, other, DT_F32, weight, 2);
    for (size_t i = 0; i < 4; i++)
        assert_memory_equal(msg_tensor(again, v.classes[i].S->name)->data, v.classes[i].S->data,
                            v.classes[i].S->bytes);
    msg_destroy(&again);
    again = classes_of(0, order, DT_F32, weight, 1); /* S is the same with and without */
    assert_memory_equal(msg_tensor(again, "S")->data, v.S->data, v.S->bytes);
    assert_null(json_get(again->meta, "classes"));
    msg_destroy(&again);
    msg_destroy(&both);
    both = classes_of(CLASS_POSITION, order, DT_BF16, NULL, 1);
    again = classes_of(CLASS_POSITION, order, DT_BF16, ones, 1);
    assert_memory_equal(msg_tensor(again, "S.class.1")->data, msg_tensor(both, "S.class.1")->data,
                        msg_tensor(both, "S.class.1")->bytes);
    msg_destroy(&again);
    msg_destroy(&both);
}

static void too_many_lengths_are_refused(void **state)
{
    int32_t lengths[CLASS_LENGTHS_MAX + 1];
    struct acts_view v = {.block = 0,
                          .sites = 1,
                          .site = "attn.qkv",
                          .chunks = 1,
                          .lanes = 1,
                          .lane_count = 1,
                          .K = 2,
                          .nseq = CLASS_LENGTHS_MAX + 1,
                          .lengths = lengths};
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct reduce *r = open_reduce((struct reduce_opts){.how = {.classes = CLASS_LENGTH}}, par, &e);
    struct msg *m;
    void *x;

    (void)state;
    for (size_t i = 0; i < v.nseq; v.T += (size_t)lengths[i++])
        lengths[i] = (int32_t)i + 1;
    m = acts_write(&v, DT_F32, &x, NULL, "test", &e);
    assert_non_null(m);
    memset(x, 0, v.T * 2 * sizeof(float));
    assert_int_equal(reduce_push(r, &m, &e), -1);
    assert_non_null(strstr(e.text, "more than 32 different lengths"));
    reduce_close(&r);
    par_close(&par);
}

static void sets_that_cannot_be_are_refused(void **state)
{
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct reduce *r = open_reduce((struct reduce_opts){.how = {.holdout = CHUNKS + 1}}, par, &e);
    struct msg *m = dual_of(0, NULL);

    (void)state;
    assert_null(open_reduce((struct reduce_opts){.how = {.holdout = 1}}, par, &e));
    assert_non_null(strstr(e.text, "--holdout 1"));
    assert_int_equal(reduce_push(r, &m, &e), -1);
    assert_non_null(strstr(e.text, "held out"));
    reduce_close(&r);
    r = open_reduce((struct reduce_opts){0}, par, &e);
    m = dual_of(0, NULL);
    assert_int_equal(reduce_push(r, &m, &e), 0);
    m = acts_of(1, DT_F32, NULL);
    assert_int_equal(reduce_push(r, &m, &e), -1);
    assert_non_null(strstr(e.text, "full-precision"));
    reduce_close(&r);
    par_close(&par);
}

static void assert_same_sums(const int *order, enum dtype type, const float *weight, size_t threads)
{
    struct msg *first = kept;

    kept = NULL;
    reduce_all(order, type, weight, threads);
    assert_memory_equal(msg_tensor(first, "S")->data, msg_tensor(kept, "S")->data,
                        msg_tensor(kept, "S")->bytes);
    msg_destroy(&kept);
    kept = first;
}

static void arrival_and_threads_change_no_byte(void **state)
{
    const float ones[2] = {1, 1};

    (void)state;
    reduce_all((const int[]){0, 1, 2, 3, 4, 5, 6, -1}, DT_BF16, NULL, 1);
    assert_same_sums((const int[]){6, 5, 4, 3, 2, 1, 0, -1}, DT_BF16, NULL, 2);
    assert_same_sums((const int[]){4, 0, 5, 2, 1, 6, 3, -1}, DT_BF16, NULL, 3);
    /* repeats */
    assert_same_sums((const int[]){0, 0, 1, 5, 5, 2, 3, 4, 1, 6, 0, -1}, DT_BF16, NULL, 1);
    assert_same_sums((const int[]){0, 1, 2, 3, 4, 5, 6, -1}, DT_BF16, ones, 1);
    msg_destroy(&kept);
}

/* The problem of dual chunks with every set there is, in an order that leaves lanes open and
 * lanes done before their turn. */
static struct msg *full_problem(uint64_t bytes, uint64_t *held, uint64_t *spilled)
{
    static const int order[] = {5, 3, 6, 0, 2, 1, 4};
    const float weight[2] = {0.25f, 2};
    struct err e = {0};
    struct reduce_opts o = {.how = {.holdout = 3,
                                    .plain = 1,
                                    .classes = CLASS_LENGTH | CLASS_MODALITY,
                                    .length_diagonals = 1},
                            .mem = bytes,
                            .tmp = "/tmp"};
    struct par *par = par_open(1, &e);
    struct reduce *r = reduce_open(&o, par, keep, NULL, &e);
    struct msg *m;

    for (size_t i = 0; i < CHUNKS; i++) {
        m = dual_of((uint64_t)order[i], weight);
        assert_int_equal(reduce_push(r, &m, &e), 0);
    }
    m = weights_of();
    if (reduce_push(r, &m, &e) < 0)
        fail_msg("%s", e.text);
    reduce_memory(r, held, spilled);
    reduce_close(&r);
    par_close(&par);
    m = kept;
    kept = NULL;
    return m;
}

static void memory_is_bounded_and_changes_no_byte(void **state)
{
    const uint64_t triangle = NK * (NK + 1) / 2 * 8, square = NK * NK * 8,
                   problem = 3 * (triangle + square) + 3 * triangle + square;
    uint64_t held, spilled, all;
    struct msg *want = full_problem(UINT64_MAX, &all, &spilled), *got;

    (void)state;
    assert_int_equal(spilled, 0);
    assert_true(all > problem);
    for (uint64_t bytes = 0; bytes <= all + triangle; bytes += triangle) {
        got = full_problem(bytes, &held, &spilled);
        assert_int_equal(got->ntensors, want->ntensors);
        for (size_t i = 0; i < want->ntensors; i++)
            assert_memory_equal(got->tensors[i].data, want->tensors[i].data,
                                want->tensors[i].bytes);
        assert_true(held <= (bytes > problem ? bytes : problem));
        assert_int_equal(spilled > 0, bytes < all);
        msg_destroy(&got);
    }
    msg_destroy(&want);
}

static void a_folder_that_is_not_there_is_named(void **state)
{
    struct err e = {0};
    struct reduce_opts o = {.mem = 0, .tmp = "/nonexistent-folder"};
    struct par *par = par_open(1, &e);
    struct reduce *r = reduce_open(&o, par, keep, NULL, &e);
    struct msg *m = acts_of(0, DT_F32, NULL);

    (void)state;
    assert_int_equal(reduce_push(r, &m, &e), 0);
    m = acts_of(4, DT_F32, NULL); /* opens another lane */
    assert_int_equal(reduce_push(r, &m, &e), -1);
    assert_int_equal(e.kind, ERR_SYS);
    assert_non_null(strstr(e.text, "/nonexistent-folder"));
    assert_non_null(strstr(e.text, "--tmp"));
    reduce_close(&r);
    par_close(&par);
}

static void a_missing_chunk_is_named(void **state)
{
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct reduce *r = open_reduce((struct reduce_opts){0}, par, &e);
    struct msg *m;

    (void)state;
    assert_int_equal(reduce_finish(r, &e), -1);
    for (uint64_t c = 0; c < CHUNKS - 1; c++) {
        m = acts_of(c, DT_F32, NULL);
        assert_int_equal(reduce_push(r, &m, &e), 0);
    }
    m = weights_of();
    assert_int_equal(reduce_push(r, &m, &e), 0);
    assert_null(kept);
    assert_int_equal(reduce_finish(r, &e), -1);
    assert_int_equal(e.kind, ERR_DATA);
    assert_non_null(strstr(e.text, "attn.qkv"));
    m = weights_of();
    assert_int_equal(reduce_skip(r, m, 0, 9, &e), -1); /* of another number of sites */
    assert_int_equal(reduce_skip(r, m, 0, 1, &e), 0);
    msg_destroy(&m);
    m = acts_of(CHUNKS - 1, DT_F32, NULL); /* which nobody needs any more */
    assert_int_equal(reduce_push(r, &m, &e), 0);
    assert_null(kept);
    reduce_close(&r);
    reduce_close(NULL);
    par_close(&par);
}

static void wrong_messages_are_refused(void **state)
{
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct reduce *r = open_reduce((struct reduce_opts){0}, par, &e);
    struct msg *m = msg_create(MSG_COMMIT, "test", &e);

    (void)state;
    assert_int_equal(reduce_push(r, &m, &e), -1);
    assert_null(m);
    assert_non_null(strstr(e.text, "commit"));
    m = acts_of(0, DT_F32, NULL);
    assert_int_equal(reduce_push(r, &m, &e), 0);
    m = acts_of(1, DT_F32, NULL);
    json_set_int(m->meta, "sites", 9);
    assert_int_equal(reduce_push(r, &m, &e), -1);
    m = acts_of(1, DT_F32, NULL);
    ((float *)msg_tensor(m, "x")->data)[NK + 3] = NAN;
    assert_int_equal(reduce_push(r, &m, &e), -1);
    assert_non_null(strstr(e.text, "channel 3"));
    reduce_close(&r);
    par_close(&par);
}

static int set_mem(void **state)
{
    mem = *(const uint64_t *)*state;
    return 0;
}

int main(void)
{
    static uint64_t budget[3] = {0, 3 * NK * NK * 8, UINT64_MAX};
#define THRICE(test)                                                     \
    {#test ", memory for sums in use", test, set_mem, NULL, &budget[0]}, \
        {#test ", memory for some", test, set_mem, NULL, &budget[1]},    \
    {                                                                    \
#        test, test, set_mem, NULL, &budget[2]                           \
    }
    const struct CMUnitTest tests[] = {
        THRICE(wrong_messages_are_refused),
        THRICE(a_missing_chunk_is_named),
        cmocka_unit_test(a_folder_that_is_not_there_is_named),
        THRICE(sums_are_those_of_plain_loops),
        THRICE(a_chunk_without_rows_counts_nothing),
        THRICE(classes_are_those_of_plain_loops),
        THRICE(too_many_lengths_are_refused),
        THRICE(sets_that_cannot_be_are_refused),
        THRICE(one_pass_keeps_all_sets),
        THRICE(diagonals_by_length_are_those_of_plain_loops),
        THRICE(arrival_and_threads_change_no_byte),
        cmocka_unit_test(memory_is_bounded_and_changes_no_byte),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("reduce", tests, NULL, NULL);
}
