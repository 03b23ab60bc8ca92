/* SPDX-License-Identifier: Apache-2.0 */
/* config_read - see config_read.h: the fields every family has. Both generations of keys:
 * rope_theta + rope_scaling, and rope_parameters. Leaves out: nested configs of vision models,
 * rope types beyond default, linear and llama3, everything about generation. What would change
 * the mathematics and is not done here is refused, not ignored. */
#include "config_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/fs.h"
#include "../tensor/safetensors.h"
#include "family.h"

enum { CONFIG_BYTES = 16 << 20 };

/* Bounds keep every product of two dimensions far from overflow. */
#define WIDTH_MAX (INT64_C(1) << 24)

static int present(const struct json *j, const char *key)
{
    return json_kind(json_get(j, key)) != JSON_KIND_NULL;
}

static int read_size(const struct json *j, const char *key, int64_t max, size_t *out,
                     const char *what, struct err *e)
{
    int64_t v;

    if (json_need_int(j, key, 1, max, &v, what, e) < 0)
        return -1;
    *out = (size_t)v;
    return 0;
}

static int read_size_or(const struct json *j, const char *key, int64_t max, size_t def, size_t *out,
                        const char *what, struct err *e)
{
    *out = def;
    return present(j, key) ? read_size(j, key, max, out, what, e) : 0;
}

static int positive(double v, const char *key, const char *what, struct err *e)
{
    if (!isfinite(v) || v <= 0.0)
        return err_set(e, ERR_USE, "%s: %s is %g, it must be a positive number", what, key, v);
    return 0;
}

static int need_positive(const struct json *j, const char *key, double *v, const char *what,
                         struct err *e)
{
    return json_need_real(j, key, v, what, e) < 0 ? -1 : positive(*v, key, what, e);
}

static int read_text(const char *v, char *out, size_t n, const char *key, const char *what,
                     struct err *e)
{
    if (strlen(v) >= n)
        return err_set(e, ERR_USE, "%s: %s is too long", what, key);
    snprintf(out, n, "%s", v);
    return 0;
}

/* ---- who it is ---- */

static int unknown_model(const char *what, const char *key, const char *got, struct err *e)
{
    char known[256] = "";
    size_t used = 0;
    const struct family *f;

    for (size_t i = 0; (f = family_at(i)) != NULL && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "",
                                 f->model_type);
    return err_set(e, ERR_USE, "%s: %s '%.64s' is not supported (known: %s)", what, key, got,
                   known);
}

static int read_identity(struct config *c, const char *what, struct err *e)
{
    const char *type = json_need_text(c->json, "model_type", what, e);
    const struct json *list = json_get(c->json, "architectures");
    const struct family *f;
    const char *arch;

    if (!type)
        return -1;
    f = family_find(type);
    if (!f)
        return unknown_model(what, "model_type", type, e);
    if (!present(c->json, "architectures"))
        arch = f->architecture;
    else if (json_kind(list) != JSON_KIND_ARRAY || json_count(list) != 1 ||
             !(arch = json_as_text(json_at(list, 0))))
        return err_set(e, ERR_USE, "%s: architectures must be an array of one name", what);
    if (strcmp(arch, f->architecture) != 0)
        return unknown_model(what, "architecture", arch, e);
    return read_text(type, c->model_type, sizeof c->model_type, "model_type", what, e) ||
                   read_text(arch, c->architecture, sizeof c->architecture, "architectures", what,
                             e)
               ? -1
               : 0;
}

/* ---- sizes ---- */

