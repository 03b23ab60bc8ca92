/* SPDX-License-Identifier: Apache-2.0 */
/* test_program - programs of blocks: what is refused, which sites and stops follow, what is alive
 * at them, where slots lie; what each family's tensors do with the stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>
#include "../../common/model/cost.h"
#include "../../common/model/config_read.h"
#include "../../common/model/family.h"
#include "../../common/model/program_build.h"
#include "../../common/model/op.h"
#include "../../common/model/residual.h"

#define D 8u

static const struct norm_spec rms = {NORM_RMS, 1e-6};
static const struct program_linear qkv = {.name = "qkv", .rows = 12, .site = "attn.qkv"};

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

/* ---- mistakes ---- */

static void slots_that_are_none(void **state)
{
    struct program p;

    (void)state;
    begin(&p);
    program_linear(&p, 7, &qkv);
    refused(&p, "reads slot 7, which is none");
    begin(&p);
    program_linear(&p, -2, &qkv);
    refused(&p, "which is none");
    program_init(&p, "b.", D);
    program_linear_add(&p, PROGRAM_STREAM, 5, &qkv);
    refused(&p, "writes slot 5, which is none");
    program_init(&p, "b.", 0);
    refused(&p, "no width");
    begin(&p);
    program_slot(&p, 4, 1);
    refused(&p, "its route is none");
}

static void a_slot_that_nobody_wrote(void **state)
{
    struct program p;
    int x;

    (void)state;
    begin(&p);
    x = program_slot(&p, D, -1);
    program_linear(&p, x, &qkv);
    refused(&p, "reads slot 2, into which nothing was written");
    begin(&p);
    x = program_slot(&p, 12, -1);
    program_linear_add(&p, 1, x, &qkv);
    refused(&p, "adds to slot 2, into which nothing was written");
}

static void widths(void **state)
{
    const struct attention_shape heads = {.heads = 4, .kv_heads = 2, .head_dim = 2},
                                 odd = {.heads = 3, .kv_heads = 2, .head_dim = 2};
    const struct rope_spec rope = {.width = 4};
    struct program p;
    int x, y;

    (void)state;
    x = begin(&p);
    program_linear_add(&p, x, PROGRAM_STREAM, &qkv);
    refused(&p, "makes rows of 12, slot 0 has rows of 8");
    x = begin(&p);
    y = program_linear(&p, x, &qkv);
    program_gate(&p, x, y, ACTIVATION_SILU);
    refused(&p, "a gate of 8");
    x = begin(&p);
    y = program_linear(&p, x, &qkv);
    program_add(&p, PROGRAM_STREAM, y, 1);
    refused(&p, "rows of 12 are added");
    x = begin(&p);
    program_norm_heads(&p, x, 3, "heads", &rms);
    refused(&p, "8 numbers are not 3 heads");
    x = begin(&p);
    program_rope(&p, x, 3, &rope);
    refused(&p, "3 heads of 4 in rows of 8");
    x = begin(&p);
    program_attention(&p, x, x, x, &heads);
    refused(&p, "not of 4");
    x = begin(&p);
    program_attention(&p, x, x, x, &odd);
    refused(&p, "3 heads share 2");
}

static void tensors(void **state)
{
    const struct program_linear
        none = {.rows = 4},
        outside = {.name = "q", .rows = 4, .whole = "qkv", .first = 10, .total = 12},
        far = {.name = "q", .rows = 4, .whole = "qkv", .total = 4, .stacked = 2, .which = 2},
        half = {.name = "q", .rows = 4, .whole = "qkv", .total = 8, .stacked = 2, .turned = 1};
    struct program p;

    (void)state;
    program_linear(&p, begin(&p), &none);
    refused(&p, "(linear): it has no tensor");
    program_init(&p, "b.", D);
    program_norm(&p, PROGRAM_STREAM, NULL, &rms);
    refused(&p, "operation 0 (norm): it has no tensor");
    program_bias(&p, begin(&p), 1);
    refused(&p, "(bias): it has no tensor");
    program_linear(&p, begin(&p), &outside);
    refused(&p, "'b.qkv' does not hold its rows");
    program_linear(&p, begin(&p), &far);
    refused(&p, "does not hold its rows");
    program_linear(&p, begin(&p), &half);
    refused(&p, "'b.qkv' is turned: it holds one linear");
}

