/* SPDX-License-Identifier: Apache-2.0 */
/* family_experts - see family_experts.h. */
#include "family_experts.h"

#include <stdio.h>
#include <string.h>
#include "config_parts.h"
#include "op.h"
#include "program_build.h"

#define EXPERTS_MAX OP_EXPERTS
#define WIDTH_MAX (INT64_C(1) << 24)

/* ---- config.json ---- */

int family_read_experts(struct config *c, size_t count, size_t top, const char *width,
                        const char *what, struct err *e)
{
    size_t other, again;

    if (config_size_or(c->json, "num_experts", EXPERTS_MAX, count, &other, what, e) < 0 ||
        config_size_or(c->json, "num_local_experts", EXPERTS_MAX, other, &c->experts, what, e) <
            0 ||
        config_size_or(c->json, "num_experts_per_tok", EXPERTS_MAX, top, &c->experts_top, what, e) <
            0 ||
        config_size_or(c->json, "experts_per_token", EXPERTS_MAX, c->experts_top, &again, what, e) <
            0)
        return -1;
    if (again != c->experts_top)
        return err_set(
            e, ERR_USE,
            "%s: experts_per_token is %zu and num_experts_per_tok is %zu: remove one of them", what,
            again, c->experts_top);
    if (json_has(c->json, "num_experts") && other != c->experts)
        return err_set(e, ERR_USE,
                       "%s: num_experts is %zu and num_local_experts is %zu: remove one of them",
                       what, other, c->experts);
    if (c->experts_top > c->experts)
        return err_set(e, ERR_USE, "%s: num_experts_per_tok %zu of %zu experts", what,
                       c->experts_top, c->experts);
    c->expert_ff = c->ff;
    if (width && config_size(c->json, width, WIDTH_MAX, &c->expert_ff, what, e) < 0)
        return -1;
    for (size_t i = 0; i < c->layers; i++)
        c->block[i] |= BLOCK_EXPERTS;
    return 0;
}

int family_read_dense(struct config *c, const char *what, struct err *e)
{
    const struct json *list = json_get(c->json, "mlp_only_layers");
    int64_t step, block;

    if (json_opt_int(c->json, "decoder_sparse_step", 1, 65536, 1, &step, what, e) < 0)
        return -1;
    for (size_t i = 0; i < c->layers; i++)
        if ((i + 1) % (size_t)step != 0)
            c->block[i] &= (unsigned char)~BLOCK_EXPERTS;
    if (!json_has(c->json, "mlp_only_layers"))
        return 0;
    if (json_kind(list) != JSON_KIND_ARRAY)
        return err_set(e, ERR_USE, "%s: mlp_only_layers must be an array", what);
    for (size_t i = 0; i < json_count(list); i++) {
        if (json_as_int(json_at(list, i), &block) < 0 || block < 0)
            return err_set(e, ERR_USE, "%s: mlp_only_layers[%zu] is no block", what, i);
        if ((uint64_t)block < c->layers)
            c->block[block] &= (unsigned char)~BLOCK_EXPERTS;
    }
    return 0;
}

static int read_choice(struct config *c, const struct family_choice *d, const char *what,
                       struct err *e)
{
    const struct json *j = c->json;

    if (config_size_or(j, "n_routed_experts", EXPERTS_MAX, d->experts, &c->experts, what, e) < 0 ||
        config_size_or(j, "num_experts_per_tok", EXPERTS_MAX, 8, &c->experts_top, what, e) < 0 ||
        config_size_or(j, "n_group", EXPERTS_MAX, d->groups, &c->experts_groups, what, e) < 0 ||
        config_size_or(j, "topk_group", EXPERTS_MAX, d->groups_top ? d->groups_top : 1,
                       &c->experts_groups_top, what, e) < 0 ||
        config_positive_or(j, "routed_scaling_factor", d->scale, &c->experts_scale, what, e) < 0 ||
        json_opt_bool(j, "norm_topk_prob", 1, &c->experts_normalized, what, e) < 0)
        return -1;
    if (c->experts % c->experts_groups != 0 || c->experts_groups_top > c->experts_groups ||
        c->experts_top > c->experts / c->experts_groups * c->experts_groups_top)
        return err_set(
            e, ERR_USE,
            "%s: num_experts_per_tok %zu of n_routed_experts %zu, of the best topk_group "
            "%zu of n_group %zu",
            what, c->experts_top, c->experts, c->experts_groups_top, c->experts_groups);
    return 0;
}

int family_read_choice(struct config *c, const struct family_choice *d, const char *what,
                       struct err *e)
{
    int64_t dense, shared, behind, each;

    /* the reference does not look at these three, engines do */
    if (config_only_text(c->json, "scoring_func", "sigmoid", what, e) < 0 ||
        config_only_text(c->json, "topk_method", "noaux_tc", what, e) < 0 ||
        json_opt_int(c->json, "moe_layer_freq", 1, 1, 1, &each, what, e) < 0 ||
        read_choice(c, d, what, e) < 0 ||
        config_size(c->json, "moe_intermediate_size", WIDTH_MAX, &c->expert_ff, what, e) < 0 ||
        json_opt_int(c->json, "n_shared_experts", 0, 64, 1, &shared, what, e) < 0 ||
        json_opt_int(c->json, "num_nextn_predict_layers", 0, 64, 1, &behind, what, e) < 0 ||
        json_opt_int(c->json, "first_k_dense_replace", 0, 65536, d->dense, &dense, what, e) < 0)
        return -1;
    c->blocks_behind = (size_t)behind;
    c->shared_ff = (size_t)shared * c->expert_ff;
    for (size_t i = (size_t)dense; i < c->layers; i++)
        c->block[i] |= BLOCK_EXPERTS;
    return 0;
}

