/* SPDX-License-Identifier: Apache-2.0 */
/* format_reader - a checkpoint that is read: the format is that which claims its
 * quantization_config, linears that are there as NAME.weight are plain in any. */
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../tensor/gguf_folder.h"
#include "packed.h"

struct format_reader {
    struct format_source source;
    char *dir;
    const struct format *f, *plain;
    void *spec;
};

static const struct format *claimed(const struct json *q)
{
    const struct format *f;

    for (size_t i = 0; (f = format_at(i)); i++)
        if (q ? f->claims && f->claims(q) : f->container == FORMAT_FOLDER && !f->claims)
            return f;
    return NULL;
}

static int unknown(const struct json *q, const char *what, struct err *e)
{
    const char *method = json_need_text(q, "quant_method", what, e), *names[FORMATS_MAX + 1];
    const struct format *f;
    char known[256];
    size_t n = 0;

    if (!method)
        return -1;
    for (size_t i = 0; (f = format_at(i)); i++)
        if (f->claims)
            names[n++] = f->name;
    names[n] = NULL;
    return err_set(e, ERR_USE, "%s: quant_method '%.64s' is not supported (known: %s)", what,
                   method, grid_name_list(names, NULL, known, sizeof known));
}

/* How weights are quantized stands elsewhere, as some engines read it too: what is written from
 * here would keep that. */
static int check_place(const struct json *config, const char *dir, struct err *e)
{
    static const char *const outer[] = {"text_config", NULL};
    static const char *const key[] = {"quantization_config", "compression_config"};
    const struct json *q;

    if (json_kind(json_get(config, *key)) != JSON_KIND_NULL)
        return 0;
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 2; k++) {
            q = json_get(outer[i] ? json_get(config, outer[i]) : config, key[k]);
            if (json_kind(json_get(q, "quant_method")) == JSON_KIND_NULL)
                continue;
            return err_set(e, ERR_USE,
                           "%s/config.json: how weights are quantized is read from "
                           "quantization_config alone, and stands in %s%s%s: move it there (or "
                           "remove it, if the weights are plain)",
                           dir, outer[i] ? outer[i] : "", outer[i] ? "." : "", key[k]);
        }
    return 0;
}

static int read_config(struct format_reader *r, const struct json *q, struct err *e)
{
    char what[600];

    snprintf(what, sizeof what, "%.500s/config.json: quantization_config", r->dir);
    if (json_kind(q) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USE, "%s must be an object", what);
    if (!(r->f = claimed(q)))
        return unknown(q, what, e);
    if (r->f->unpacked) {
        r->f = r->plain;
        return 0;
    }
    return (r->spec = r->f->open(q, what, e)) ? 0 : -1;
}

const struct format *format_unpacked(const struct json *config)
{
    const struct json *q = json_get(config, "quantization_config");
    const struct format *f = json_kind(q) == JSON_KIND_OBJECT ? claimed(q) : NULL;

    return f && f->unpacked ? f : NULL;
}

int format_check_plain(const struct json *config, const char *dir, struct err *e)
{
    const struct json *q = json_get(config, "quantization_config");
    const char *method = json_as_text(json_get(q, "quant_method"));
    char *file;

    if (json_kind(q) == JSON_KIND_NULL)
        return check_place(config, dir, e);
    if (format_unpacked(config))
        return 0;
    if ((file = gguf_path(dir))) {
        err_set(e, ERR_USE,
                "'%s' is quantized already: start from the model that it was made of, or from what "
                "'ptq import %s DIR' makes of it: plain weights, with the loss that they have",
                dir, file);
        free(file);
        return -1;
    }
    return err_set(e, ERR_USE,
                   "'%s' is quantized already (config.json: quantization_config, %s%.64s): "
                   "start from the model that it was made of, or from what 'ptq convert "
                   "--format dense' makes of it; if its weights are plain, remove that key",
                   dir, method ? "quant_method " : "no quant_method", method ? method : "");
}

struct format_reader *format_open(const struct json *config, const char *dir,
                                  const struct st_set *s, struct err *e)
{
    const struct json *q = json_get(config, "quantization_config");
    struct format_reader *r = mem_array(1, sizeof *r, e);

    if (!r)
        return NULL;
    r->plain = r->f = claimed(NULL);
    if (!(r->dir = mem_text(dir, e)) || check_place(config, dir, e) < 0 ||
        (json_kind(q) != JSON_KIND_NULL && read_config(r, q, e) < 0)) {
        format_close(&r);
        return NULL;
    }
    r->source = (struct format_source){r->dir, s};
    return r;
}

void format_close(struct format_reader **r)
{
    if (!*r)
        return;
    if ((*r)->spec)
        (*r)->f->close(&(*r)->spec);
    free((*r)->dir);
    free(*r);
    *r = NULL;
}

const struct format *format_of(const struct format_reader *r)
{
    return r->f;
}

const struct format *format_stored(const struct format_reader *r)
{
    const struct format *f = r->f;

    for (size_t i = 0; r->source.set->source.close && f->container == FORMAT_FOLDER; i++)
        f = format_at(i);
    return f;
}

int format_is_quantized(const struct format_reader *r)
{
    return r->f != r->plain;
}

int format_act_bits(const struct format_reader *r)
{
    return r->f->act_bits ? r->f->act_bits(r->spec) : 0;
}

static const struct format *format_for(const struct format_reader *r, const char *name)
{
    return format_is_plain(r->source.set, name) ? r->plain : r->f;
}

int format_find_linear(const struct format_reader *r, const char *name, size_t N, size_t K,
                       struct err *e)
{
    return format_for(r, name)->find(r->spec, &r->source, name, N, K, e);
}

int format_read_linear(const struct format_reader *r, const char *name, size_t N, size_t K,
                       struct packed *p, struct err *e)
{
    const struct format *f = format_for(r, name);
    int rc;

    memset(p, 0, sizeof *p);
    if (!f->read)
        return 0;
    rc = f->read(r->spec, &r->source, name, N, K, p, e);
    return rc < 0 ? -1 : rc == 0;
}

int format_load_linear(const struct format_reader *r, const char *name, size_t N, size_t K,
                       float *w, struct err *e)
{
    struct packed p;
    int rc = format_read_linear(r, name, N, K, &p, e);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return format_for(r, name)->load(r->spec, &r->source, name, N, K, w, e);
    rc = packed_weights(&p, w, e);
    packed_release(&p);
    return rc;
}
