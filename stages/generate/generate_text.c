/* SPDX-License-Identifier: Apache-2.0 */
/* generate_text - see generate_text.h. */
#include "generate_text.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/fs.h"
#include "../../common/base/mem.h"
#include "../../common/text/model_file.h"
#include "../../common/jinja/chat_images.h"
#include "../../common/text/docs.h"

#define PROMPTS_BYTES ((size_t)1 << 30)

static int add_stop(struct script *s, const struct json *v, size_t vocab, const char *what,
                    struct err *e)
{
    int64_t id;

    if (json_kind(v) == JSON_KIND_NULL)
        return 0;
    if (json_as_int(v, &id) != 0 || id < 0 || (uint64_t)id >= vocab)
        return err_set(e, ERR_USE, "%s: eos_token_id is not a token of the vocabulary of %zu", what,
                       vocab);
    for (size_t i = 0; i < s->nstops; i++)
        if (s->stops[i] == id)
            return 0;
    if (s->nstops == STOPS_MAX)
        return err_set(e, ERR_USE, "%s: more than %d tokens in eos_token_id", what, STOPS_MAX);
    s->stops[s->nstops++] = (int32_t)id;
    return 0;
}

static int add_stops(struct script *s, const struct json *config, size_t vocab, const char *what,
                     struct err *e)
{
    const struct json *v = json_get(config, "eos_token_id");

    if (json_kind(v) != JSON_KIND_ARRAY)
        return add_stop(s, v, vocab, what, e);
    for (size_t i = 0; i < json_count(v); i++)
        if (add_stop(s, json_at(v, i), vocab, what, e) < 0)
            return -1;
    return 0;
}

static int read_stops(struct script *s, const struct config *c, struct err *e)
{
    char *path = fs_join(s->dir, "generation_config.json", e);
    struct json *j = NULL;
    int rc = -1;

    if (path && add_stops(s, c->json, c->vocab, "config.json", e) == 0 &&
        (!model_file_is(s->dir, "generation_config.json") ||
         ((j = model_file_json(s->dir, "generation_config.json", e)) &&
          add_stops(s, j, c->vocab, path, e) == 0)))
        rc = 0;
    json_destroy(&j);
    free(path);
    return rc;
}

int script_open(struct script *s, const char *dir, const struct config *c, struct err *e)
{
    memset(s, 0, sizeof *s);
    s->dir = dir;
    s->bos = -1;
    if (tokenizer_is_there(dir) && !(s->tokenizer = tokenizer_open(dir, e)))
        return -1;
    if (s->tokenizer)
        s->bos = tokenizer_bos(s->tokenizer);
    if (s->bos < 0 && c->bos >= 0 && (uint64_t)c->bos < c->vocab)
        s->bos = (int32_t)c->bos;
    return read_stops(s, c, e);
}

/* ids: taken over. */
static int add_prompt(struct script *s, int32_t *ids, size_t count, size_t most, struct err *e)
{
    if (mem_grow((void **)&s->prompts, &s->cap, s->count + 1, sizeof *s->prompts, e) < 0) {
        free(ids);
        return -1;
    }
    s->prompts[s->count++] = (struct prompt){ids, most && count > most ? most : count};
    return 0;
}

static int add_text(struct script *s, const char *text, size_t length, size_t most,
                    const char *what, size_t line, struct err *e)
{
    int32_t *ids = NULL;
    size_t count;

    if (!s->tokenizer)
        return err_set(e, ERR_USE, "%s:%zu: text, but '%s' has no tokenizer.json", what, line,
                       s->dir);
    if (tokenizer_encode(s->tokenizer, text, length, 1, 1, &ids, &count, e) < 0)
        return -1;
    if (count)
        return add_prompt(s, ids, count, most, e);
    free(ids);
    return err_set(e, ERR_USE,
                   "%s:%zu: an empty prompt (leave --prompts out to start from nothing)", what,
                   line);
}

/* A conversation, and the beginning of the answer to it. The template says itself where BOS
 * stands. */
static int add_chat(struct script *s, struct json *vars, size_t most, const char *what, size_t line,
                    struct err *e)
{
    int32_t *ids = NULL;
    size_t count = 0, length;
    char *text = NULL;
    int rc = -1;

    if (!s->tokenizer)
        return err_set(e, ERR_USE, "%s:%zu: messages, but '%s' has no tokenizer.json", what, line,
                       s->dir);
    if (!s->chat && (!(s->chat = chat_open(s->dir, s->chat_template, e)) ||
                     (s->date && chat_set_date(s->chat, s->date, e) < 0)))
        return -1;
    if (!json_get(vars, "add_generation_prompt") &&
        json_set_bool(vars, "add_generation_prompt", 1) != 0)
        return err_set(e, ERR_SYS, "out of memory");
    if (!(text = chat_render(s->chat, vars, &length, e)) ||
        tokenizer_encode(s->tokenizer, text, length, 0, 1, &ids, &count, e) < 0)
        err_prefix(e, "%s:%zu", what, line);
    else if (count)
        rc = add_prompt(s, ids, count, most, e);
    else
        err_set(e, ERR_USE, "%s:%zu: the chat template makes nothing of it", what, line);
    if (!count)
        free(ids);
    free(text);
    return rc;
}

