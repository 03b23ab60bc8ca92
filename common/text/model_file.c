/* SPDX-License-Identifier: Apache-2.0 */
/* model_file - see model_file.h. */
#include "model_file.h"

#include <stdlib.h>
#include <string.h>

#include "../base/fs.h"
#include "../base/mem.h"
#include "../tensor/gguf_folder.h"
#include "gguf_tokenizer.h"

#define JSON_BYTES ((size_t)1 << 28)

enum { TOKENIZER, TOKENIZER_CONFIG, SPECIAL, GENERATION, CONFIG };
static const char *const NAMES[] = {"tokenizer.json", "tokenizer_config.json",
                                    "special_tokens_map.json", "generation_config.json",
                                    "config.json"};

#define COUNT (sizeof NAMES / sizeof *NAMES)

static size_t number_of(const char *name)
{
    size_t i = 0;

    while (i < COUNT && strcmp(NAMES[i], name) != 0)
        i++;
    return i;
}

const char *model_file_made(size_t i)
{
    return i < CONFIG ? NAMES[i] : NULL;
}

static struct json *tokenizer_part(const struct gguf *g, size_t which, struct err *e)
{
    struct gguf_tokenizer t;
    struct json *j = NULL, **part[] = {&t.tokenizer, &t.config, &t.special};

    if (gguf_tokenizer_make(g, NULL, &t, e) == 0) {
        j = *part[which];
        *part[which] = NULL;
    }
    gguf_tokenizer_release(&t);
    return j;
}

static struct json *made(const char *gguf, size_t which, struct err *e)
{
    struct gguf *g = gguf_open(gguf, e);
    struct json *j = NULL;

    if (g && which == GENERATION)
        j = gguf_generation(g, e);
    else if (g && which == CONFIG)
        j = gguf_config_of(g, e);
    else if (g)
        j = tokenizer_part(g, which, e);
    gguf_close(&g);
    return j;
}

int model_is_folder(const char *model)
{
    char *gguf = gguf_path(model);
    const int is = !gguf;

    free(gguf);
    return is;
}

int model_file_is(const char *model, const char *name)
{
    char *gguf = gguf_path(model), *path = gguf ? NULL : fs_join(model, name, NULL);
    const int is = gguf ? number_of(name) < COUNT : path && fs_is_named(path);

    free(path);
    free(gguf);
    return is;
}

static char *made_text(const char *gguf, const char *name, size_t *n, struct err *e)
{
    const size_t which = number_of(name);
    struct json *j = NULL;
    char *text = NULL;

    if (which == COUNT)
        err_set(e, ERR_USE, "%s: a GGUF file says nothing of what %s would", gguf, name);
    else if ((j = made(gguf, which, e)) && (text = json_print(j, 2, e)))
        *n = strlen(text);
    json_destroy(&j);
    return text;
}

char *model_file_read(const char *model, const char *name, size_t most, size_t *n, struct err *e)
{
    char *gguf = gguf_path(model), *path = NULL, *text = NULL;

    if (gguf)
        text = made_text(gguf, name, n, e);
    else if ((path = fs_join(model, name, e)))
        text = fs_read(path, most, n, e);
    free(path);
    free(gguf);
    return text;
}

struct json *model_file_json(const char *model, const char *name, struct err *e)
{
    char *path = fs_join(model, name, e), *text = NULL;
    struct json *j = NULL;
    size_t n;

    if (path && (text = model_file_read(model, name, JSON_BYTES, &n, e)))
        j = json_parse(text, n, path, e);
    free(text);
    free(path);
    return j;
}
