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
    size_t other;

    if (config_size_or(c->json, "num_experts", EXPERTS_MAX, count, &other, what, e) < 0 ||
        config_size_or(c->json, "num_local_experts", EXPERTS_MAX, other, &c->experts, what, e) <
            0 ||
        config_size_or(c->json, "num_experts_per_tok", EXPERTS_MAX, top, &c->experts_top, what, e) <
            0)
        return -1;
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

/* ---- the sublayer ---- */

static const char *numbered(char *out, size_t size, const char *pattern, size_t expert)
{
    const char *at = strstr(pattern, "%zu");

    snprintf(out, size, "%.*s%zu%s", (int)(at - pattern), pattern, expert, at + 3);
    return out;
}

/* One linear of each expert, from their rows to their rows. */
static void each_expert(const struct config *c, struct program *p, int in, int to, size_t rows,
                        const char *site, const char *name)
{
    char full[96];

    for (size_t i = 0; i < c->experts; i++)
        program_linear_expert(p, in, to, i,
                              &(struct program_linear){.name = numbered(full, sizeof full, name, i),
                                                       .rows = rows,
                                                       .site = site});
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
    const int rows = program_gather(p, x, route);
    const int gate = program_slot(p, c->expert_ff, route),
              up = program_slot(p, c->expert_ff, route), down = program_slot(p, c->d, route);
    int shared = -1;

    each_expert(c, p, rows, gate, c->expert_ff, "expert.%zu.up", n->gate);
    each_expert(c, p, rows, up, c->expert_ff, "expert.%zu.up", n->up);
    program_gate(p, gate, up, c->activation);
    if (c->shared_ff)
        shared = shared_up(c, p, x, n);
    each_expert(c, p, gate, down, c->d, "expert.%zu.down", n->down);
    program_scatter(p, down, route, PROGRAM_STREAM);
    if (c->shared_ff)
        shared_down(c, p, x, shared, n);
}