static int read_sizes(struct config *c, const char *what, struct err *e)
{
    const struct json *j = c->json;

    if (read_size(j, "hidden_size", WIDTH_MAX, &c->d, what, e) < 0 ||
        read_size(j, "num_hidden_layers", 65536, &c->layers, what, e) < 0 ||
        read_size(j, "num_attention_heads", 65536, &c->heads, what, e) < 0 ||
        read_size_or(j, "num_key_value_heads", 65536, c->heads, &c->kv_heads, what, e) < 0 ||
        read_size_or(j, "head_dim", 65536, c->d / c->heads, &c->head_dim, what, e) < 0 ||
        read_size(j, "intermediate_size", WIDTH_MAX, &c->ff, what, e) < 0 ||
        read_size(j, "vocab_size", WIDTH_MAX, &c->vocab, what, e) < 0 ||
        read_size_or(j, "max_position_embeddings", INT64_C(1) << 40, 2048, &c->context, what, e) !=
            0)
        return -1;
    if (!present(j, "head_dim") && c->d % c->heads != 0)
        return err_set(e, ERR_USE,
                       "%s: hidden_size %zu is not a multiple of num_attention_heads %zu and there "
                       "is no head_dim",
                       what, c->d, c->heads);
    if (c->head_dim == 0 || c->head_dim % 2 != 0)
        return err_set(e, ERR_USE, "%s: head_dim %zu must be even", what, c->head_dim);
    if (c->heads % c->kv_heads != 0)
        return err_set(e, ERR_USE,
                       "%s: num_attention_heads %zu is not a multiple of num_key_value_heads %zu",
                       what, c->heads, c->kv_heads);
    if (c->heads * c->head_dim > (size_t)WIDTH_MAX)
        return err_set(e, ERR_USE, "%s: %zu heads of %zu are too wide", what, c->heads,
                       c->head_dim);
    if (json_opt_real(j, "rms_norm_eps", 1e-6, &c->norm_eps, what, e) < 0)
        return -1;
    if (!isfinite(c->norm_eps) || c->norm_eps < 0.0)
        return err_set(e, ERR_USE, "%s: rms_norm_eps is %g", what, c->norm_eps);
    return json_opt_bool(j, "tie_word_embeddings", 0, &c->tied, what, e);
}

/* A token id, null, or a list of which the first counts. */
static int read_token(const struct config *c, const char *key, int64_t *out, const char *what,
                      struct err *e)
{
    const struct json *v = json_get(c->json, key);

    *out = -1;
    if (json_kind(v) == JSON_KIND_ARRAY)
        v = json_at(v, 0);
    if (json_kind(v) == JSON_KIND_NULL)
        return 0;
    if (json_as_int(v, out) != 0 || *out < -1 || *out >= WIDTH_MAX)
        return err_set(e, ERR_USE, "%s: %s is not a token id", what, key);
    return 0;
}

/* ---- rope ---- */

static int read_rope_type(struct config *c, const struct json *r, const char *what, struct err *e)
{
    const struct json *t = present(r, "rope_type") ? json_get(r, "rope_type") : json_get(r, "type");
    const char *type = json_kind(t) == JSON_KIND_NULL ? "default" : json_as_text(t),
               *old = json_as_text(json_get(r, "type"));

    if (!type)
        return err_set(e, ERR_USE, "%s: rope_type must be a text", what);
    if (old && strcmp(old, type) != 0)
        return err_set(e, ERR_USE,
                       "%s: rope_type is '%.64s' and type is '%.64s': remove one of them", what,
                       type, old);
    if (strcmp(type, "default") == 0)
        c->rope = ROPE_DEFAULT;
    else if (strcmp(type, "linear") == 0)
        c->rope = ROPE_LINEAR;
    else if (strcmp(type, "llama3") == 0)
        c->rope = ROPE_LLAMA3;
    else
        return err_set(e, ERR_USE,
                       "%s: rope type '%.64s' is not supported (known: default, linear, llama3)",
                       what, type);
    return 0;
}

static int read_rope_llama3(struct config *c, const struct json *r, const char *what, struct err *e)
{
    if (need_positive(r, "low_freq_factor", &c->rope_low, what, e) < 0 ||
        need_positive(r, "high_freq_factor", &c->rope_high, what, e) < 0 ||
        read_size(r, "original_max_position_embeddings", INT64_C(1) << 40, &c->rope_original, what,
                  e) < 0)
        return -1;
    if (c->rope_high <= c->rope_low)
        return err_set(e, ERR_USE, "%s: high_freq_factor %g is not above low_freq_factor %g", what,
                       c->rope_high, c->rope_low);
    return 0;
}

