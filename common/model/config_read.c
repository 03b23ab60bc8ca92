/* SPDX-License-Identifier: Apache-2.0 */
/* config_read - see config_read.h: the fields every family has; rope (config_rope.c), windows
 * (config_blocks.c) and configs inside of others (config_nested.c) apart. Leaves out: everything
 * about generation. What would change the mathematics and is not done here is refused, not
 * ignored. */
#include "config_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/fs.h"
#include "../base/mem.h"
#include "../base/near.h"
#include "../text/model_file.h"
#include "../tensor/safetensors.h"
#include "config_parts.h"

enum { CONFIG_BYTES = 16 << 20 };

/* Bounds keep every product of two dimensions far from overflow. */
#define WIDTH_MAX (INT64_C(1) << 24)

int config_size(const struct json *j, const char *key, int64_t max, size_t *out, const char *what,
                struct err *e)
{
    int64_t v;

    if (json_need_int(j, key, 1, max, &v, what, e) < 0)
        return -1;
    *out = (size_t)v;
    return 0;
}

int config_size_or(const struct json *j, const char *key, int64_t max, size_t def, size_t *out,
                   const char *what, struct err *e)
{
    *out = def;
    return json_has(j, key) ? config_size(j, key, max, out, what, e) : 0;
}

int config_positive(double v, const char *key, const char *what, struct err *e)
{
    if (!isfinite(v) || v <= 0.0)
        return err_set(e, ERR_USE, "%s: %s is %g, it must be a positive number", what, key, v);
    return 0;
}

int config_need_positive(const struct json *j, const char *key, double *v, const char *what,
                         struct err *e)
{
    return json_need_real(j, key, v, what, e) < 0 ? -1 : config_positive(*v, key, what, e);
}

