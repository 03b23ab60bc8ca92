/* SPDX-License-Identifier: Apache-2.0 */
/* sample_images - see sample_images.h. */
#include "sample_images.h"

#include <stdlib.h>
#include <string.h>

#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "../../common/image/image_file.h"
#include "../../common/image/image_source.h"
#include "../../common/image/prepare.h"
#include "../../common/jinja/chat_images.h"
#include "../../common/wire/modality.h"

void image_texts_release(struct image_texts *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->text[i]);
    free(t->text);
    *t = (struct image_texts){0};
}

void document_images_release(struct document *x)
{
    for (size_t i = 0; i < x->nimages; i++)
        free(x->image[i].source);
    free(x->image);
    x->image = NULL;
    x->nimages = 0;
}

uint64_t document_digest(const struct document *x)
{
    struct hash h;

    hash_start(&h);
    hash_add(&h, x->ids, x->n * sizeof *x->ids);
    for (size_t i = 0; i < x->nimages; i++)
        hash_add(&h, &x->image[i].digest, sizeof x->image[i].digest);
    return hash_end(&h);
}

/* ---- reading ---- */

static struct prepare *prepare_of(const char *model, const struct config *c, struct err *e)
{
    if (prepare_wanted(c->file))
        return prepare_open(model, c->file, e);
    err_set(e, ERR_USE, "there are images, and '%.300s' is a model without a vision tower", model);
    return NULL;
}

/* Opened with the first picture: chats without any need none. */
static int prepare_need(struct sample *s, struct err *e)
{
    if (!s->prepare)
        s->prepare = prepare_of(s->o.model, &s->config, e);
    return s->prepare ? 0 : -1;
}

static int sources_take(const struct doc *d, struct json **sources, struct err *e)
{
    return d->chat ? chat_images_take(d->chat, d->images, sources, e)
                   : chat_images_list(d->images, sources, e);
}

int sample_images_known(const struct sample_opts *o, const struct config *c, const struct doc *d,
                        struct err *e)
{
    struct json *sources = NULL;
    struct prepare *p = NULL;
    int rc = 0;

    if ((d->ids || d->chat) && sources_take(d, &sources, e) < 0) {
        rc = o->docs.bad_chats == DOCS_BAD_SKIP ? 0 : -1;
        if (rc == 0 && e)
            *e = (struct err){0};
    } else if (json_count(sources) && !(p = prepare_of(o->model, c, e))) {
        rc = -1;
    }
    prepare_close(&p);
    json_destroy(&sources);
    return rc;
}

/* The picture as it is now; *digest of its bytes. beside: the data file. */
static int picture_open(const char *source, const char *beside, struct image *to, uint64_t *digest,
                        struct err *e)
{
    struct image_bytes b;
    int rc;

    if (image_source_read(source, beside, &b, e) < 0)
        return -1;
    *digest = hash_bytes(b.data, b.n);
    rc = image_file_decode(b.data, b.n, b.name, to, e);
    image_bytes_release(&b);
    return rc;
}

/* beside: pictures of the chat. */
static int picture_read(struct sample *s, const struct data_file *f, const char *source,
                        size_t beside, struct document_image *x, char **text, struct err *e)
{
    struct image picture = {0};
    int rc = -1;

    if (picture_open(source, f->name, &picture, &x->digest, e) < 0)
        return -1;
    if (prepare_measure(s->prepare, picture.width, picture.height, beside, &x->shape, e) < 0)
        err_prefix(e, "%.200s", source);
    else if ((x->source = mem_text(source, e)) && (*text = prepare_text(s->prepare, &x->shape, e)))
        rc = 0;
    image_release(&picture);
    return rc;
}

static int pictures_read(struct sample *s, const struct data_file *f, const struct json *sources,
                         struct document *x, struct image_texts *t, struct err *e)
{
    const size_t n = json_count(sources);

