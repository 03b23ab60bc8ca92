/* SPDX-License-Identifier: Apache-2.0 */
/* config_rope - how positions turn: one table of kinds, both generations of keys (rope_theta,
 * rope_scaling, rope_local_base_freq; rope_parameters, where some families say it apart for
 * blocks with a window). A kind that is not in the table is refused by name, and so are numbers
 * that readers take from different places. Where an old file speaks of one theta, blocks with a
 * window have it too. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "config_parts.h"
#include "config_read.h"

/* What one of the two keys says. */
struct rope_said {
    const char *key;
    int there; /* an empty object says nothing */
    struct rope_spec spec;
    double theta, partial; /* NaN: not said */
    const struct json *brief, *extended;
};

static int read_real(const struct json *r, const char *key, double *v, const char *what,
                     struct err *e)
{
    *v = NAN;
    return json_has(r, key) ? json_need_real(r, key, v, what, e) : 0;
}

/* ---- the kinds ---- */

typedef int reader(struct rope_said *s, const struct config *c, const struct json *r,
                   const char *what, struct err *e);

static int read_linear(struct rope_said *s, const struct config *c, const struct json *r,
                       const char *what, struct err *e)
{
    (void)c;
    return config_need_positive(r, "factor", &s->spec.factor, what, e);
}

static int read_dynamic(struct rope_said *s, const struct config *c, const struct json *r,
                        const char *what, struct err *e)
{
    s->spec.original = c->context;
    if (config_need_positive(r, "factor", &s->spec.factor, what, e) < 0)
        return -1;
    return s->spec.factor >= 1
               ? 0
               : err_set(e, ERR_USE, "%s: factor %g is below 1", what, s->spec.factor);
}

static int read_llama3(struct rope_said *s, const struct config *c, const struct json *r,
                       const char *what, struct err *e)
{
    (void)c;
    if (config_need_positive(r, "factor", &s->spec.factor, what, e) < 0 ||
        config_need_positive(r, "low_freq_factor", &s->spec.low, what, e) < 0 ||
        config_need_positive(r, "high_freq_factor", &s->spec.high, what, e) < 0 ||
        config_size(r, "original_max_position_embeddings", CONFIG_POSITIONS, &s->spec.original,
                    what, e) < 0)
        return -1;
    if (s->spec.high <= s->spec.low)
        return err_set(e, ERR_USE, "%s: high_freq_factor %g is not above low_freq_factor %g", what,
                       s->spec.high, s->spec.low);
    return 0;
}

/* Beside the rope's own keys or in them, readers disagree on which; how many times longer the
 * context became. */
static int read_original(struct rope_said *s, const struct config *c, const struct json *r,
                         const char *what, struct err *e)
{
    static const char key[] = "original_max_position_embeddings";
    size_t inside;

    if (config_size_or(r, key, CONFIG_POSITIONS, c->context, &inside, what, e) < 0 ||
        config_size_or(c->json, key, CONFIG_POSITIONS, inside, &s->spec.original, what, e) < 0)
        return -1;
    if (json_has(r, key) && inside != s->spec.original)
        return err_set(e, ERR_USE, "%s: %s is %zu in config and %zu in %s: remove one of them",
                       what, key, s->spec.original, inside, s->key);
    return config_positive_or(r, "factor", (double)c->context / (double)s->spec.original,
                              &s->spec.factor, what, e);
}

/* What older files call the default one with sections. */
static int read_mrope(struct rope_said *s, const struct config *c, const struct json *r,
                      const char *what, struct err *e)
{
    (void)s;
    (void)c;
    return json_has(r, "mrope_section")
               ? 0
               : err_set(e, ERR_USE, "%s: rope type mrope without mrope_section", what);
}

static double yarn_scale(double factor, double by)
{
    return factor <= 1 ? 1 : 0.1 * by * log(factor) + 1;
}

