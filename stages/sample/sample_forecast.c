/* SPDX-License-Identifier: Apache-2.0 */
/* sample_forecast - see sample_forecast.h. The constants of memory were measured on runs of 2,048
 * to 65,536 tokens with tokenizers of several sizes. */
#include "sample_forecast.h"

#include <string.h>

#include "../../common/base/fs.h"
#include "../../common/text/tokenizer.h"
#include "../../common/wire/modality.h"

#define OWN (9.5 * FORECAST_MIB) /* with its program */
#define OF_TOKEN 5               /* its id, its role */
#define TEXT_SHORT (256 << 10)   /* bytes: nothing beside the rest */
#define OF_TOKENIZER 6.3         /* a byte of tokenizer.json, read and indexed */

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

uint64_t sample_forecast_memory(const struct forecast *f, uint64_t tokenizer)
{
    return (uint64_t)(OWN + OF_TOKENIZER * (double)tokenizer + OF_TOKEN * (double)f->tokens);
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
