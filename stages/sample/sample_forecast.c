/* SPDX-License-Identifier: Apache-2.0 */
/* sample_forecast - see sample_forecast.h. The constants of memory were measured on runs of 2,048
 * to 65,536 tokens with tokenizers of several sizes. */
#include "sample_forecast.h"

#include <string.h>

#include "../../common/base/fs.h"
#include "../../common/image/prepare.h"
#include "../../common/text/tokenizer.h"
#include "../../common/wire/modality.h"
#include "sample_images.h"

#define OWN (5 * FORECAST_MIB)
#define OF_TOKEN 5                    /* its id, its role */
#define TEXT_SHORT (256 << 10)        /* bytes: nothing beside the rest */
#define OF_TOKENIZER 6.3              /* a byte of tokenizer.json, read and indexed */
#define LOOK 16                       /* chunks of the data whose pictures are looked at */
#define DECODING (0.5 * FORECAST_MIB) /* what the libraries of pictures take */

/* The different lengths of rows, and the longest. */
static void count_lengths(const struct sample_opts *o, size_t context, struct forecast *f)
{
    size_t set[SAMPLE_LENGTHS_MAX], n = 0;

    for (size_t i = 0; i < o->nlengths; i++) {
        const size_t length =
            context && o->lengths[i] > context ? context : o->lengths[i]; /* sample_set() */
        size_t k = 0;

        while (k < n && set[k] != length)
            k++;
        if (k == n)
            set[n++] = length;
        f->length = length > f->length ? length : f->length;
    }
    f->lengths = n;
}

int sample_forecast_chunks(const struct sample_opts *o, size_t context, struct forecast *f,
                           struct err *e)
{
    uint64_t rows;

    if (!o->tokens)
        return err_set(e, ERR_USE, "--tokens 0: a plan needs their number");
    if (o->nlengths > SAMPLE_LENGTHS_MAX || (!o->nlengths && !o->length))
        return err_set(e, ERR_USE, "--lengths: 1 to %d of them, at least 1 token each",
                       SAMPLE_LENGTHS_MAX);
    if (!o->lanes || !o->chunk_tokens)
        return err_set(e, ERR_USE, "--lanes and --chunk-tokens are at least 1");
    f->tokens = o->tokens;
    f->length = o->nlengths ? 0 : o->length;
    f->lengths = 1;
    f->modalities = 1;
    f->weighed =
        o->token_weights || (o->first_weight && *o->first_weight != 1) ||
        (o->weights != SAMPLE_WEIGHTS_NONE && (o->nlengths > 1 || o->mode == SAMPLE_WHOLE));
    if (o->mode == SAMPLE_WHOLE) { /* rows of any length up to the context */
        f->length = context && context < o->chunk_tokens ? context : o->chunk_tokens;
        f->length = o->longest && o->longest < f->length ? o->longest : f->length;
        f->modalities = MODALITIES;
    }
    if (o->nlengths)
        count_lengths(o, context, f);
    if (!f->length)
        return err_set(e, ERR_USE, "--lengths: a row has at least 1 token");
    rows = o->chunk_tokens / f->length;
    f->chunk = f->length * (rows ? rows : 1);
    f->chunks = (f->tokens + f->chunk - 1) / f->chunk;
    f->lanes = f->chunks < o->lanes ? f->chunks : o->lanes;
    f->chunk = f->chunk < f->tokens ? f->chunk : f->tokens;
    return 0;
}

/* What the pictures of a row add to those of its chunk. */
static void picture_count(const struct document_image *x, uint64_t *rows, uint64_t *bytes,
                          uint64_t *tokens, struct forecast_pictures *p)
{
    uint64_t values = sizeof(float);
    const uint64_t decoded = 3 * (uint64_t)x->shape.size[0] * (uint64_t)x->shape.size[1];

    for (int i = 0; i < x->shape.ndim; i++)
        values *= x->shape.shape[i];
    *rows += x->shape.shape[0];
    *bytes += values;
    *tokens += x->shape.tokens;
    p->most = x->shape.shape[0] > p->most ? x->shape.shape[0] : p->most;
    p->decoded = decoded > p->decoded ? decoded : p->decoded;
}

/* Rows of whole documents, as they were drawn: their lengths and those of chunks are known too. */
static void rows_count(const struct sample *s, struct forecast *f)
{
    struct forecast_pictures p = {0};
    uint64_t all = 0, tokens = 0, of_pictures = 0, longest = 0, largest = 0;

    for (size_t c = 0; c < s->chunks; c++) {
        uint64_t rows = 0, bytes = 0, length = 0;

        for (size_t r = s->chunk_row[c]; r < s->chunk_row[c + 1]; r++) {
            const struct document *d = &s->document[s->row[r].doc];

            length += s->row[r].length;
            longest = s->row[r].length > longest ? s->row[r].length : longest;
            for (size_t i = 0; i < d->nimages; i++)
                picture_count(&d->image[i], &rows, &bytes, &of_pictures, &p);
        }
        all += rows;
        tokens += length;
        largest = length > largest ? length : largest;
        p.rows = rows > p.rows ? rows : p.rows;
        p.bytes = bytes > p.bytes ? bytes : p.bytes;
    }
    p.mean = (double)all / (double)s->chunks;
    p.tokens = (double)f->tokens * (double)of_pictures / (double)tokens;
    f->chunks = (f->tokens * s->chunks + tokens - 1) / tokens;
    f->lanes = f->chunks < s->o.lanes ? f->chunks : s->o.lanes;
    f->length = longest;
    f->chunk = largest;
    f->modalities = MODALITIES;
    f->pictures = p;
}

void sample_forecast_pictures(const struct sample_opts *o, const struct config *c,
                              struct forecast *f)
{
    struct sample_opts some = *o;
    struct sample *s;

    if (!o->ndata || !prepare_wanted(c->file) || (o->mode != SAMPLE_WHOLE && !o->mode_auto))
        return;
    if (some.tokens > LOOK * (uint64_t)o->chunk_tokens)
        some.tokens = LOOK * (uint64_t)o->chunk_tokens;
    some.token_weights = NULL; /* of all rows */
    if ((s = sample_open(&some, NULL)) && s->o.mode == SAMPLE_WHOLE && s->audit.images)
        rows_count(s, f);
    sample_close(&s);
}

uint64_t sample_forecast_memory(const struct forecast *f, uint64_t tokenizer)
{
    const struct forecast_pictures *p = &f->pictures;
    /* one chunk on its way, the next one being made; a picture is resized across, then down */
    const double pictures =
        DECODING + (f->chunks > 1 ? 2 : 1) * (double)p->bytes + 2 * (double)p->decoded;

    return (uint64_t)(OWN + OF_TOKENIZER * (double)tokenizer + OF_TOKEN * (double)f->tokens +
                      (p->bytes ? pictures : 0));
}

uint64_t sample_forecast_text(const struct sample_opts *o, const char *model)
{
    struct tokenizer *t;
    uint64_t most = 0, bytes;

    for (size_t i = 0; i < o->ndata; i++) {
        const char *dot = strrchr(o->data[i], '.');

        if (dot && !strcmp(dot, ".txt") && fs_size(o->data[i], &bytes, NULL) == 0 && bytes > most)
            most = bytes;
    }
    if (most < TEXT_SHORT || !(t = tokenizer_open(model, NULL)))
        return 0;
    most *= tokenizer_text_cost(t);
    tokenizer_close(&t);
    return most;
}