static int read_yarn(struct rope_said *s, const struct config *c, const struct json *r,
                     const char *what, struct err *e)
{
    double scale, all;
    int truncate;

    if (read_original(s, c, r, what, e) < 0 ||
        config_positive_or(r, "beta_fast", 32, &s->spec.high, what, e) < 0 ||
        config_positive_or(r, "beta_slow", 1, &s->spec.low, what, e) < 0 ||
        json_opt_bool(r, "truncate", 1, &truncate, what, e) < 0 ||
        json_opt_real(r, "mscale", 0, &scale, what, e) < 0 ||
        json_opt_real(r, "mscale_all_dim", 0, &all, what, e) < 0)
        return -1;
    s->spec.exact = !truncate;
    scale = scale != 0 && all != 0
                ? yarn_scale(s->spec.factor, scale) / yarn_scale(s->spec.factor, all)
                : yarn_scale(s->spec.factor, 1);
    return config_positive_or(r, "attention_factor", scale, &s->spec.scale, what, e);
}

static int read_longrope(struct rope_said *s, const struct config *c, const struct json *r,
                         const char *what, struct err *e)
{
    double scale = 1;

    if (read_original(s, c, r, what, e) < 0)
        return -1;
    if (s->spec.factor > 1)
        scale = sqrt(1 + log(s->spec.factor) / log((double)s->spec.original));
    s->brief = json_get(r, "short_factor");
    s->extended = json_get(r, "long_factor");
    return config_positive_or(r, "attention_factor", scale, &s->spec.scale, what, e);
}

/* The frequencies of a whole head, of which the first turn. */
static int read_proportional(struct rope_said *s, const struct config *c, const struct json *r,
                             const char *what, struct err *e)
{
    (void)c;
    s->spec.share = isnan(s->partial) ? 1 : s->partial;
    s->partial = NAN;
    if (!(s->spec.share > 0 && s->spec.share <= 1))
        return err_set(e, ERR_USE, "%s: partial_rotary_factor is %g", what, s->spec.share);
    return config_positive_or(r, "factor", 1, &s->spec.factor, what, e);
}

static const struct rope_kind {
    const char *name;
    enum rope_type type;
    reader *read; /* NULL: it has no numbers */
} kinds[] = {
    {"default", ROPE_DEFAULT, NULL},      {"linear", ROPE_LINEAR, read_linear},
    {"mrope", ROPE_DEFAULT, read_mrope},  {"dynamic", ROPE_DYNAMIC, read_dynamic},
    {"yarn", ROPE_YARN, read_yarn},       {"longrope", ROPE_LONGROPE, read_longrope},
    {"su", ROPE_LONGROPE, read_longrope}, /* its first name */
    {"llama3", ROPE_LLAMA3, read_llama3}, {"proportional", ROPE_PROPORTIONAL, read_proportional}};

const char *config_rope_name(size_t i)
{
    return i < sizeof kinds / sizeof kinds[0] ? kinds[i].name : NULL;
}

static int unknown_kind(const char *type, const char *what, struct err *e)
{
    char known[128] = "";
    size_t used = 0;

    for (size_t i = 0; config_rope_name(i) && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "",
                                 config_rope_name(i));
    return err_set(e, ERR_USE, "%s: rope type '%.64s' is not supported (known: %s)", what, type,
                   known);
}

static const struct rope_kind *kind_of(const struct json *r, const char *what, struct err *e)
{
    const struct json *t = json_get(r, json_has(r, "rope_type") ? "rope_type" : "type");
    const char *type = json_kind(t) == JSON_KIND_NULL ? "default" : json_as_text(t),
               *old = json_as_text(json_get(r, "type"));

    if (!type) {
        err_set(e, ERR_USE, "%s: rope_type must be a text", what);
        return NULL;
    }
    if (old && strcmp(old, type) != 0) {
        err_set(e, ERR_USE, "%s: rope_type is '%.64s' and type is '%.64s': remove one of them",
                what, type, old);
        return NULL;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, type) == 0)
            return &kinds[i];
    unknown_kind(type, what, e);
    return NULL;
}

/* ---- one object ---- */