static void experts(void **state)
{
    const struct program_linear router = {.name = "router", .rows = 3},
                                up = {.name = "up", .rows = D, .site = "expert.%zu.up"};
    struct program p;
    int x, r, xs, y;

    (void)state;
    x = begin(&p);
    program_route(&p, program_linear(&p, x, &router), 4, 0);
    refused(&p, "the best 4 of 3");
    x = begin(&p);
    r = program_route(&p, program_linear(&p, x, &router), 2, 0);
    xs = program_gather(&p, x, r);
    program_linear_expert(&p, xs, program_slot(&p, D, r), 3, &up);
    refused(&p, "expert 3 of 3");
    x = begin(&p);
    r = program_route(&p, program_linear(&p, x, &router), 2, 0);
    xs = program_gather(&p, x, r);
    y = program_slot(&p, D, r);
    program_linear_expert(&p, xs, y, 0, &up);
    program_linear_expert(&p, xs, y, 1, &up);
    program_scatter(&p, y, r, PROGRAM_STREAM);
    refused(&p, "into which nothing was written"); /* by the third */
    x = begin(&p);
    r = program_route(&p, program_linear(&p, x, &router), 2, 0);
    program_add(&p, PROGRAM_STREAM, program_gather(&p, x, r), 1);
    refused(&p, "are not the same");
}

static void sites_that_are_none(void **state)
{
    struct program_linear l = qkv;
    struct program p;
    int x;

    (void)state;
    program_init(&p, "b.", D);
    program_linear(&p, PROGRAM_STREAM, &qkv);
    refused(&p, "reads the stream itself");
    x = begin(&p);
    program_linear(&p, x, &qkv);
    l.name = "up";
    l.site = "mlp.up";
    program_linear(&p, x, &l);
    refused(&p, "it reads what attn.qkv reads");
    x = begin(&p);
    program_linear(&p, x, &qkv);
    program_linear(&p, program_norm(&p, PROGRAM_STREAM, "other", &rms), &qkv);
    refused(&p, "other rows than the rest of site attn.qkv");
    /* the same slot, but other numbers by then */
    x = begin(&p);
    program_linear(&p, x, &qkv);
    program_norm_heads(&p, x, 1, "again", &rms);
    program_linear(&p, x, &qkv);
    refused(&p, "other rows than the rest of site attn.qkv");
}

/* Everything after a mistake is ignored. */
static void the_first_mistake_counts(void **state)
{
    struct program p;

    (void)state;
    begin(&p);
    program_gate(&p, 1, 9, ACTIVATION_SILU);
    program_norm(&p, PROGRAM_STREAM, NULL, &rms);
    program_route(&p, -1, 0, 0);
    refused(&p, "operation 1 (gate): it reads slot 9");
}

/* ---- what follows ---- */

