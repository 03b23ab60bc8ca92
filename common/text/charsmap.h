/* SPDX-License-Identifier: Apache-2.0 */
/* charsmap - SentencePiece's precompiled table of what characters become ("Precompiled" of
 * tokenizer.json, precompiled_charsmap of a .model file): a double-array trie over UTF-8 and the
 * texts that it points to. */
#ifndef PTQ_CHARSMAP_H
#define PTQ_CHARSMAP_H

#include <stddef.h>
#include "../base/err.h"

struct charsmap;

/* The bytes of the table, copied. NULL, ERR_USE: not such a table. */
struct charsmap *charsmap_open(const void *data, size_t n, const char *what, struct err *e);
struct charsmap *charsmap_parse(const char *base64, size_t n, const char *what, struct err *e);
void charsmap_close(struct charsmap **m);
/* A text through the table, as tokenizer.json means it: short grapheme clusters whole, by the
 * shortest entry that they begin with, else character by character. Caller frees; NULL: no
 * memory. */
char *charsmap_apply(const struct charsmap *m, const char *text, size_t n, size_t *length,
                     struct err *e);

#endif