static int refuse_numbers(const struct config *c, const struct json *r, const char *what,
                          struct err *e)
{
    static const char *const keys[] = {"mrope_section", "short_mscale", "long_mscale",
                                       "llama_4_scaling_beta"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (json_has(r, keys[i]) && !family_reads(family_of(c), keys[i]) &&
            !family_reads(family_text(c), keys[i]))
            return err_set(e, ERR_USE, "%s: %s of the rope is not supported", what, keys[i]);
    return 0;
}

/* A factor without a kind that takes one: someone meant another rope. */
static int check_factor(const struct rope_said *s, const struct json *r, const char *what,
                        struct err *e)
{
    double v;

    if (!json_has(r, "factor"))
        return 0;
    if (json_need_real(r, "factor", &v, what, e) < 0)
        return -1;
    return v == 1.0 ? 0
                    : err_set(e, ERR_USE,
                              "%s: %s has factor %g and no rope_type that takes one: say which, or "
                              "remove the factor",
                              what, s->key, v);
}

/* Pairs that turn by time, row and column. */
static int read_sections(struct rope_said *s, const struct config *c, const struct json *r,
                         const char *what, struct err *e)
{
    static const char key[] = "mrope_section";
    const struct json *list = json_get(r, key);
    const double part = isnan(s->partial) ? 1 : s->partial;
    const size_t half =
        part > 0 && part <= 1 ? (size_t)((double)c->head_dim * part) / 2 : c->head_dim / 2;
    size_t sum = 0;
    int turns;

    if (!json_has(r, key))
        return 0;
    if (json_opt_bool(r, "mrope_interleaved", 0, &turns, what, e) < 0)
        return -1;
    for (size_t i = 0; i < 3; i++) {
        int64_t v = -1;

        if (json_count(list) == 3 && json_as_int(json_at(list, i), &v) == 0 && v >= 0 &&
            v <= ROPE_AXES_WIDTH)
            sum += s->spec.section[i] = (size_t)v;
        else
            sum = SIZE_MAX / 2;
    }
    if (sum != half)
        return err_set(e, ERR_USE,
                       "%s: %s must be 3 numbers of sum %zu, half of what turns of a head", what,
                       key, half);
    s->spec.axes = turns ? ROPE_TURNS : ROPE_SECTIONS;
    return s->spec.type != ROPE_DYNAMIC && s->spec.type != ROPE_LONGROPE
               ? 0
               : err_set(e, ERR_USE, "%s: %s with a rope that depends on the length", what, key);
}

static int read_object(struct rope_said *s, const struct config *c, const struct json *r,
                       const char *what, struct err *e)
{
    const struct rope_kind *k;

    s->there = json_count(r) > 0;
    if (!(k = kind_of(r, what, e)))
        return -1;
    s->spec.type = k->type;
    if (refuse_numbers(c, r, what, e) < 0 || read_real(r, "rope_theta", &s->theta, what, e) < 0 ||
        read_real(r, "partial_rotary_factor", &s->partial, what, e) < 0 ||
        read_sections(s, c, r, what, e) < 0)
        return -1;
    if ((k->read ? k->read(s, c, r, what, e) : check_factor(s, r, what, e)) < 0)
        return -1;
    if (s->spec.type == ROPE_LINEAR && s->spec.factor == 1.0)
        s->spec.type = ROPE_DEFAULT; /* another name for it */
    return 0;
}

static struct rope_said said_nothing(const char *key)
{
    return (struct rope_said){
        .key = key, .spec = {.factor = 1, .scale = 1}, .theta = NAN, .partial = NAN};
}

static int need_object(const struct json *r, const char *key, const char *what, struct err *e)
{
    return json_kind(r) == JSON_KIND_OBJECT
               ? 0
               : err_set(e, ERR_USE, "%s: %s must be an object", what, key);
}

static int read_key(struct rope_said *s, const struct config *c, const char *key, const char *what,
                    struct err *e)
{
    const struct json *r = json_get(c->json, key);
    const char *member;