static const char llama[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": 64, "
    "\"intermediate_size\": 160, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
    "\"num_key_value_heads\": 2, \"vocab_size\": 320}";

static void llama_config(struct config *c)
{
    struct err e = {0};

    assert_int_equal(config_parse(llama, strlen(llama), "config.json", c, &e), 0);
}

/* The stream is alive everywhere; beside it one slot: the rows of the site. */
static void what_llama_keeps(void **state)
{
    static const size_t inputs[] = {64, 64, 64, 160};
    struct config c;
    struct program p;
    struct err e = {0};

    (void)state;
    llama_config(&c);
    assert_int_equal(family_program(&c, 1, &p, &e), 0);
    assert_true(p.nsites == 4 && p.nstops == 4);
    for (size_t s = 0; s < 4; s++) {
        assert_int_equal(p.site[s].stop, s);
        assert_true(program_alive(&p, PROGRAM_STREAM, program_stop_at(&p, s)));
        assert_true(program_holds_rows(&p, p.site[s].slot, s));
        assert_int_equal(program_kept(&p, s, 100, 2), 100 * inputs[s] * 2);
        assert_int_equal(program_kept(&p, s, 100, 4), 100 * inputs[s] * 4);
    }
    assert_int_equal(program_kept(&p, 4, 100, 2), 0);
    assert_int_equal(program_kept_most(&p, 3, 2), 3 * 160 * 2);
    assert_string_equal(program_linear_of(&p, 0, 2)->tensor[0].name,
                        "model.layers.1.self_attn.v_proj.weight");
    assert_null(program_linear_of(&p, 0, 3));
    program_release(&p);
    config_release(&c);
}

/* Slots that are there together never share memory. */
static void places(const struct program *p, size_t from, size_t to, size_t T)
{
    size_t offset[64], floats = 0;
    struct err e = {0};

    assert_true(p->nslots <= 64);
    assert_int_equal(program_place(p, from, to, NULL, T, offset, &floats, &e), 0);
    for (size_t i = from; i < to; i++)
        for (size_t a = 1; a < p->nslots; a++)
            for (size_t b = 1; b < a; b++) {
                const size_t rows = T < PROGRAM_SLAB ? T : PROGRAM_SLAB;
                const size_t na = rows * p->slot[a].width, nb = rows * p->slot[b].width;

                if (!(program_alive(p, (int)a, i) || p->op[i].out == (int)a) ||
                    !(program_alive(p, (int)b, i) || p->op[i].out == (int)b))
                    continue;
                assert_true(offset[a] + na <= offset[b] || offset[b] + nb <= offset[a]);
                assert_true(offset[a] + na <= floats && offset[b] + nb <= floats);
            }
}

/* Of gate and up only one is there whole, and in one walk none of both. */
static void slabs(void **state)
{
    struct config c;
    struct program p;
    struct err e = {0};
    size_t room, offset[64], floats;
    const size_t T = 5000, part[] = {64, 160};

    (void)state;
    llama_config(&c);
    assert_int_equal(family_program(&c, 0, &p, &e), 0);
    for (size_t s = 0, from = 0; s <= 4; from = program_stop_at(&p, s++))
        places(&p, from, program_stop_at(&p, s), T);
    places(&p, 0, p.nops, T);
    places(&p, 0, p.nops, 10);
    assert_int_equal(program_room(&p, T, &room, &e), 0);
    assert_int_equal(room, (T * (part[0] + part[1]) + PROGRAM_SLAB * part[1]) * sizeof(float));
    assert_int_equal(program_place(&p, 0, p.nops, NULL, T, offset, &floats, &e), 0);
    assert_true(floats < T * (64 + 32 + 32 + 64) + 4 * PROGRAM_SLAB * 160);
    program_release(&p);
    config_release(&c);
}

/* Two norms of the stream before the first linear: both sites are ready at once. */
static void a_parallel_block(void **state)
{
    const struct program_linear o = {.name = "o", .rows = D, .site = "attn.o"},
                                up = {.name = "up", .rows = 6, .site = "mlp.up"},
                                down = {.name = "down", .rows = D, .site = "mlp.down"};
    const struct attention_shape shape = {.heads = 3, .kv_heads = 3, .head_dim = 4};
    struct program p;
    struct err e = {0};
    int x, m, q, u;

    (void)state;
    x = begin(&p);
    m = program_norm(&p, PROGRAM_STREAM, "norm2", &rms);
    q = program_linear(&p, x, &qkv);
    q = program_attention(&p, q, q, q, &shape);
    u = program_linear(&p, m, &up);
    program_linear_add(&p, q, PROGRAM_STREAM, &o);
    program_linear_add(&p, u, PROGRAM_STREAM, &down);
    assert_int_equal(program_finish(&p, &e), 0);
    assert_true(p.nsites == 4 && p.nstops == 2);
    assert_string_equal(p.site[0].name, "attn.qkv");
    assert_string_equal(p.site[1].name, "mlp.up");
    assert_true(p.site[1].stop == 0 && p.site[2].stop == 1 && p.site[3].stop == 1);
    assert_int_equal(program_kept(&p, 0, 1, 2), 2 * 2 * D);
    assert_int_equal(program_kept(&p, 1, 1, 2), 2 * (12 + 6));
    program_release(&p);
}

static void a_list_of_operations(void **state)
{
    (void)state;
    for (size_t i = 0; op_at(i); i++) {
        assert_true((op_at(i)->cost || op_at(i)->moved > 0) && op_at(i)->check);
        assert_true(!op_at(i)->each != !op_at(i)->run);
        assert_true(op_at(i)->inputs <= OP_INPUTS && op_at(i)->tensors <= OP_TENSORS);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(op_at(i)->name, op_at(k)->name);
    }
}

/* Linears and attention by hand; what goes over rows alone is below a tenth of it here. */
static void costs(void **state)
{
    const double T = 1000, L = 100;
    const double linears = 2 * T * 64 * (64 + 32 + 32 + 64 + 3 * 160),
                 attention = 4 * T * (L + 1) / 2 * 64;
    struct config c;
    struct cost cost;
    struct err e = {0};

    (void)state;
    llama_config(&c);
    assert_int_equal(cost_of(&c, T, L, 500, DT_BF16, &cost, &e), 0);
    assert_true(cost.flops > 2 * (linears + attention) && cost.flops < 2.2 * (linears + attention));
    assert_true(cost.bytes > 0);
    assert_int_equal(cost.kept, 2 * 160);
    assert_int_equal(cost.room, 500 * (64 + 160 + 160) * sizeof(float));
    config_release(&c);
}

/* ---- the stream ---- */

static int count_role(void *ctx, const struct residual_tensor *t, struct err *e)
{
    size_t *count = ctx;

    (void)e;
    assert_int_equal(t->norm != NULL, t->role == RESIDUAL_READS);
    if (strstr(t->name, "q_proj.weight"))
        assert_string_equal(t->norm, "model.layers.1.input_layernorm.weight");
    if (strstr(t->name, "up_proj.weight"))
        assert_string_equal(t->norm, "model.layers.1.post_attention_layernorm.weight");
    count[t->role]++;
    return 0;
}

static void what_joins_the_stream(void **state)
{
    size_t count[5] = {0};
    struct config c;
    struct err e = {0};

    (void)state;
    llama_config(&c);
    assert_int_equal(residual_tensors(&c, 1, count_role, count, &e), 0);
    assert_int_equal(count[RESIDUAL_NORM], 2);
    assert_int_equal(count[RESIDUAL_READS], 5);
    assert_int_equal(count[RESIDUAL_WRITES], 2);
    assert_int_equal(count[RESIDUAL_JOINS], 2); /* biases that may be there */
    assert_int_equal(count[RESIDUAL_APART], 5);
    config_release(&c);
}

static int ignore(void *ctx, const struct residual_tensor *t, struct err *e)
{
    (void)ctx;
    (void)t;
    (void)e;
    return 0;
}

#define MOE "\"moe_intermediate_size\": 8, \"num_experts\": 4, \"num_experts_per_tok\": 2"
#define SMALL                                                                     \
    "\"hidden_size\": 64, \"num_hidden_layers\": 4, \"num_attention_heads\": 4, " \
    "\"intermediate_size\": 160, \"vocab_size\": 320, \"head_dim\": 16, %s}"

/* What no rotation goes through, by the tensor that stands in the way; NULL: it goes. */
static void what_rotates(void **state)
{
    static const struct {
        const char *type, *why;
    } cases[] = {
        {"llama", NULL},
        {"mistral", NULL},
        {"qwen2", NULL},
        {"qwen3", NULL},
        {"smollm3", NULL},
        {"granite", NULL},
        {"mixtral", NULL},
        {"glm4_moe", NULL},
        {"qwen3_moe", NULL},
        {"qwen2_moe", NULL},
        {"phi3", NULL},
        {"olmo2", "model.layers.3. (cut): it reads the stream without a norm"},
        {"olmo3", "model.layers.3. (cut): it reads the stream without a norm"},
        {"cohere2", "'model.layers.3.input_layernorm.weight' (norm): it takes off the mean"},
        {"gemma2", "'model.layers.3.input_layernorm.weight' (norm): its weights count"},
        {"gemma3_text", "'model.layers.3.input_layernorm.weight' (norm): its weights"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        struct config c;
        struct err e = {0};

        snprintf(text, sizeof text, "{\"model_type\": \"%s\", " SMALL, cases[i].type,
                 strcmp(cases[i].type, "qwen2_moe") == 0 ? MOE
                     ", \"shared_expert_intermediate_size\": 8"
                 : strcmp(cases[i].type, "glm4_moe") == 0  ? "\"moe_intermediate_size\": 8"
                 : strcmp(cases[i].type, "qwen3_moe") == 0 ? MOE
                                                           : "\"rms_norm_eps\": 1e-6");
        assert_int_equal(config_parse(text, strlen(text), "x", &c, &e), 0);
        assert_int_equal(residual_tensors(&c, 3, ignore, NULL, &e), cases[i].why ? -1 : 0);
        if (cases[i].why && !strstr(e.text, cases[i].why))
            fail_msg("'%s' does not say '%s'", e.text, cases[i].why);
        config_release(&c);
    }
}

/* q, k and v of one linear; the last part may not reach beyond it. */
static void cuts(void **state)
{
    struct program p;
    struct err e = {0};
    int x;

    (void)state;
    x = program_linear(&p, begin(&p), &qkv);
    program_cut(&p, x, 8, 5);
    refused(&p, "numbers 8 to 13 of rows of 12");
    x = begin(&p);
    program_share(&p, x, x);
    refused(&p, "8 numbers for each row, not one");
    x = program_linear(&p, begin(&p), &qkv);
    x = program_cut(&p, x, 4, D);
    program_linear_add(&p, x, PROGRAM_STREAM,
                       &(struct program_linear){.name = "o", .rows = D, .site = "o"});
    assert_int_equal(program_finish(&p, &e), 0);
    assert_true(p.nsites == 2 && p.nstops == 2 && p.site[1].inputs == D);
    program_release(&p);
}

/* Linears of a site read rounded rows, what is of none reads them as they are; it stops as often as
 * without. */
static void what_sites_read_is_rounded(void **state)
{
    static const struct program_linear o = {.name = "o", .rows = D, .site = "o"},
                                       router = {.name = "router", .rows = 3};
    struct program p;
    struct err e = {0};
    int x, y, bare;

    (void)state;
    begin(&p);
    assert_int_equal(program_round(&p, 1, 0, &e), 0); /* nothing is of a site */
    program_release(&p);
    program_linear(&p, begin(&p), &qkv);
    assert_int_equal(program_round(&p, 9, 0, &e), -1);
    assert_non_null(strstr(e.text, "activations of 9 bits"));
    program_release(&p);
    x = begin(&p);
    bare = program_linear(&p, x, &router);
    y = program_cut(&p, program_linear(&p, x, &qkv), 4, D);
    program_linear_add(&p, y, PROGRAM_STREAM, &o);
    program_linear(&p, x, &(struct program_linear){.name = "k", .rows = 4, .site = "attn.qkv"});
    assert_int_equal(program_round(&p, 8, 0, &e), 0);
    assert_int_equal(program_finish(&p, &e), 0);
    assert_true(p.nops == 8 && p.nsites == 2 && p.nstops == 2 && p.site[0].count == 2);
    assert_true(p.op[1].kind == &op_round && p.op[1].in[0] == x && p.op[1].out == p.site[0].slot);
    assert_true(p.op[2].out == bare && p.op[2].in[0] == x);
    assert_true(p.op[5].kind == &op_round && p.op[5].in[0] == y && p.op[5].out == p.site[1].slot);
    program_release(&p);
}

/* q, k and v before the attention that reads them, and no more. */
static void what_attention_reads_is_rounded(void **state)
{
    static const struct attention_shape shape = {.heads = 4, .kv_heads = 2, .head_dim = 2};
    struct program p;
    struct err e = {0};
    int x, from[3];
    size_t at;

    (void)state;
    x = begin(&p);
    from[0] = program_linear(&p, x, &(struct program_linear){.name = "q", .rows = 8});
    from[1] = program_linear(&p, x, &(struct program_linear){.name = "k", .rows = 4});
    from[2] = program_linear(&p, x, &(struct program_linear){.name = "v", .rows = 4});
    program_attention(&p, from[0], from[1], from[2], &shape);
    at = p.nops - 1;
    assert_int_equal(program_round(&p, 0, 1, &e), -1);
    assert_non_null(strstr(e.text, "activations of 1 bits"));
    assert_true(p.nops == at + 1 && p.op[at].in[0] == from[0]);
    assert_true(program_round(&p, 0, 4, &e) == 0 && p.nops == at + 4);
    for (size_t i = 0; i < 3; i++) {
        const struct op *o = &p.op[at + i];

        assert_true(o->kind == &op_round && o->round.bits == 4 && o->round.width == 2);
        assert_true(o->in[0] == from[i] && o->out == p.op[at + 3].in[i]);
    }
    program_release(&p);
}

/* Four groups of two experts, the best two groups count; with the correction others would win. */
static void sigmoids_are_chosen_by_groups(void **state)
{
    static const float logit[16] = {2, 1, 0, 0, 3, -9, 1, 1.5f, /**/ 0, 0, 0, 0, 0, 0, 0, 0},
                       correction[8] = {0, 0, 0.1f, 0, -0.9f, 0, 0, 0.3f};
    const struct program_choice c = {
        .top = 3, .groups = 4, .groups_top = 2, .normalize = 1, .scale = 1.5, .correction = "by"};
    struct program_choice bad = c;
    struct program p;
    struct op_args a = {.tensor = {correction}, .in = {logit}, .width_out = 8};
    float w[16];
    double sum, s[8];
    int x;

    (void)state;
    x = begin(&p);
    x = program_choose(&p, x, &c);
    assert_true(x > 0 && p.op[1].kind->routes);
    assert_string_equal(p.op[1].tensor[0].name, "b.by");
    a.op = &p.op[1];
    a.out = w;
    p.op[1].kind->each(&a, 0, 2);
    for (size_t i = 0; i < 8; i++)
        s[i] = 1 / (1 + exp(-(double)logit[i]));
    /* groups 0 (0.88 + 0.73) and 3 (0.73 + 1.12); of these 7 (1.12), 0 and, before 6, 1 */
    sum = s[0] + s[1] + s[7];
    for (size_t i = 0; i < 8; i++)
        assert_true(fabs((double)w[i] - (i < 2 || i == 7 ? 1.5 * s[i] / sum : 0)) < 1e-6);
    /* equal ones: group 3 and group 1 by their corrections, then the earlier */
    assert_true(w[8 + 7] > 0 && w[8 + 2] > 0 && w[8 + 3] > 0 && w[8 + 6] == 0);
    program_release(&p);
    bad.groups = 3;
    x = begin(&p);
    program_choose(&p, x, &bad);
    refused(&p, "of the best 2 of 3 groups");
    bad = c;
    bad.top = 5;
    x = begin(&p);
    program_choose(&p, x, &bad);
    refused(&p, "the best 5 of 8 experts");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_that_are_none),
        cmocka_unit_test(a_slot_that_nobody_wrote),
        cmocka_unit_test(widths),
        cmocka_unit_test(tensors),
        cmocka_unit_test(experts),
        cmocka_unit_test(sites_that_are_none),
        cmocka_unit_test(the_first_mistake_counts),
        cmocka_unit_test(what_llama_keeps),
        cmocka_unit_test(slabs),
        cmocka_unit_test(a_parallel_block),
        cmocka_unit_test(a_list_of_operations),
        cmocka_unit_test(costs),
        cmocka_unit_test(what_joins_the_stream),
        cmocka_unit_test(what_rotates),
        cmocka_unit_test(cuts),
        cmocka_unit_test(what_sites_read_is_rounded),
        cmocka_unit_test(what_attention_reads_is_rounded),
        cmocka_unit_test(sigmoids_are_chosen_by_groups),
    };

    return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}
