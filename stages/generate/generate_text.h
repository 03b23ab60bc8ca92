/* SPDX-License-Identifier: Apache-2.0 */
/* generate_text - prompts in, lines out: what lies between files and generate.c. Private to the
 * stage.
 *
 * Prompts: each line of a .txt, or each document of a .jsonl ({"text"}, {"input_ids"}, or
 * {"messages"}, rendered by the model's chat template with the beginning of an answer). Without
 * prompts a sequence starts from the BOS token (the tokenizer's, else that of config.json), or,
 * where there is none, from a random token. */
#ifndef PTQ_GENERATE_TEXT_H
#define PTQ_GENERATE_TEXT_H

#include "../../common/base/json.h"
#include "../../common/jinja/chat.h"
#include "../../common/text/tokenizer.h"
#include "generate.h"

#define STOPS_MAX 16

struct script {
    struct tokenizer *tokenizer; /* NULL: the folder has none */
    const char *dir;
    const char *chat_template; /* a file instead of the model's own; NULL: none */
    const char *date;          /* of today, for chat templates that ask; NULL: none */
    struct chat *chat;         /* NULL: no chat was read */
    struct prompt *prompts;
    size_t count, cap;
    int32_t bos;              /* that sequences start with, -1: none */
    int32_t stops[STOPS_MAX]; /* eos_token_id of config.json and generation_config.json */
    size_t nstops;
};

/* Tokenizer, BOS and stop tokens of the model in dir. */
int script_open(struct script *s, const char *dir, const struct config *c, struct err *e);
/* Set chat_template and date before. most: tokens kept of each prompt (0: all). */
int script_read(struct script *s, const char *path, size_t most, struct err *e);
/* count prompts of one token: BOS, or with random, or where there is none, any token of the
 * vocabulary that is no stop. */
int script_start(struct script *s, const struct config *c, int random, size_t count, uint64_t seed,
                 struct err *e);
/* {"text": ...}: without BOS in front and stop token at the end (after chats: all of it);
 * {"input_ids": [...]}: all. With its newline; caller frees. */
char *script_line(const struct script *s, int as_ids, const int32_t *ids, size_t count,
                  struct err *e);
void script_close(struct script *s);

#endif