    *s = said_nothing(key);
    if (!json_has(c->json, key))
        return 0;
    if (need_object(r, key, what, e) < 0)
        return -1;
    for (size_t i = 0; i < json_count(r); i++)
        if (json_kind(json_member(r, i, &member)) == JSON_KIND_OBJECT)
            return err_set(e, ERR_USE, "%s: %s.%.64s: rope per kind of block is not supported",
                           what, key, member);
    return read_object(s, c, r, what, e);
}

/* ---- the spec ---- */

static int read_factors(const struct json *list, const char *key, size_t half, double *out,
                        const char *what, struct err *e)
{
    if (json_kind(list) != JSON_KIND_ARRAY || json_count(list) != half)
        return err_set(e, ERR_USE, "%s: %s must be an array of %zu numbers", what, key, half);
    for (size_t i = 0; i < half; i++)
        if (json_as_real(json_at(list, i), &out[i]) < 0 || !isfinite(out[i]) || out[i] <= 0)
            return err_set(e, ERR_USE, "%s: %s[%zu] must be a positive number", what, key, i);
    return 0;
}

static int finish(struct config *c, const struct rope_said *s, double partial,
                  struct rope_spec *spec, const char *what, struct err *e)
{
    const int fits = partial > 0 && partial <= 1;
    double **factors = &c->rope_factors[spec == &c->rope_window];
    const size_t width = fits ? (size_t)((double)c->head_dim * partial) : 0, half = width / 2;