    if (!(x->image = mem_array(n, sizeof *x->image, e)) ||
        !(t->text = mem_array(n, sizeof *t->text, e)))
        return -1;
    x->nimages = t->n = n;
    for (size_t i = 0; i < n; i++)
        if (picture_read(s, f, json_as_text(json_at(sources, i)), n, &x->image[i], &t->text[i], e) <
            0)
            return e->kind == ERR_USE ? 0 : -1;
    return 1;
}

int sample_images_read(struct sample *s, const struct data_file *f, const struct doc *d,
                       struct document *x, struct image_texts *t, struct err *e)
{
    struct json *sources;
    int got = 1;

    *t = (struct image_texts){0};
    if (sources_take(d, &sources, e) < 0)
        return e->kind == ERR_USE ? 2 : -1;
    if (json_count(sources)) {
        if (prepare_need(s, e) < 0)
            got = -1;
        else if (s->o.mode != SAMPLE_WHOLE)
            got = err_set(e, ERR_USE, "what has images cannot be cut into rows: say --mode whole");
        else
            got = pictures_read(s, f, sources, x, t, e);
    }
    json_destroy(&sources);
    if (got < 1) {
        image_texts_release(t);
        document_images_release(x);
    }
    return got;
}

int sample_images_first(struct sample *s, int *images, struct err *e)
{
    struct docs *docs = docs_open(&s->file[0], &s->o.docs, e);
    struct json *sources = NULL;
    struct doc d;
    int got = docs ? docs_next(docs, &d, e) : -1;

    *images = 0;
    if (got == 1) {
        *images = d.images != NULL;
        if (d.chat)
            *images =
                chat_images_take(d.chat, d.images, &sources, NULL) < 0 || json_count(sources) > 0;
        json_destroy(&sources);
        doc_release(&d);
    }
    docs_close(&docs);
    return got < 0 ? -1 : 0;
}

int sample_images_check(const struct sample *s, const struct document *x, struct err *e)
{
    size_t want = 0, have = 0;

    if (!x->nimages)
        return 0;
    for (size_t i = 0; i < x->nimages; i++)
        want += x->image[i].shape.tokens;
    for (size_t t = 0; t < x->n; t++)
        have += x->ids[t] == prepare_token(s->prepare);
    return have == want ? 0
                        : err_set(e, ERR_USE,
                                  "%zu image tokens (id %lld) for %zu that its images need: "
                                  "tokenizer, template and config.json do not fit together",
                                  have, (long long)prepare_token(s->prepare), want);
}

/* ---- sending ---- */

static const struct document *document_of(const struct sample *s, size_t row)
{
    return &s->document[s->row[row].doc];
}

void chunk_pictures_release(struct chunk_pictures *x)
{
    free(x->modality);
    free(x->of);
    free(x->rows);
    free(x->grid);
    free(x->size);
    free(x->digest);
    *x = (struct chunk_pictures){0};
}

/* What the values depend on: bytes, settings, and whether others stand beside. */
static uint64_t picture_digest(const struct sample *s, const struct document_image *p)
{
    const uint64_t parts[] = {p->digest, prepare_digest(s->prepare), p->shape.shape[0],
                              (uint64_t)p->shape.grid[1], (uint64_t)p->shape.grid[2]};

    return hash_bytes(parts, sizeof parts);
}

uint64_t sample_images_digest(const struct sample *s)
{
    struct hash h;

    hash_start(&h);
    for (size_t r = 0; r < s->nrow; r++) {
        const struct document *d = document_of(s, r);

        for (size_t k = 0; k < d->nimages; k++) {
            const uint64_t one = picture_digest(s, &d->image[k]);

            hash_add(&h, &one, sizeof one);
        }
    }
    return hash_end(&h);
}

