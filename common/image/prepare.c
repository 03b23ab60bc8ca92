/* SPDX-License-Identifier: Apache-2.0 */
/* prepare - see prepare.h: reads the file, finds the kind, and does what the kinds share. */
#include "prepare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/fs.h"
#include "../base/hash.h"
#include "../base/mem.h"
#include "prepare_kind.h"

#define VALUES_MOST 1000 /* of a pixel as the tower takes it in: those of today are below 10 */

static const struct prepare_kind *const kinds[] = {
    &prepare_idefics3, &prepare_clip, &prepare_onevision, &prepare_qwen2_vl, &prepare_gemma3, NULL,
};

/* "Idefics3ImageProcessorFast" is "Idefics3ImageProcessor". */
static int type_is(const char *type, const char *name)
{
    const size_t n = strlen(name);

    return strncmp(type, name, n) == 0 &&
           (!type[n] || strcmp(type + n, "Fast") == 0 || strcmp(type + n, "Pil") == 0);
}

static const struct prepare_kind *kind_find(const char *type, size_t *number)
{
    for (size_t i = 0; kinds[i]; i++)
        for (size_t k = 0; kinds[i]->types[k]; k++)
            if (type_is(type, kinds[i]->types[k])) {
                *number = i;
                return kinds[i];
            }
    return NULL;
}

/* The processor's settings; NULL and e empty: this file has none. */
static struct json *settings_read(struct prepare *p, const char *model, const char *name,
                                  const char *member, struct err *e)
{
    char *path = fs_join(model, name, e);
    struct json *j = NULL, *inner = NULL;

    if (path && fs_exists(path) && (j = json_read(path, e))) {
        const struct json *at = member ? json_get(j, member) : j;

        if (at && !(inner = json_clone(at)))
            err_set(e, ERR_SYS, "%s: no memory", path);
        snprintf(p->what, sizeof p->what, "%.480s", path);
    }
    json_destroy(&j);
    free(path);
    return inner;
}

static struct json *settings_find(struct prepare *p, const char *model, struct err *e)
{
    struct err why = {0};
    struct json *j = settings_read(p, model, "preprocessor_config.json", NULL, &why);

    if (!j && !why.kind)
        j = settings_read(p, model, "processor_config.json", "image_processor", &why);
    if (!j && !why.kind)
        err_set(
            &why, ERR_USE,
            "'%.300s' has no preprocessor_config.json, which says how its pictures are prepared",
            model);
    if (!j && e)
        *e = why;
    return j;
}

static int is_on(const struct json *j, const char *key)
{
    int on = 1;

    return json_as_bool(json_get(j, key), &on) < 0 || on;
}

/* The three numbers of image_mean or image_std. */
static int channels_read(const struct prepare *p, const struct json *j, const char *key,
                         double otherwise, double out[3], struct err *e)
{
    const struct json *list = json_get(j, key);

    for (size_t i = 0; i < 3; i++) {
        out[i] = otherwise;
        if (json_kind(list) == JSON_KIND_NULL)
            continue;
        if (json_count(list) != 3 || json_as_real(json_at(list, i), &out[i]) < 0)
            return err_set(e, ERR_USE, "%s: \"%s\" must be three numbers", p->what, key);
    }
    return 0;
}

/* A table for each channel, in the arithmetic of the reference: (x - mean 255) / (std 255) in f32
 * when both steps are on. */
static int values_make(struct prepare *p, const struct json *j, struct err *e)
{
    const int rescale = is_on(j, "do_rescale"), normalize = is_on(j, "do_normalize");
    const double factor = json_real_or(j, "rescale_factor", 1.0 / 255);
    double mean[3], std[3];

    if (channels_read(p, j, "image_mean", 0.5, mean, e) < 0 ||
        channels_read(p, j, "image_std", 0.5, std, e) < 0)
        return -1;
    if (!(factor > 0) || !(std[0] > 0) || !(std[1] > 0) || !(std[2] > 0))
        return err_set(e, ERR_USE, "%s: \"rescale_factor\" and \"image_std\" must be above 0",
                       p->what);
    for (size_t c = 0; c < 3; c++) {
        const float *v = p->value[c];
        const float by = rescale ? (float)(1.0 / factor) : 1;
        const float m = (float)mean[c] * by, s = (float)std[c] * by;

        p->mean[c] = (uint8_t)(mean[c] >= 0 && mean[c] <= 1 ? mean[c] * 255 : 0);
        for (size_t x = 0; x < 256; x++)
            p->value[c][x] = normalize ? ((float)x - m) / s
                             : rescale ? (float)x * (float)factor
                                       : (float)x;
        if (!(fabsf(v[0]) <= VALUES_MOST) || !(fabsf(v[255]) <= VALUES_MOST))
            return err_set(e, ERR_USE,
                           "%s: \"rescale_factor\" %g, \"image_mean\" %g and \"image_std\" %g make "
                           "pixels of %g to %g, which no model was trained on",
                           p->what, factor, mean[c], std[c], (double)v[0], (double)v[255]);
    }
    return 0;
}

