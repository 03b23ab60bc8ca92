/* SPDX-License-Identifier: Apache-2.0 */
/* config_pairs - two keys of config.json for one thing, of two generations or two families: with
 * one meaning they are fine, else they are refused by name, because readers disagree on which one
 * counts. Those of the rope and of windows are compared where these are read (config_rope.c,
 * config_blocks.c). */
#include <string.h>
#include "config_parts.h"

/* Which of two keys a family's readers go by; one that says another thing under the other key is
 * refused, because somebody meant it. A "gelu" there is what Gemma's tanh was first called. */
int config_read_activation(struct config *c, const char *what, struct err *e)
{
    static const char act[] = "hidden_act", activation[] = "hidden_activation";
    const struct family *f = family_text(c);
    const char *key = f->activation_key ? f->activation_key : act,
               *other = strcmp(key, act) == 0 ? activation : act,
               *said = json_as_text(json_get(c->json, key)),
               *beside = json_as_text(json_get(c->json, other));
    const int there = json_has(c->json, key);
    enum activation also;

    c->activation = f->activation;
    if (there && activation_find(said, &c->activation, key, what, e) < 0)
        return -1;
    if (!json_has(c->json, other) ||
        (!there && other == act && beside && strcmp(beside, "gelu") == 0))
        return 0;
    if (activation_find(beside, &also, other, what, e) < 0)
        return -1;
    if (also == c->activation)
        return 0;
    return there ? err_set(e, ERR_USE, "%s: %s is '%.64s' and %s is '%.64s': remove one of them",
                           what, key, said, other, beside)
                 : err_set(e, ERR_USE,
                           "%s: %s is '%.64s', but what reads a '%s' goes by %s, which is not "
                           "there: say it there, or remove it here",
                           what, other, beside, c->model_type, key);
}

static const char *dtype_said(const struct json *j, const char *key)
{
    const char *text = json_as_text(json_get(j, key));

    return text && strncmp(text, "torch.", 6) == 0 ? text + 6 : text;
}

/* Readers compute in it. */
static int same_dtype(const struct json *j, const char *what, struct err *e)
{
    const char *now = dtype_said(j, "dtype"), *old = dtype_said(j, "torch_dtype");

    return now && old && strcmp(now, old) != 0
               ? err_set(e, ERR_USE,
                         "%s: dtype is '%.64s' and torch_dtype is '%.64s': remove one of them",
                         what, now, old)
               : 0;
}

static int same_number(const struct json *j, const char *a, const char *b, const char *what,
                       struct err *e)
{
    int64_t x, y;

    return json_as_int(json_get(j, a), &x) == 0 && json_as_int(json_get(j, b), &y) == 0 && x != y
               ? err_set(e, ERR_USE, "%s: %s is %lld and %s is %lld: remove one of them", what, a,
                         (long long)x, b, (long long)y)
               : 0;
}

/* ---- how many experts ---- */

static const char *const experts[] = {"num_experts", "num_local_experts", "n_routed_experts"};
#define EXPERTS (sizeof experts / sizeof *experts)

int config_counts_experts(const struct family *f, const char *key)
{
    int counts = 0, reads = 0;

    for (size_t i = 0; i < EXPERTS; i++) {
        counts |= strcmp(key, experts[i]) == 0;
        reads |= family_reads(f, experts[i]);
    }
    return counts && reads;
}

/* Under a name that its family does not read. */
static int same_experts(const struct config *c, const char *what, struct err *e)
{
    const struct family *f = family_text(c);
    int64_t n;

    for (size_t i = 0; i < EXPERTS; i++)
        if (config_counts_experts(f, experts[i]) && !family_reads(f, experts[i]) &&
            json_has(c->json, experts[i]) &&
            (json_as_int(json_get(c->json, experts[i]), &n) < 0 || (uint64_t)n != c->experts))
            return err_set(e, ERR_USE,
                           "%s: %s is not the number of experts that the keys of a '%s' say, %zu: "
                           "remove it",
                           what, experts[i], f->model_type, c->experts);
    return 0;
}

/* ---- windows ---- */

/* A switch that one family has: some readers look for it in all of them. A window that no row of
 * the model's context is longer than does nothing either way. */
static int same_switch(const struct config *c, const char *what, struct err *e)
{
    static const char key[] = "use_sliding_window";
    int on = 1;

    if (!c->window || c->window >= c->context || json_as_bool(json_get(c->json, key), &on) < 0 ||
        on)
        return 0;
    return err_set(e, ERR_USE,
                   "%s: %s is false, but blocks of a '%s' have a window of %zu all the same, and "
                   "readers disagree on which one counts: remove it, or say \"sliding_window\": "
                   "null",
                   what, key, c->model_type, c->window);
}

int config_check_pairs(const struct config *c, const char *what, struct err *e)
{
    return same_dtype(c->file, what, e) < 0 || same_dtype(c->json, what, e) < 0 ||
                   same_number(c->file, "image_token_id", "image_token_index", what, e) < 0 ||
                   same_number(c->json, "sliding_window_pattern", "_sliding_window_pattern", what,
                               e) < 0 ||
                   same_experts(c, what, e) < 0 || same_switch(c, what, e) < 0
               ? -1
               : 0;
}

int config_only_text(const struct json *j, const char *key, const char *known, const char *what,
                     struct err *e)
{
    const char *got = json_as_text(json_get(j, key));

    return !json_has(j, key) || (got && strcmp(got, known) == 0)
               ? 0
               : err_set(e, ERR_USE, "%s: %s '%.64s' is not supported (known: %s)", what, key,
                         got ? got : "not a text", known);
}
