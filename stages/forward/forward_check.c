/* SPDX-License-Identifier: Apache-2.0 */
/* forward_check - see forward_check.h. */
#include "forward_check.h"

/* What experts get, asked for of a model that has none. */
static int check_experts(const struct msg_expert *x, const struct config *c, struct err *e)
{
    const char *option = x->every                               ? "experts all"
                         : x->starved == STARVED_ALL_TOKENS     ? "starved all-tokens"
                         : x->below && x->below != EXPERT_BELOW ? "starved-below"
                                                                : NULL;

    if (c->experts || !option)
        return 0;
    return err_set(e, ERR_USE, "--%s: the model has no experts: leave it out", option);
}

int forward_check(const struct forward_opts *o, const struct config *c, const struct sites *s,
                  struct err *e)
{
    for (size_t i = 0; i < s->count && o->dual; i++)
        if (s->site[i].expert >= 0)
            return err_set(
                e, ERR_USE,
                "--dual: the model has experts, and each of two streams would have rows of its "
                "own at block %zu, %s: leave --dual out, and solvers that need it",
                s->site[i].block, s->site[i].name);
    if (o->tower && (o->dual || o->act_bits || o->qkv_bits || o->images_apart || o->state))
        return err_set(e, ERR_USE,
                       "--vision quantize: what the tower makes of a picture goes with one stream, "
                       "is not rounded and is not kept: leave --%s out",
                       o->dual           ? "dual"
                       : o->act_bits     ? "act-bits"
                       : o->qkv_bits     ? "qkv-bits"
                       : o->images_apart ? "images-out"
                                         : "state (ptq run --save-state)");
    if (check_experts(&o->expert, c, e) < 0)
        return -1;
    if (o->act_bits && c->experts && (o->expert.every || o->expert.starved == STARVED_ALL_TOKENS))
        return err_set(e, ERR_USE,
                       "--act-bits rounds the rows that a router sent: leave --experts all and "
                       "--starved all-tokens out");
    if (o->attention_weights && block_check_received(c, e) < 0)
        return err_prefix(e, "--token-weights attention");
    return 0;
}