/* What one of the two keys says. */
struct rope_said {
    const char *key;
    int there; /* an empty object says nothing */
    struct config c;
    double theta, partial; /* NaN: not said */
};

static int read_rope_real(const struct json *r, const char *key, double *v, const char *what,
                          struct err *e)
{
    *v = NAN;
    return present(r, key) ? json_need_real(r, key, v, what, e) : 0;
}

static int read_rope_key(struct rope_said *s, const struct config *c, const char *key,
                         const char *what, struct err *e)
{
    const struct json *r = json_get(c->json, key);
    const char *member;

    *s = (struct rope_said){.key = key, .c = {.rope_factor = 1.0}, .theta = NAN, .partial = NAN};
    if (!present(c->json, key))
        return 0;
    if (json_kind(r) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USE, "%s: %s must be an object", what, key);
    for (size_t i = 0; i < json_count(r); i++)
        if (json_kind(json_member(r, i, &member)) == JSON_KIND_OBJECT)
            return err_set(e, ERR_USE, "%s: %s.%.64s: rope per kind of block is not supported",
                           what, key, member);
    s->there = json_count(r) > 0;
    if (read_rope_type(&s->c, r, what, e) < 0 ||
        read_rope_real(r, "rope_theta", &s->theta, what, e) < 0 ||
        read_rope_real(r, "partial_rotary_factor", &s->partial, what, e) < 0 ||
        (s->c.rope != ROPE_DEFAULT && need_positive(r, "factor", &s->c.rope_factor, what, e) < 0) ||
        (s->c.rope == ROPE_LLAMA3 && read_rope_llama3(&s->c, r, what, e) < 0))
        return -1;
    return 0;
}

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

static int same_rope(const struct config *a, const struct config *b)
{
    return a->rope == b->rope && a->rope_factor == b->rope_factor && a->rope_low == b->rope_low &&
           a->rope_high == b->rope_high && a->rope_original == b->rope_original;
}

/* Both generations of keys may be there, when they mean the same. */
static int read_rope(struct config *c, const char *what, struct err *e)
{
    struct rope_said said[2];
    const struct config *x;
    double theta, partial, part = 1.0;
    const char *theta_from = NULL, *part_from = NULL;

    c->rope_theta = 10000.0;
    if (read_rope_real(c->json, "rope_theta", &theta, what, e) < 0 ||
        read_rope_real(c->json, "partial_rotary_factor", &partial, what, e) < 0 ||
        read_rope_key(&said[0], c, "rope_scaling", what, e) < 0 ||
        read_rope_key(&said[1], c, "rope_parameters", what, e) < 0 ||
        take_number(theta, "config", &c->rope_theta, &theta_from, "rope_theta", what, e) < 0 ||
        take_number(partial, "config", &part, &part_from, "partial_rotary_factor", what, e) < 0)
        return -1;
    if (said[0].there && said[1].there && !same_rope(&said[0].c, &said[1].c))
        return err_set(e, ERR_USE,
                       "%s: rope_scaling and rope_parameters are both there and say different "
                       "things, and readers disagree on which one counts: remove one of them",
                       what);
    for (size_t i = 0; i < 2; i++)
        if (take_number(said[i].theta, said[i].key, &c->rope_theta, &theta_from, "rope_theta", what,
                        e) < 0 ||
            take_number(said[i].partial, said[i].key, &part, &part_from, "partial_rotary_factor",
                        what, e) < 0)
            return -1;
    x = said[0].there ? &said[0].c : &said[1].c;
    c->rope = x->rope;
    c->rope_factor = x->rope_factor;
    c->rope_low = x->rope_low;
    c->rope_high = x->rope_high;
    c->rope_original = x->rope_original;
    if (part != 1.0)
        return err_set(e, ERR_USE, "%s: partial_rotary_factor %g is not supported", what, part);
    return positive(c->rope_theta, "rope_theta", what, e);
}

