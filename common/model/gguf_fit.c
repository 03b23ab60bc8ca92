/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_fit - what src/models/ of llama.cpp computes for each architecture, against the config. */
#include "gguf_fit.h"

#include <math.h>

static int refuse(const char *what, const struct gguf_arch *a, struct err *e)
{
    return err_set(e, ERR_USE,
                   "the model has %s, which llama.cpp does not compute for architecture %s: take "
                   "another --format",
                   what, a->name);
}

static int rope_check(const struct config *c, const struct gguf_arch *a, struct err *e)
{
    const struct rope_spec *r = &c->rope;

    if (r->width != c->head_dim && !a->longrope)
        return refuse("rope on a part of a head", a, e);
    if (r->type == ROPE_LONGROPE && a->longrope)
        return 0;
    if (r->type == ROPE_DYNAMIC || r->type == ROPE_LONGROPE)
        return refuse("dynamic or longrope scaling", a, e);
    if (a->windows == GGUF_PERIODIC_WINDOWS &&
        (r->type > ROPE_LINEAR || c->rope_window.type > ROPE_DEFAULT))
        return refuse("this rope scaling", a, e);
    if (r->type == ROPE_LLAMA3 && !a->factors)
        return refuse("llama3 rope scaling", a, e);
    if (r->type == ROPE_YARN && (r->exact || r->low != 1 || r->high != 32 ||
                                 fabs(r->scale - (0.1 * log(r->factor) + 1)) > 1e-6))
        return refuse("yarn scaling with parameters of its own", a, e);
    return 0;
}

/* llama.cpp brings the weights of a token's experts to a sum of 1 in these architectures. */
static int experts_check(const struct config *c, const struct gguf_arch *a, struct err *e)
{
    if (!c->experts)
        return a->experts ? refuse("no experts", a, e) : 0;
    if (!c->experts_normalized || c->experts_scale > 0 || c->experts_groups)
        return refuse("another way to weigh experts", a, e);
    if (c->shared_ff)
        return refuse("shared experts", a, e);
    for (size_t i = 0; i < c->layers; i++)
        if (!c->block || !(c->block[i] & BLOCK_EXPERTS))
            return refuse("blocks without experts", a, e);
    return 0;
}

size_t gguf_fit_period(const struct config *c)
{
    size_t period = 1;

    while (period <= c->layers && config_window(c, period - 1))
        period++;
    for (size_t i = 0; i < c->layers; i++)
        if ((config_window(c, i) != 0) != (i % period < period - 1))
            return 0;
    return period;
}

static int windows_check(const struct config *c, const struct gguf_arch *a, struct err *e)
{
    const int periodic = a->windows == GGUF_PERIODIC_WINDOWS;

    for (size_t i = 0; i < c->layers && !periodic; i++)
        if (config_window(c, i))
            return refuse("a sliding window", a, e);
    return periodic && !gguf_fit_period(c)
               ? refuse("windows in blocks that are not every so many-th", a, e)
               : 0;
}

/* What scores are multiplied with, and what caps them and the logits. */
static int scores_check(const struct config *c, const struct gguf_arch *a, struct err *e)
{
    const double width = c->layers == (size_t)a->wide_layers ? (double)(c->d / c->heads)
                                                             : (double)c->head_dim,
                 scale =
                     c->attention_scale > 0 ? c->attention_scale : 1 / sqrt((double)c->head_dim);

    if (fabs(scale * sqrt(width) - 1) > 1e-6)
        return refuse("another scale of scores (query_pre_attn_scalar)", a, e);
    if (a->cap > 0 && !(c->attention_cap > 0 && c->logit_cap > 0))
        return refuse("no soft caps", a, e);
    if (!(a->cap > 0) && (c->attention_cap > 0 || c->logit_cap > 0))
        return refuse("soft caps", a, e);
    return a->tied && !c->tied ? refuse("a head that is not its embedding", a, e) : 0;
}

int gguf_fit(const struct config *c, const struct gguf_arch *a, struct err *e)
{
    enum activation of;

    if (activation_find(a->activation ? a->activation : "silu", &of, "activation", a->name, e) < 0)
        return -1;
    if (c->attention_bias && a->biases != GGUF_QKV_BIASES && a->biases != GGUF_ANY_BIASES)
        return refuse("biases in attention", a, e);
    if (c->blocks_behind)
        return refuse("blocks behind the last", a, e);
    if (c->activation != of)
        return refuse("another activation", a, e);
    return windows_check(c, a, e) || scores_check(c, a, e) || experts_check(c, a, e) ||
                   rope_check(c, a, e)
               ? -1
               : 0;
}