int config_positive_or(const struct json *j, const char *key, double def, double *v,
                       const char *what, struct err *e)
{
    *v = def;
    return json_has(j, key) ? config_need_positive(j, key, v, what, e) : 0;
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

static int unknown_model(const char *what, const char *key, const char *got, int architecture,
                         struct err *e)
{
    struct near near = near_start(got, strlen(got));
    const struct family *f;

    for (size_t i = 0; (f = family_at(i)) != NULL; i++)
        near_try(&near, architecture ? f->architecture : f->model_type);
    return err_set(e, ERR_USE,
                   "%s: %s '%.64s' is not supported%s%s (ptq families lists what is known)", what,
                   key, got, near.name ? "; near it is " : "", near.name ? near.name : "");
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
        return unknown_model(what, "model_type", type, 0, e);
    if (!json_has(c->json, "architectures"))
        arch = f->architecture;
    else if (json_kind(list) != JSON_KIND_ARRAY || json_count(list) != 1 ||
             !(arch = json_as_text(json_at(list, 0))))
        return err_set(e, ERR_USE, "%s: architectures must be an array of one name", what);
    if (strcmp(arch, f->architecture) != 0)
        return unknown_model(what, "architecture", arch, 1, e);
    return read_text(type, c->model_type, sizeof c->model_type, "model_type", what, e) ||
                   read_text(arch, c->architecture, sizeof c->architecture, "architectures", what,
                             e)
               ? -1
               : 0;
}

/* ---- sizes ---- */

static int need_size(const struct config *c, const char *key, int64_t max, size_t *out,
                     const char *what, struct err *e)
{
    const size_t def = config_nested_size(c, key);

    return def ? config_size_or(c->json, key, max, def, out, what, e)
               : config_size(c->json, key, max, out, what, e);
}

static int read_sizes(struct config *c, const char *what, struct err *e)
{
    const struct json *j = c->json;
    const struct family *f = family_text(c);
    const size_t kv_heads = config_nested_size(c, "num_key_value_heads");
    size_t head_dim;

    if (need_size(c, "hidden_size", WIDTH_MAX, &c->d, what, e) < 0 ||
        need_size(c, "num_hidden_layers", 65536, &c->layers, what, e) < 0 ||
        need_size(c, "num_attention_heads", 65536, &c->heads, what, e) < 0 ||
        config_size_or(j, "num_key_value_heads", 65536, kv_heads ? kv_heads : c->heads,
                       &c->kv_heads, what, e) < 0 ||
        config_size_or(j, "head_dim", 65536, f->head_dim ? f->head_dim : c->d / c->heads, &head_dim,
                       what, e) < 0 ||
        (!f->no_ff && need_size(c, "intermediate_size", WIDTH_MAX, &c->ff, what, e) < 0) ||
        need_size(c, "vocab_size", WIDTH_MAX, &c->vocab, what, e) < 0 ||
        config_size_or(j, "max_position_embeddings", CONFIG_POSITIONS, 2048, &c->context, what, e) <
            0)
        return -1;
    c->head_dim = head_dim;
    if (!f->head_dim && !json_has(j, "head_dim") && c->d % c->heads != 0)
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
    if (json_opt_real(j, "rms_norm_eps", f->eps > 0 ? f->eps : 1e-6, &c->norm.eps, what, e) < 0)
        return -1;
    if (!isfinite(c->norm.eps) || c->norm.eps < 0.0)
        return err_set(e, ERR_USE, "%s: rms_norm_eps is %g", what, c->norm.eps);
    c->norm.kind = f->norm;
    return config_nested_tied(c, f->tied, &c->tied, what, e);
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

/* ---- the rest ---- */

/* What one family reads and another one would leave out. */
static int refuse_unknown_mathematics(const struct config *c, const char *what, struct err *e)
{
    static const char *const keys[] = {"attn_logit_softcapping",
                                       "final_logit_softcapping",
                                       "clip_qkv",
                                       "num_experts",
                                       "num_local_experts",
                                       "n_routed_experts",
                                       "shared_expert_intermediate_size",
                                       "vision_config",
                                       "text_config",
                                       "no_rope_layers",
                                       "sliding_window_pattern",
                                       "embedding_multiplier",
                                       "residual_multiplier",
                                       "attention_multiplier",
                                       "logits_scaling",
                                       "logit_scale",
                                       "scale_emb",
                                       "scale_depth",
                                       "query_pre_attn_scalar",
                                       "use_bidirectional_attention",
                                       "use_qk_norm",
                                       "qk_layernorm",
                                       "use_parallel_residual",
                                       "attention_chunk_size",
                                       "kv_lora_rank"};
    const struct json *x;
    int off;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        x = json_get(c->json, keys[i]);
        if (json_kind(x) == JSON_KIND_NULL || (json_as_bool(x, &off) == 0 && !off) ||
            family_reads(family_text(c), keys[i]) || family_reads(family_of(c), keys[i]) ||
            config_counts_experts(family_text(c), keys[i]))
            continue;
        return err_set(e, ERR_USE, "%s: %s is not supported for model_type '%s'", what, keys[i],
                       c->model_type);
    }
    return 0;
}

int config_parse(const char *text, size_t length, const char *what, struct config *c, struct err *e)
{
    memset(c, 0, sizeof *c);
    c->json = c->file = json_parse(text, length, what, e);
    if (!c->file)
        return -1;
    if (json_kind(c->file) != JSON_KIND_OBJECT) {
        err_set(e, ERR_USE, "%s: not a JSON object", what);
        goto fail;
    }
    c->embed_scale = c->residual_scale = c->logit_scale = 1;
    if (read_identity(c, what, e) < 0 || config_nested_find(c, what, e) < 0 ||
        read_sizes(c, what, e) < 0 || !(c->block = mem_array(c->layers, sizeof *c->block, e)) ||
        config_read_activation(c, what, e) < 0 ||
        config_read_rope(c, family_text(c), what, e) < 0 ||
        read_token(c, "bos_token_id", &c->bos, what, e) < 0 ||
        read_token(c, "eos_token_id", &c->eos, what, e) < 0 ||
        refuse_unknown_mathematics(c, what, e) < 0 || family_text(c)->settle(c, what, e) < 0 ||
        config_check_blocks(c, what, e) < 0 || config_nested_vision(c, what, e) < 0 ||
        config_check_pairs(c, what, e) < 0)
        goto fail;
    return 0;
fail:
    config_release(c);
    return -1;
}

int config_read(const char *dir, struct config *c, struct err *e)
{
    char *path = fs_join(dir, "config.json", e), *text = NULL, hint[ST_HINT_MAX];
    size_t length;
    int rc = -1;

    memset(c, 0, sizeof *c);
    if (!path || st_folder_check(dir, e) < 0)
        goto out;
    if (!model_file_is(dir, "config.json"))
        err_set(e, ERR_USE, "cannot open '%s': no such file%s", path, st_folder_hint(dir, hint));
    else if ((text = model_file_read(dir, "config.json", CONFIG_BYTES, &length, e)) != NULL)
        rc = config_parse(text, length, path, c, e);
out:
    free(text);
    free(path);
    return rc;
}