/* ---- the rest ---- */

static int read_activation(const struct config *c, const char *what, struct err *e)
{
    const struct json *a = json_get(c->json, "hidden_act");
    const char *act = json_kind(a) == JSON_KIND_NULL ? "silu" : json_as_text(a);

    if (!act || (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0))
        return err_set(e, ERR_USE, "%s: hidden_act '%.64s' is not supported (known: silu)", what,
                       act ? act : "not a text");
    return 0;
}

/* Newer files name the kind of attention of each block: it must agree with what the other keys
 * said. */
static int check_layer_types(const struct config *c, const char *what, struct err *e)
{
    const struct json *list = json_get(c->json, "layer_types");
    const char *want = c->window ? "sliding_attention" : "full_attention", *got;

    if (c->window && !present(c->json, "layer_types") && present(c->json, "sliding_window_pattern"))
        return err_set(e, ERR_USE,
                       "%s: sliding_window_pattern: windows in some blocks only are not supported",
                       what);
    if (!present(c->json, "layer_types"))
        return 0;
    if (json_kind(list) != JSON_KIND_ARRAY || json_count(list) != c->layers)
        return err_set(e, ERR_USE, "%s: layer_types must name all %zu blocks", what, c->layers);
    for (size_t i = 0; i < c->layers; i++) {
        got = json_as_text(json_at(list, i));
        if (!got || strcmp(got, want) != 0)
            return err_set(e, ERR_USE,
                           "%s: layer_types[%zu] is '%.64s', supported here: '%s' in every block",
                           what, i, got ? got : "not a text", want);
    }
    return 0;
}

static int refuse_unknown_mathematics(const struct config *c, const char *what, struct err *e)
{
    static const char *const keys[] = {
        "attn_logit_softcapping", "final_logit_softcapping", "clip_qkv",      "num_experts",
        "num_local_experts",      "vision_config",           "no_rope_layers"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (present(c->json, keys[i]))
            return err_set(e, ERR_USE, "%s: %s is not supported for model_type '%s'", what, keys[i],
                           c->model_type);
    return 0;
}

int config_parse(const char *text, size_t length, const char *what, struct config *c, struct err *e)
{
    memset(c, 0, sizeof *c);
    c->json = json_parse(text, length, what, e);
    if (!c->json)
        return -1;
    if (json_kind(c->json) != JSON_KIND_OBJECT) {
        err_set(e, ERR_USE, "%s: not a JSON object", what);
        goto fail;
    }
    if (read_identity(c, what, e) < 0 || read_sizes(c, what, e) < 0 ||
        read_activation(c, what, e) < 0 || read_rope(c, what, e) < 0 ||
        read_token(c, "bos_token_id", &c->bos, what, e) < 0 ||
        read_token(c, "eos_token_id", &c->eos, what, e) < 0 ||
        refuse_unknown_mathematics(c, what, e) < 0 || family_of(c)->settle(c, what, e) < 0 ||
        check_layer_types(c, what, e) < 0)
        goto fail;
    return 0;
fail:
    config_release(c);
    return -1;
}

int config_read(const char *dir, struct config *c, struct err *e)
{
    char *path = fs_join(dir, "config.json", e), *text = NULL;
    size_t length;
    int rc = -1;

    memset(c, 0, sizeof *c);
    if (!path || st_folder_check(dir, e) < 0)
        goto out;
    if (!fs_is_named(path))
        err_set(e, ERR_USE, "cannot open '%s': no such file%s", path, st_folder_hint(dir));
    else if ((text = fs_read(path, CONFIG_BYTES, &length, e)) != NULL)
        rc = config_parse(text, length, path, c, e);
out:
    free(text);
    free(path);
    return rc;
}
