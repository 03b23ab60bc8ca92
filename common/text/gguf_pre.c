/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_pre - which pre-tokenizer (pre_names.h) a GGUF file means, and what to say to one that
 * does not say. */
#include <stdio.h>
#include <string.h>
#include "../base/near.h"
#include "gguf_tokenizer.h"

#define KEY "tokenizer.ggml.pre"

/* Vocabularies that can be told by a token that no other has and by their size. */
static const struct {
    const char *token;
    size_t least, most; /* tokens */
    const char *pre, *whose;
} HINTS[] = {{"<|begin_of_text|>", 128000, 129000, "llama-bpe", "Llama 3"},
             {"<|im_start|>", 151000, 152100, "qwen2", "Qwen 2 or 3"},
             {"[MIDDLE]", 131000, 131100, "tekken", "Mistral Nemo"},
             {"<|endoftext|>", 50257, 50257, "gpt-2", "GPT-2"}};

static int has_token(const struct json *tokens, const char *text)
{
    for (size_t i = json_count(tokens); i-- > 0;) /* special tokens stand at the end */
        if (strcmp(json_as_text(json_at(tokens, i)), text) == 0)
            return 1;
    return 0;
}

/* What the vocabulary looks like, as the end of a sentence. */
static void hint_say(const struct json *tokens, char *out, size_t n)
{
    size_t count = json_count(tokens);

    snprintf(out, n, "ptq-import(1) lists the names");
    for (size_t i = 0; i < sizeof HINTS / sizeof HINTS[0]; i++)
        if (count >= HINTS[i].least && count <= HINTS[i].most &&
            has_token(tokens, HINTS[i].token)) {
            snprintf(out, n, "its vocabulary looks like that of %s, which is --pre %s",
                     HINTS[i].whose, HINTS[i].pre);
            return;
        }
}

static int unknown(const char *asked, const char *hint, struct err *e)
{
    struct near near = near_start(asked, strlen(asked));

    for (size_t i = 0; pre_name_at(i); i++)
        near_try(&near, pre_name_at(i)->name);
    return err_set(e, ERR_USE, "--pre '%.64s': no such pre-tokenizer%s%s%s; %s", asked,
                   near.name ? " (near it is " : "", near.name ? near.name : "",
                   near.name ? ")" : "", hint);
}

const struct pre_name *gguf_pre_read(const struct gguf *g, const char *asked, struct err *e)
{
    const char *said = json_as_text(json_get(g->meta, KEY));
    const struct pre_name *p = asked || said ? pre_name_find(asked ? asked : said) : NULL;
    char hint[128];

    if (p)
        return p;
    hint_say(json_get(g->meta, "tokenizer.ggml.tokens"), hint, sizeof hint);
    if (asked)
        unknown(asked, hint, e);
    else if (!said || !*said || strcmp(said, "default") == 0)
        err_set(
            e, ERR_USE,
            "%s: key '" KEY "' %s, so the file does not say how its tokenizer cuts text, and a "
            "wrong cut gives wrong tokens without a word; 'ptq import --pre NAME' names it (%s)",
            g->path, said && *said ? "is 'default'" : "is missing", hint);
    else
        err_set(e, ERR_USE,
                "%s: key '" KEY "': pre-tokenizer '%.64s' is not known; if it cuts as another one "
                "does, 'ptq import --pre NAME' says so (%s)",
                g->path, said, hint);
    return NULL;
}
