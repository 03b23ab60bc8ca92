/* SPDX-License-Identifier: Apache-2.0 */
/* prepare_kind - what the kinds of preparation share. */
#include "prepare_kind.h"

#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"

int prepare_count(const struct prepare *p, const struct json *object, const char *key,
                  const char *path, size_t *v, struct err *e)
{
    int64_t n;

    if (json_as_int(json_get(object, key), &n) < 0 || n < 1 ||
        n > (int64_t)(IMAGE_SIDE * IMAGE_SIDE))
        return err_set(e, ERR_USE, "%s: \"%s%s\" must be a whole number above 0", p->what, path,
                       key);
    *v = (size_t)n;
    return 0;
}

int prepare_square(struct prepare *p, const struct json *json, const char *key, struct err *e)
{
    const struct json *size = json_get(json, key);
    int64_t edge;

    if (json_as_int(size, &edge) == 0 && edge > 0 && edge <= (int64_t)IMAGE_SIDE) {
        p->height = p->width = (size_t)edge;
        return 0;
    }
    if (prepare_count(p, size, "height", key, &p->height, e) < 0 ||
        prepare_count(p, size, "width", key, &p->width, e) < 0)
        return -1;
    return image_check(p->width, p->height, e) < 0 ? err_prefix(e, "%s: \"%s\"", p->what, key) : 0;
}

const struct json *prepare_tower(const struct prepare *p, const struct json *config, struct err *e)
{
    const struct json *tower = json_get(config, "vision_config");

    if (json_kind(tower) != JSON_KIND_OBJECT)
        err_set(e, ERR_USE, "%s: config.json has no \"vision_config\"", p->what);
    return json_kind(tower) == JSON_KIND_OBJECT ? tower : NULL;
}

void prepare_tiles(const struct prepare *p, size_t rows, size_t down, size_t across,
                   struct prepared_shape *s)
{
    s->ndim = 4;
    s->shape[0] = rows;
    s->shape[1] = 3;
    s->shape[2] = p->height;
    s->shape[3] = p->width;
    s->grid[0] = 1;
    s->grid[1] = (int32_t)down;
    s->grid[2] = (int32_t)across;
}

void prepare_tile(const struct prepare *p, const struct image *from, size_t y, size_t x, size_t row,
                  float *out)
{
    out += row * 3 * p->height * p->width;
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < p->height; i++) {
            const uint8_t *at = from->rgb + 3 * ((y + i) * from->width + x) + c;

            for (size_t k = 0; k < p->width; k++)
                *out++ = p->value[c][at[3 * k]];
        }
}

int prepare_whole(const struct prepare *p, const struct image *from, size_t row, float *out,
                  struct err *e)
{
    struct image x;

    if (resize_image(from, p->width, p->height, p->filter, &x, e) < 0)
        return -1;
    prepare_tile(p, &x, 0, 0, row, out);
    image_release(&x);
    return 0;
}

int prepare_add(struct prepare_text *to, const char *text, size_t times, struct err *e)
{
    const size_t n = strlen(text);
    void *p = to->text;

    if (to->n + n * times + 1 > to->room &&
        mem_grow(&p, &to->room, to->n + n * times + 1, 1, e) < 0)
        return -1;
    to->text = p;
    for (size_t i = 0; i < times; i++, to->n += n)
        memcpy(to->text + to->n, text, n);
    to->text[to->n] = '\0';
    return 0;
}

char *prepare_marks(const struct prepare *p, const struct prepared_shape *s, struct err *e)
{
    struct prepare_text t = {0};

    if (prepare_add(&t, p->kind->mark, s->tokens, e) == 0)
        return t.text;
    free(t.text);
    return NULL;
}