static void picture_list(const struct sample *s, const struct document_image *p, size_t i,
                         struct chunk_pictures *x)
{
    x->rows[i] = (int32_t)p->shape.shape[0];
    memcpy(x->grid + 3 * i, p->shape.grid, sizeof p->shape.grid);
    memcpy(x->size + 2 * i, p->shape.size, sizeof p->shape.size);
    x->digest[i] = picture_digest(s, p);
}

/* Marks the tokens from *t on that are the picture's; *t is behind the last of them. */
static void picture_mark(const struct sample *s, const struct document_image *p, size_t i,
                         const int32_t *ids, size_t *t, struct chunk_pictures *x)
{
    for (size_t left = p->shape.tokens; left; ++*t)
        if (ids[*t] == prepare_token(s->prepare)) {
            x->of[*t] = (int32_t)i;
            x->modality[*t] = MODALITY_IMAGE;
            left--;
        }
}

static int lists_make(struct chunk_pictures *x, size_t n, size_t T, struct err *e)
{
    if (!(x->modality = mem_array(T, 1, e)) || !(x->of = mem_array(T, sizeof *x->of, e)) ||
        !(x->rows = mem_array(n, sizeof *x->rows, e)) ||
        !(x->grid = mem_array(n, 3 * sizeof *x->grid, e)) ||
        !(x->size = mem_array(n, 2 * sizeof *x->size, e)) ||
        !(x->digest = mem_array(n, sizeof *x->digest, e)))
        return -1;
    for (size_t t = 0; t < T; t++)
        x->of[t] = -1;
    x->images = (struct chunk_images){
        .n = n,
        .pixels = &x->pixels,
        .of = x->of,
        .rows = x->rows,
        .grid = x->grid,
        .size = x->size,
        .digest = x->digest,
    };
    return 0;
}

int sample_images_list(const struct sample *s, size_t first, size_t rows, const int32_t *ids,
                       size_t T, struct chunk_pictures *x, struct err *e)
{
    size_t n = 0, i = 0, at = 0;

    *x = (struct chunk_pictures){0};
    for (size_t r = first; r < first + rows; r++)
        n += document_of(s, r)->nimages;
    if (!n)
        return 0;
    if (lists_make(x, n, T, e) < 0)
        return -1;
    for (size_t r = first; r < first + rows; at += s->row[r].length, r++) {
        const struct document *d = document_of(s, r);
        size_t t = at;

        for (size_t k = 0; k < d->nimages; k++, i++) {
            const struct prepared_shape *shape = &d->image[k].shape;

            picture_list(s, &d->image[k], i, x);
            picture_mark(s, &d->image[k], i, ids, &t, x);
            x->pixels.ndim = shape->ndim;
            for (int c = 1; c < shape->ndim; c++)
                x->pixels.shape[c] = shape->shape[c];
            x->pixels.shape[0] += shape->shape[0];
        }
    }
    return 0;
}

static int picture_fill(const struct sample *s, const struct document *d, size_t k, float **out,
                        struct err *e)
{
    const struct document_image *p = &d->image[k];
    struct image picture = {0};
    uint64_t digest;
    size_t n = 1;
    int rc;

    if (picture_open(p->source, s->file[d->file].name, &picture, &digest, e) < 0)
        return -1;
    rc = digest == p->digest
             ? prepare_pixels(s->prepare, &picture, &p->shape, *out, e)
             : err_set(e, ERR_DATA, "'%.200s' has changed since it was read first", p->source);
    for (int c = 0; c < p->shape.ndim; c++)
        n *= (size_t)p->shape.shape[c];
    *out += n;
    image_release(&picture);
    return rc;
}

int sample_images_fill(const struct sample *s, size_t first, size_t rows, struct msg *m,
                       struct err *e)
{
    float *out = msg_tensor(m, "pixels")->data;

    for (size_t r = first; r < first + rows; r++) {
        const struct document *d = document_of(s, r);

        for (size_t k = 0; k < d->nimages; k++)
            if (picture_fill(s, d, k, &out, e) < 0)
                return -1;
    }
    return 0;
}