/* ---- the sublayer ---- */

#define SHARED "mlp.shared_experts."

const struct family_experts family_experts_chosen = {.router = "mlp.gate",
                                                     .correction =
                                                         "mlp.gate.e_score_correction_bias",
                                                     .gate = "mlp.experts.%zu.gate_proj",
                                                     .up = "mlp.experts.%zu.up_proj",
                                                     .down = "mlp.experts.%zu.down_proj",
                                                     .shared_gate = SHARED "gate_proj",
                                                     .shared_up = SHARED "up_proj",
                                                     .shared_down = SHARED "down_proj"};

static const char *numbered(char *out, size_t size, const char *pattern, size_t expert)
{
    const char *at = strstr(pattern, "%zu");

    snprintf(out, size, "%.*s%zu%s", (int)(at - pattern), pattern, expert, at + 3);
    return out;
}

/* One linear of each expert, from their rows to their rows; l says what they share. */
static void each_expert(const struct config *c, struct program *p, int in, int to, const char *name,
                        const struct program_linear *l)
{
    char full[96];

    for (size_t i = 0; i < c->experts; i++) {
        struct program_linear one = *l;

        one.name = numbered(full, sizeof full, name, i);
        if (one.whole) {
            one.stacked = c->experts;
            one.which = i;
        }
        program_linear_expert(p, in, to, i, &one);
    }
}

/* Gate and up of each expert: the slot that its down reads. */
static int experts_up(const struct config *c, struct program *p, int rows, int route,
                      const struct family_experts *n)
{
    struct program_linear l = {.rows = c->expert_ff,
                               .site = "expert.%zu.up",
                               .whole = n->stacked_up,
                               .total = 2 * c->expert_ff};
    const int gate = program_slot(p, c->expert_ff, route),
              up = program_slot(p, c->expert_ff, route);

    each_expert(c, p, rows, gate, n->gate, &l);
    l.first = c->expert_ff;
    each_expert(c, p, rows, up, n->up, &l);
    program_gate(p, gate, up, c->activation);
    return gate;
}

static int experts_down(const struct config *c, struct program *p, int gate, int route,
                        const struct family_experts *n)
{
    const struct program_linear l = {
        .rows = c->d, .site = "expert.%zu.down", .whole = n->stacked_down, .total = c->d};
    const int down = program_slot(p, c->d, route);

    each_expert(c, p, gate, down, n->down, &l);
    return down;
}

int family_experts_rows(const struct config *c, struct program *p, int x, int route,
                        const struct family_experts *n)
{
    return experts_down(c, p, experts_up(c, p, program_gather(p, x, route), route, n), route, n);
}

/* Gate and up of the shared expert: the slot that its down reads. */
static int shared_up(const struct config *c, struct program *p, int x,
                     const struct family_experts *n)
{
    struct program_linear l = {
        .name = n->shared_gate, .rows = c->shared_ff, .site = "shared.up", .fused = "gate_up_proj"};
    const int gate = program_linear(p, x, &l);

    l.name = n->shared_up;
    program_gate(p, gate, program_linear(p, x, &l), c->activation);
    return gate;
}

static void shared_down(const struct config *c, struct program *p, int x, int gate,
                        const struct family_experts *n)
{
    const int share =
        n->share ? program_linear(p, x, &(struct program_linear){.name = n->share, .rows = 1}) : -1;
    const int out = program_linear(
        p, gate,
        &(struct program_linear){.name = n->shared_down, .rows = c->d, .site = "shared.down"});

    if (n->share)
        program_share(p, out, share);
    program_add(p, PROGRAM_STREAM, out, c->residual_scale);
}

static int routed(const struct config *c, struct program *p, int logits,
                  const struct family_experts *n)
{
    const struct program_choice choice = {.top = c->experts_top,
                                          .groups = c->experts_groups,
                                          .groups_top = c->experts_groups_top,
                                          .normalize = c->experts_normalized,
                                          .scale = c->experts_scale,
                                          .correction = n->correction};

    return n->correction ? program_choose(p, logits, &choice)
                         : program_route(p, logits, c->experts_top, c->experts_normalized);
}

/* What is ready together stands together: the sites of all experts, and of the shared one, are of
 * the same two stops. */
void family_experts(const struct config *c, struct program *p, int x,
                    const struct family_experts *n)
{
    const int logits =
        program_linear(p, x, &(struct program_linear){.name = n->router, .rows = c->experts});
    const int route = routed(c, p, logits, n);
    const int gate = experts_up(c, p, program_gather(p, x, route), route, n);
    int shared = -1, down;

    if (c->shared_ff)
        shared = shared_up(c, p, x, n);
    down = experts_down(c, p, gate, route, n);
    program_scatter(p, down, route, PROGRAM_STREAM);
    if (c->shared_ff)
        shared_down(c, p, x, shared, n);
}