static int read_lines(struct script *s, const struct data_file *f, const char *path, size_t most,
                      struct err *e)
{
    size_t length, line = 0;
    char *text = fs_read(f->path, PROMPTS_BYTES, &length, e), *at = text;
    int rc = text ? 0 : -1;

    while (rc == 0 && at < text + length) {
        char *end = memchr(at, '\n', (size_t)(text + length - at));
        size_t n = (size_t)((end ? end : text + length) - at);

        line++;
        if (n && at[n - 1] == '\r')
            n--;
        if (n)
            rc = add_text(s, at, n, most, path, line, e);
        at = end ? end + 1 : text + length;
    }
    free(text);
    return rc;
}

static int images_refuse(const struct doc *d, const char *path, struct err *e)
{
    return chat_images_refuse(d->chat, d->images, "", e) < 0
               ? err_prefix(e, "%s:%zu", path, d->line)
               : 0;
}

static int read_docs(struct script *s, const struct data_file *f, size_t most, struct err *e)
{
    const struct docs_opts o = {.bad_lines = DOCS_BAD_FINAL, .bad_chats = DOCS_BAD_FINAL};
    struct docs *docs = docs_open(f, &o, e);
    struct doc d;
    int rc = docs ? 1 : -1;

    while (rc == 1 && (rc = docs_next(docs, &d, e)) == 1) {
        int bad;

        if (d.ids) {
            bad =
                d.count
                    ? add_prompt(s, d.ids, d.count, most, e)
                    : err_set(e, ERR_USE,
                              "%s:%zu: an empty prompt (leave --prompts out to start from nothing)",
                              d.file, d.line);
            if (d.count)
                d.ids = NULL;
        } else if (d.text) {
            bad = add_text(s, d.text, d.length, most, d.file, d.line, e);
        } else {
            bad = images_refuse(&d, d.file, e) < 0 ||
                  add_chat(s, d.chat, most, d.file, d.line, e) < 0;
        }
        doc_release(&d);
        if (bad)
            rc = -1;
    }
    docs_close(&docs);
    return rc;
}

int script_read(struct script *s, const char *path, size_t most, struct err *e)
{
    struct data_file f;
    int rc = data_file_open(&f, path, e);

    if (rc == 0)
        rc = f.kind == DATA_TEXT ? read_lines(s, &f, path, most, e) : read_docs(s, &f, most, e);
    if (rc == 0 && !s->count)
        rc = err_set(e, ERR_USE, "%s: no prompts in it", path);
    data_file_close(&f);
    return rc;
}

int script_start(struct script *s, const struct config *c, int random, size_t count, uint64_t seed,
                 struct err *e)
{
    size_t vocab = c->vocab;
    struct rng r;

    if (s->tokenizer && tokenizer_vocab(s->tokenizer) < vocab)
        vocab = tokenizer_vocab(s->tokenizer);
    if (vocab <= s->nstops)
        return err_set(e, ERR_USE, "a vocabulary of %zu tokens has none to start from", vocab);
    rng_seed(&r, seed, UINT64_MAX); /* a stream that no sequence has */
    for (size_t i = 0; i < count; i++) {
        int32_t *id = mem_array(1, sizeof *id, e);
        int stop;

        if (!id)
            return -1;
        *id = s->bos;
        if (random || s->bos < 0)
            do {
                *id = (int32_t)rng_below(&r, vocab);
                stop = 0;
                for (size_t k = 0; k < s->nstops; k++)
                    stop |= s->stops[k] == *id;
            } while (stop);
        if (add_prompt(s, id, 1, 0, e) < 0)
            return -1;
    }
    return 0;
}

static struct json *text_of(const struct script *s, const int32_t *ids, size_t count, struct err *e)
{
    struct json *j;
    size_t length;
    char *text;

    if (!s->chat && count && ids[0] == s->bos) {
        ids++;
        count--;
    }
    for (size_t i = 0; !s->chat && count && i < s->nstops; i++)
        if (s->stops[i] == ids[count - 1]) {
            count--;
            break;
        }
    text = tokenizer_decode(s->tokenizer, ids, count, &length, e);
    if (!text)
        return NULL;
    j = json_new_text_n(text, length);
    if (!j)
        err_set(e, ERR_SYS, "a text of %zu bytes cannot be put into JSON", length);
    free(text);
    return j;
}

static struct json *ids_of(const int32_t *ids, size_t count, struct err *e)
{
    struct json *all = json_new_array();

    for (size_t i = 0; i < count; i++)
        if (json_push(all, json_new_int(ids[i])) != 0) {
            json_destroy(&all);
            err_set(e, ERR_SYS, "out of memory");
            return NULL;
        }
    return all;
}

char *script_line(const struct script *s, int as_ids, const int32_t *ids, size_t count,
                  struct err *e)
{
    struct json *line = json_new_object(),
                *value = as_ids ? ids_of(ids, count, e) : text_of(s, ids, count, e);
    char *text = NULL, *out = NULL;

    if (value && json_set(line, as_ids ? "input_ids" : "text", value) == 0 &&
        (text = json_print(line, 0, e)))
        out = mem_printf(e, "%s\n", text);
    else if (value && e->kind == ERR_NONE)
        err_set(e, ERR_SYS, "out of memory");
    free(text);
    json_destroy(&line);
    return out;
}

void script_close(struct script *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->prompts[i].ids);
    free(s->prompts);
    chat_close(&s->chat);
    tokenizer_close(&s->tokenizer);
    memset(s, 0, sizeof *s);
}