static int filter_read(struct prepare *p, const struct json *j, struct err *e)
{
    int64_t v = 3;

    if (json_opt_int(j, "resample", 0, 5, 3, &v, p->what, e) < 0)
        return -1;
    switch (v) {
    case 1:
        p->filter = RESIZE_LANCZOS;
        return 0;
    case 2:
        p->filter = RESIZE_BILINEAR;
        return 0;
    case 3:
        p->filter = RESIZE_BICUBIC;
        return 0;
    default:
        return err_set(e, ERR_USE,
                       "%s: \"resample\" %" PRId64 ": 1 (Lanczos), 2 (bilinear) and 3 (bicubic) "
                       "are known",
                       p->what, v);
    }
}

static int settings_take(struct prepare *p, const struct json *j, const struct json *config,
                         struct err *e)
{
    const char *type = json_text_or(j, "image_processor_type", "");
    const struct json *token = json_get(config, "image_token_id");

    if (!(p->kind = kind_find(type, &p->number)))
        return err_set(e, ERR_USE,
                       "%s: \"image_processor_type\" is '%.80s', which is not known: how its "
                       "pictures are prepared cannot be said",
                       p->what, type);
    if (!is_on(j, "do_resize"))
        return err_set(e, ERR_USE, "%s: \"do_resize\" is false, which is not supported", p->what);
    if (json_kind(token) == JSON_KIND_NULL)
        token = json_get(config, "image_token_index");
    if (json_as_int(token, &p->token) < 0 || p->token < 0)
        return err_set(e, ERR_USE, "%s: config.json has no \"image_token_id\"", p->what);
    if (filter_read(p, j, e) < 0 || values_make(p, j, e) < 0)
        return -1;
    return p->kind->open(p, j, config, e);
}

static struct prepare *parse(struct prepare *p, const struct json *settings,
                             const struct json *config, struct err *e)
{
    if (settings_take(p, settings, config, e) < 0)
        prepare_close(&p);
    else
        p->digest = hash_bytes((const char *)p + offsetof(struct prepare, number),
                               offsetof(struct prepare, digest) - offsetof(struct prepare, number));
    return p;
}

struct prepare *prepare_parse(const struct json *settings, const char *what,
                              const struct json *config, struct err *e)
{
    struct prepare *p = mem_array(1, sizeof *p, e);

    if (!p)
        return NULL;
    snprintf(p->what, sizeof p->what, "%.480s", what);
    return parse(p, settings, config, e);
}

struct prepare *prepare_open(const char *model, const struct json *config, struct err *e)
{
    struct prepare *p = mem_array(1, sizeof *p, e);
    struct json *j = p ? settings_find(p, model, e) : NULL;

    if (j)
        p = parse(p, j, config, e);
    else
        prepare_close(&p);
    json_destroy(&j);
    return p;
}

void prepare_close(struct prepare **p)
{
    free(*p);
    *p = NULL;
}

uint64_t prepare_digest(const struct prepare *p)
{
    return p->digest;
}

int prepare_wanted(const struct json *config)
{
    return json_kind(json_get(config, "vision_config")) == JSON_KIND_OBJECT;
}

int prepare_measure(const struct prepare *p, size_t width, size_t height, size_t beside,
                    struct prepared_shape *s, struct err *e)
{
    *s = (struct prepared_shape){.size = {(int32_t)height, (int32_t)width}};
    return p->kind->measure(p, width, height, beside, s, e);
}

int prepare_pixels(const struct prepare *p, const struct image *x, const struct prepared_shape *s,
                   float *out, struct err *e)
{
    return p->kind->pixels(p, x, s, out, e);
}

const char *prepare_mark(const struct prepare *p)
{
    return p->kind->mark;
}

char *prepare_text(const struct prepare *p, const struct prepared_shape *s, struct err *e)
{
    return p->kind->text(p, s, e);
}

int64_t prepare_token(const struct prepare *p)
{
    return p->token;
}
