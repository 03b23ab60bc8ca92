/* SPDX-License-Identifier: Apache-2.0 */
/* test_op - single operations on numbers worked out by hand, and what they refuse. Whole blocks
 * are compared with the reference in test_conformance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>
#include "../../common/model/op.h"
#include "../../common/model/program_build.h"

#define D 8u

static const struct norm_spec rms = {NORM_RMS, 1e-6};

/* A program with a norm: its slot. */
static int begin(struct program *p)
{
    program_init(p, "b.", D);
    return program_norm(p, PROGRAM_STREAM, "norm", &rms);
}

static void refused(struct program *p, const char *word)
{
    struct err e = {0};

    assert_int_equal(program_finish(p, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not say '%s'", e.text, word);
    program_release(p);
}

static void near(float got, double want)
{
    if (!(fabs((double)got - want) <= 1e-6 * (1 + fabs(want))))
        fail_msg("%.9g, not %.9g", (double)got, want);
}

static void queries_grow_by_pieces(void **state)
{
    static const size_t position[3] = {99, 31, 64};
    float x[2 * D];
    struct program p;
    struct op_args a = {.position = position, .out = x, .width_out = D, .first = 1, .count = 2};
    int slot;

    (void)state;
    slot = begin(&p);
    program_temper(&p, slot, 0.5, 0);
    refused(&p, "pieces of 0");
    slot = begin(&p);
    program_temper(&p, slot, 0.5, 32);
    a.op = &p.op[1];
    for (size_t i = 0; i < 2 * D; i++)
        x[i] = 2;
    p.op[1].kind->each(&a, 0, 2);
    for (size_t i = 0; i < D; i++) {
        near(x[i], 2); /* still the first piece */
        near(x[D + i], 2 * (1 + 0.5 * log(3)));
    }
    program_release(&p);
}

static void gates_and_ups_by_turns(void **state)
{
    static const float x[2 * D] = {1, 2, 9, 3, -9, -8, 0.5f, 8, /**/ 0, 0, -1, 1, 7, 7, 1, 0};
    struct program p;
    struct op_args a = {.in = {x}, .width = {D}, .width_out = D / 2};
    float y[D];

    (void)state;
    program_swiglu(&p, begin(&p), 1.5, 0);
    refused(&p, "clamped at 0");
    program_swiglu(&p, program_cut(&p, begin(&p), 0, 7), 1.5, 4);
    refused(&p, "rows of 7");
    assert_int_equal(program_swiglu(&p, begin(&p), 1.5, 4), 2);
    assert_int_equal(p.slot[2].width, D / 2);
    a.op = &p.op[1];
    a.out = y;
    p.op[1].kind->each(&a, 0, 2);
    for (size_t i = 0; i < D; i++) {
        const double gate = fmin(4, (double)x[2 * i]), up = fmax(-4, fmin(4, (double)x[2 * i + 1]));

        near(y[i], (up + 1) * gate / (1 + exp(-1.5 * gate)));
    }
    program_release(&p);
}

/* Heads of 4: [0 1 2 3] [4 5 6 7]. */
static void heads_are_cut_and_joined(void **state)
{
    static const float x[D] = {0, 1, 2, 3, 4, 5, 6, 7}, cut[4] = {1, 2, 5, 6}, one[2] = {8, 9},
                       shared[8] = {1, 2, 8, 9, 5, 6, 8, 9}, apart[6] = {1, 2, 8, 5, 6, 9},
                       behind[6] = {1, 2, 5, 6, 8, 9};
    struct program p;
    struct op_args a = {.in = {x}, .width = {D, 2}};
    float y[D];
    int x4, x2;

    (void)state;
    program_cut_heads(&p, begin(&p), 2, 2, 3);
    refused(&p, "numbers 2 to 5 of rows of 4");
    program_cut_heads(&p, begin(&p), 3, 0, 1);
    refused(&p, "of rows of 2");
    x4 = program_cut_heads(&p, begin(&p), 2, 1, 2);
    program_concat(&p, x4, x4, 3, 0);
    refused(&p, "3 heads of rows of 4 and 4");
    x4 = program_cut_heads(&p, begin(&p), 2, 1, 2);
    x2 = program_cut(&p, 1, 0, 2);
    program_concat(&p, x4, x2, 2, 1);
    program_concat(&p, x4, x2, 2, 0);
    program_concat(&p, x4, x2, 1, 0);
    a.op = &p.op[1];
    a.out = y;
    a.width_out = 4;
    p.op[1].kind->each(&a, 0, 1);
    assert_memory_equal(y, cut, sizeof cut);
    a.in[0] = cut;
    a.in[1] = one;
    a.width[0] = 4;
    for (size_t i = 3; i < 6; i++) {
        a.op = &p.op[i];
        a.width_out = p.slot[p.op[i].out].width;
        p.op[i].kind->each(&a, 0, 1);
        assert_int_equal(a.width_out, i == 3 ? 8 : 6);
        assert_memory_equal(y, i == 3 ? shared : i == 4 ? apart : behind, a.width_out * sizeof *y);
    }
    program_release(&p);
}

static void a_part_of_a_head_turns(void **state)
{
    static const struct rope_spec two = {.width = 2, .theta = 10000, .factor = 1, .scale = 1};
    static const size_t position[1] = {3}, length[1] = {4};
    float x[D] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct program p;
    struct rope r;
    struct err e = {0};
    struct op_args a = {
        .position = position, .length = length, .rope = &r, .out = x, .width_out = D};

    (void)state;
    program_rope_from(&p, begin(&p), 2, 3, &two);
    refused(&p, "2 heads of 2 in rows of 8, from number 3 on");
    program_rope_from(&p, begin(&p), 2, 2, &two);
    rope_init(&r, &two);
    assert_int_equal(rope_reserve(&r, length, 1, &e), 0);
    a.op = &p.op[1];
    p.op[1].kind->each(&a, 0, 1);
    for (size_t h = 0; h < 2; h++) {
        const double u = 2 + 4 * (double)h, v = u + 1;

        assert_true(x[4 * h] == (float)(4 * h) && x[4 * h + 1] == (float)(4 * h + 1));
        near(x[4 * h + 2], u * cos(3) - v * sin(3));
        near(x[4 * h + 3], v * cos(3) + u * sin(3));
    }
    rope_release(&r);
    program_release(&p);
}

/* ---- the delta rule ---- */

enum { KEYS = 2, VALUES = 4, DK = 3, DV = 5, WIDTH = 2 * KEYS * DK + VALUES * DV, ROWS = 7 };
static const struct delta_shape shape = {KEYS, VALUES, DK, DV};

static void what_a_delta_rule_refuses(void **state)
{
    const struct delta_shape odd = {3, 4, DK, DV};
    struct program p;
    int x;

    (void)state;
    x = begin(&p);
    program_delta(&p, x, x, x, &odd);
    refused(&p, "4 heads of values for 3 of keys");
    x = begin(&p);
    program_delta(&p, x, x, x, &shape);
    refused(&p, "rows of 8, 8 and 8 for 2 heads of 3 and 4 of 5");
    program_conv(&p, begin(&p), "conv", 0);
    refused(&p, "a convolution of 0 rows of 8");
    program_conv(&p, begin(&p), NULL, 4);
    refused(&p, "it has no tensor");
    program_decay(&p, begin(&p), NULL);
    refused(&p, "it has no tensor");
}

/* Two sequences, of 5 and 2 rows, by plain loops in f64. */
static void plain_delta(const float *x, const float *b, const float *g, double *y)
{
    static const size_t length[2] = {5, 2};

    for (size_t h = 0; h < VALUES; h++)
        for (size_t s = 0, t = 0; s < 2; s++) {
            double S[DK][DV] = {{0}};

            for (const size_t end = t + length[s]; t < end; t++) {
                const float *q = x + t * WIDTH + h / 2 * DK, *k = q + KEYS * DK,
                            *v = x + t * WIDTH + 2 * KEYS * DK + h * DV;
                double nq = 1e-6, nk = 1e-6;

                for (size_t i = 0; i < DK; i++) {
                    nq += (double)q[i] * (double)q[i];
                    nk += (double)k[i] * (double)k[i];
                }
                for (size_t j = 0; j < DV; j++) {
                    double held = 0, beta = 1 / (1 + exp(-(double)b[t * VALUES + h]));

                    for (size_t i = 0; i < DK; i++)
                        held += (S[i][j] *= exp((double)g[t * VALUES + h])) * (double)k[i];
                    y[(t * VALUES + h) * DV + j] = 0;
                    for (size_t i = 0; i < DK; i++) {
                        S[i][j] +=
                            (double)k[i] / sqrt(nk) * ((double)v[j] - held / sqrt(nk)) * beta;
                        y[(t * VALUES + h) * DV + j] += S[i][j] * (double)q[i] / sqrt(nq * DK);
                    }
                }
            }
        }
}

static void a_delta_rule_goes_row_by_row(void **state)
{
    static const int32_t lengths[2] = {5, 2}, first[2] = {3, 1}, rest[2] = {2, 1};
    static const size_t slots[2] = {1, 0};
    const struct rows all = {.T = ROWS, .nseq = 2, .lengths = lengths},
                      one = {.T = 4, .nseq = 2, .lengths = first},
                      two = {.T = 3, .nseq = 2, .lengths = rest};
    const struct kv_layer layer = {.state = VALUES * DK * DV};
    float x[ROWS * WIDTH], b[ROWS * VALUES], g[ROWS * VALUES], y[2][ROWS * VALUES * DV];
    double want[ROWS * VALUES * DV];
    size_t done[2] = {0, 0};
    struct err e = {0};
    struct op o = {.kind = &op_delta, .in = {0, 1, 2}, .out = 3, .delta = {.shape = shape}};
    struct op_cache cache = {.slots = slots, .first = done};
    struct op_args a = {.op = &o,
                        .rows = &all,
                        .in = {x, b, g},
                        .width = {WIDTH, VALUES, VALUES},
                        .width_out = VALUES * DV,
                        .out = y[0]};

    (void)state;
    for (size_t i = 0; i < ROWS * WIDTH; i++)
        x[i] = (float)((int)(i * 7 % 19) - 9) / 5;
    for (size_t i = 0; i < ROWS * VALUES; i++) {
        b[i] = (float)(i % 5) - 2;
        g[i] = -(float)(i % 3);
    }
    assert_non_null(a.par = par_open(2, &e));
    assert_int_equal(op_delta.run(&a, &e), 0);
    plain_delta(x, b, g, want);
    for (size_t i = 0; i < ROWS * VALUES * DV; i++)
        near(y[0][i], want[i]);
    /* the same in two pieces: rows 0-2 of the first and 0 of the second sequence, then the rest */
    assert_non_null(cache.kv = kv_open(&layer, 1, 2, 8, &e));
    a.cache = &cache;
    for (size_t piece = 0; piece < 2; piece++) {
        static const size_t at[2][4] = {{0, 1, 2, 5}, {3, 4, 6, 0}};
        float px[4 * WIDTH], pb[4 * VALUES], pg[4 * VALUES];

        a.rows = piece ? &two : &one;
        for (size_t t = 0; t < a.rows->T; t++) {
            memcpy(px + t * WIDTH, x + at[piece][t] * WIDTH, WIDTH * sizeof *x);
            memcpy(pb + t * VALUES, b + at[piece][t] * VALUES, VALUES * sizeof *b);
            memcpy(pg + t * VALUES, g + at[piece][t] * VALUES, VALUES * sizeof *g);
        }
        a.in[0] = px;
        a.in[1] = pb;
        a.in[2] = pg;
        a.out = y[1];
        assert_int_equal(op_delta.run(&a, &e), 0);
        for (size_t t = 0; t < a.rows->T; t++)
            assert_memory_equal(y[1] + t * VALUES * DV, y[0] + at[piece][t] * VALUES * DV,
                                VALUES * DV * sizeof **y);
        for (size_t s = 0; s < 2; s++)
            done[s] += (size_t)a.rows->lengths[s];
    }
    kv_close(&cache.kv);
    par_close(&a.par);
}

static void decays(void **state)
{
    static const float rate[2] = {0, -1};
    float x[4] = {0, 1, 25, -30};
    const struct op_args a = {.tensor = {rate}, .out = x, .width_out = 2};

    (void)state;
    op_decay.each(&a, 0, 2);
    near(x[0], -log(2));
    near(x[1], -exp(-1) * log(1 + exp(1)));
    near(x[2], -25);
    near(x[3], 0);
}

/* ---- norms without weights, factors ---- */

static void units_and_factors(void **state)
{
    static const float w[D] = {1, -2, 0, 4, 5, 6, 7, 8}, x[D] = {1, 2, 3, 4, 0, 0, 0, 0};
    struct program p;
    struct op_args a = {.in = {x}, .width = {D}, .width_out = D, .tensor = {w}};
    float y[D];
    int slot;

    (void)state;
    program_unit(&p, begin(&p), 3, 1e-6);
    refused(&p, "8 numbers are not 3 heads");
    program_times(&p, begin(&p), "w", 2, 1);
    refused(&p, "2 factors for rows of 8");
    slot = program_unit(&p, begin(&p), 2, 1e-2);
    program_times(&p, slot, "w", D, 0.5);
    program_times(&p, slot, "w", 1, 0.5);
    program_unit_in(&p, slot, 1, 1e-2);
    assert_true(p.op[1].out == slot && p.op[4].in[0] == slot && p.op[4].out == slot);
    a.op = &p.op[1];
    a.out = y;
    p.op[1].kind->each(&a, 0, 1);
    for (size_t i = 0; i < D; i++)
        near(y[i], i < 4 ? (double)x[i] / sqrt(30 / 4.0 + 1e-2) : 0);
    for (size_t k = 2; k < 4; k++) {
        memcpy(y, x, sizeof y);
        a.op = &p.op[k];
        p.op[k].kind->each(&a, 0, 1);
        for (size_t i = 0; i < D; i++)
            near(y[i], (double)x[i] * 0.5 * (k == 2 ? (double)w[i] : 1));
    }
    program_release(&p);
}

/* Three experts, two tokens: token 0 goes to 0 and 2, token 1 to 0 and 1. */
static void experts_have_factors(void **state)
{
    static const float route[6] = {0.5f, 0, 2, 0.25f, 1, 0}, factor[3] = {1, -2, 3};
    const struct rows rows = {.T = 2};
    struct op times = {.kind = &op_experts_times}, scatter = {.kind = &op_scatter};
    struct op_groups g;
    float x[4] = {1, 2, 3, 4}, y[2] = {9, 9};
    struct op_args a = {.op = &times,
                        .rows = &rows,
                        .groups = &g,
                        .tensor = {factor},
                        .out = x,
                        .width_out = 1,
                        .width = {1}};
    struct program p;
    struct err e = {0};
    int logits;

    (void)state;
    logits = begin(&p);
    program_experts_times(&p, logits, logits, "w");
    refused(&p, "8 factors for slot 1, which has rows of 0 experts");
    assert_int_equal(op_groups_make(&g, route, 2, 3, 2, &e), 0);
    assert_int_equal(op_experts_times.run(&a, &e), 0);
    assert_true(x[0] == 1 && x[1] == 2 && x[2] == -6 && x[3] == 12);
    a.op = &scatter;
    a.in[0] = x;
    a.out = y;
    assert_int_equal(op_scatter.run(&a, &e), 0); /* what stood there is gone */
    near(y[0], 0.5 * 1 + 2 * 12);
    near(y[1], 0.25 * 2 - 6);
    scatter.adds = 1;
    assert_int_equal(op_scatter.run(&a, &e), 0);
    near(y[0], 2 * (0.5 * 1 + 2 * 12));
    op_groups_release(&g);
}

/* The numbers of compressed-tensors: a step of max |x| / 7.5 for 4 bits, -8 to 7 steps. */
static void rows_are_rounded(void **state)
{
    const float x[2 * D] = {1, -0.5f, 0.25f, -0.9f, 0.05f}; /* and a row of zeros */
    static const double want[5] = {7 / 7.5, -4 / 7.5, 2 / 7.5, -7 / 7.5, 0};
    float y[2 * D], g[2 * D], dx[2 * D] = {0};
    struct op op = {.kind = &op_round, .round = {.bits = 4}};
    struct op_args a = {.op = &op, .in = {x}, .out = y, .width = {D}, .width_out = D, .count = 2};
    struct op_back b = {.grad = g, .grad_in = {dx}};
    struct err e = {0};

    (void)state;
    op_round.each(&a, 0, 2);
    for (size_t i = 0; i < 2 * D; i++)
        near(y[i], i < 5 ? want[i] : 0);
    op.round.bits = 8;
    op_round.each(&a, 0, 2);
    near(y[1], -64 / 127.5);
    op.round.bits = 4;
    op.round.width = D / 2; /* each half has its own step */
    op_round.each(&a, 0, 1);
    for (size_t h = 0; h < 2; h++) {
        float half[D];

        round_row(4, x + h * (D / 2), D / 2, half);
        assert_memory_equal(y + h * (D / 2), half, D / 2 * sizeof *y);
    }
    a.exact = 1;
    op_round.each(&a, 0, 2);
    assert_memory_equal(x, y, sizeof x);
    for (size_t i = 0; i < 2 * D; i++)
        g[i] = (float)i;
    assert_non_null(a.par = par_open(1, &e));
    b.a = a;
    assert_int_equal(op_round.back(&b, &e), 0);
    par_close(&a.par);
    assert_memory_equal(g, dx, sizeof g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_grow_by_pieces),
        cmocka_unit_test(gates_and_ups_by_turns),
        cmocka_unit_test(heads_are_cut_and_joined),
        cmocka_unit_test(a_part_of_a_head_turns),
        cmocka_unit_test(what_a_delta_rule_refuses),
        cmocka_unit_test(a_delta_rule_goes_row_by_row),
        cmocka_unit_test(decays),
        cmocka_unit_test(units_and_factors),
        cmocka_unit_test(experts_have_factors),
        cmocka_unit_test(rows_are_rounded),
    };

    return cmocka_run_group_tests_name("op", tests, NULL, NULL);
}