    *spec = s->spec;
    spec->width = width;
    if (half == 0 || width % 2 != 0)
        return err_set(e, ERR_USE, "%s: partial_rotary_factor %g of heads of %zu", what, partial,
                       c->head_dim);
    if (config_positive(spec->theta, "rope_theta", what, e) < 0)
        return -1;
    if (spec->type == ROPE_YARN && spec->theta == 1.0)
        return err_set(e, ERR_USE, "%s: rope_theta 1 with yarn", what);
    if (spec->type == ROPE_DYNAMIC && spec->width < 4)
        return err_set(e, ERR_USE, "%s: dynamic rope of heads of %zu", what, spec->width);
    if (spec->type != ROPE_LONGROPE)
        return 0;
    if (!(*factors = mem_array(2 * half, sizeof **factors, e)) ||
        read_factors(s->brief, "short_factor", half, *factors, what, e) < 0 ||
        read_factors(s->extended, "long_factor", half, *factors + half, what, e) < 0)
        return -1;
    spec->brief = *factors;
    spec->extended = *factors + half;
    return 0;
}

/* ---- one rope for all blocks ---- */

/* Takes the number that was said; two that differ are refused, because readers disagree on which
 * one counts. */
static int take_number(double said, const char *where, double *v, const char **from,
                       const char *name, const char *what, struct err *e)
{
    if (isnan(said))
        return 0;
    if (*from && said != *v)
        return err_set(e, ERR_USE, "%s: %s is %g in %s and %g in %s: remove one of them", what,
                       name, *v, *from, said, where);
    *v = said;
    *from = where;
    return 0;
}

/* Both generations of keys may be there, when they mean the same. */
static int read_one(struct config *c, const struct family *f, const char *what, struct err *e)
{
    struct rope_said said[2], *x;
    double theta, partial, base = f->theta > 0 ? f->theta : 10000.0,
                           part = f->partial > 0 ? f->partial : 1.0;
    const char *theta_from = NULL, *part_from = NULL;

    if (read_real(c->json, "rope_theta", &theta, what, e) < 0 ||
        read_real(c->json, "partial_rotary_factor", &partial, what, e) < 0 ||
        read_key(&said[0], c, "rope_scaling", what, e) < 0 ||
        read_key(&said[1], c, "rope_parameters", what, e) < 0 ||
        take_number(theta, "config", &base, &theta_from, "rope_theta", what, e) < 0 ||
        take_number(partial, "config", &part, &part_from, "partial_rotary_factor", what, e) < 0)
        return -1;
    if (said[0].there && said[1].there && !rope_spec_same(&said[0].spec, &said[1].spec))
        return err_set(e, ERR_USE,
                       "%s: rope_scaling and rope_parameters are both there and say different "
                       "things, and readers disagree on which one counts: remove one of them",
                       what);
    for (size_t i = 0; i < 2; i++)
        if (take_number(said[i].theta, said[i].key, &base, &theta_from, "rope_theta", what, e) <
                0 ||
            take_number(said[i].partial, said[i].key, &part, &part_from, "partial_rotary_factor",
                        what, e) < 0)
            return -1;
    if (part != 1.0 && !family_reads(f, "partial_rotary_factor"))
        return err_set(e, ERR_USE, "%s: partial_rotary_factor %g is not supported", what, part);
    x = &said[said[0].there ? 0 : 1];
    x->spec.theta = base;
    if (finish(c, x, part, &c->rope, what, e) < 0)
        return -1;
    c->rope_window = c->rope;
    return 0;
}

/* ---- one for blocks with a window, one for those without ---- */

/* rope_parameters: {"full_attention": ..., "sliding_attention": ...} */
static int read_nested(struct config *c, struct rope_said said[2], const char *what, struct err *e)
{
    const struct json *r = json_get(c->json, "rope_parameters"), *x;
    const char *member;

    if (json_has(c->json, "rope_scaling"))
        return err_set(e, ERR_USE,
                       "%s: rope_scaling and rope_parameters are both there: remove one of them",
                       what);
    for (size_t i = 0; i < json_count(r); i++) {
        x = json_member(r, i, &member);
        if (strcmp(member, "full_attention") != 0 && strcmp(member, "sliding_attention") != 0)
            return err_set(e, ERR_USE,
                           "%s: rope_parameters.%.64s is not supported (known: full_attention, "
                           "sliding_attention)",
                           what, member);
        if (json_kind(x) == JSON_KIND_NULL)
            continue;
        if (need_object(x, member, what, e) < 0 ||
            read_object(&said[*member == 's'], c, x, what, e) < 0)
            return -1;
    }
    return 0;
}

/* What the blocks of one kind have; two places that differ are refused. */
static int pick_theta(const struct rope_said *s, double old, const char *key, double def,
                      double *theta, const char *what, struct err *e)
{
    if (!isnan(s->theta) && !isnan(old) && s->theta != old)
        return err_set(e, ERR_USE,
                       "%s: %s is %g in config, and rope_theta %g in rope_parameters.%s: remove "
                       "one of them",
                       what, key, old, s->theta, s->key);
    *theta = !isnan(s->theta) ? s->theta : !isnan(old) ? old : def;
    return 0;
}

static int read_two(struct config *c, const struct family *f, const char *what, struct err *e)
{
    struct rope_said said[2] = {said_nothing("full_attention"), said_nothing("sliding_attention")};
    struct rope_spec *const spec[2] = {&c->rope, &c->rope_window};
    double theta, window;

    if (read_real(c->json, "rope_theta", &theta, what, e) < 0 ||
        read_real(c->json, "rope_local_base_freq", &window, what, e) < 0)
        return -1;
    if (json_has(c->json, "rope_parameters")) {
        if (need_object(json_get(c->json, "rope_parameters"), "rope_parameters", what, e) < 0 ||
            read_nested(c, said, what, e) < 0)
            return -1;
    } else if (read_key(&said[0], c, "rope_scaling", what, e) < 0)
        return -1;
    if (pick_theta(&said[0], theta, "rope_theta", f->theta, &said[0].spec.theta, what, e) < 0 ||
        pick_theta(&said[1], window, "rope_local_base_freq",
                   f->theta_window > 0 ? f->theta_window
                   : isnan(theta)      ? f->theta
                                       : theta,
                   &said[1].spec.theta, what, e) < 0)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        if (said[i].spec.exact || !isnan(said[i].partial))
            return err_set(e, ERR_USE,
                           "%s: %s of %s: truncate and partial_rotary_factor are not supported "
                           "there",
                           what, said[i].key, c->model_type);
        if (finish(c, &said[i], 1.0, spec[i], what, e) < 0)
            return -1;
    }
    return 0;
}

int config_read_rope(struct config *c, const struct family *f, const char *what, struct err *e)
{
    if ((f->two_ropes ? read_two : read_one)(c, f, what, e) < 0)
        return -1;
    c->rope.pairs = c->rope_window.pairs = f->rope_pairs;
    return 0;
}
