/* SPDX-License-Identifier: Apache-2.0 */
/* unicode - what the tokenizers need of Unicode: valid UTF-8, normal forms, regular expressions.
 *
 * The only files that know pcre2 and utf8proc are this one's. Every function that takes text,
 * except unicode_valid and unicode_repair, wants valid UTF-8. NUL bytes are ordinary characters. */
#ifndef PTQ_UNICODE_H
#define PTQ_UNICODE_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

enum unicode_form { UNICODE_NFC, UNICODE_NFD, UNICODE_NFKC, UNICODE_NFKD };

/* Length of the longest valid prefix: n when all of it is UTF-8 (no surrogates, no overlong
 * forms, nothing above U+10FFFF). */
size_t unicode_valid(const char *text, size_t n);
/* Behind byte order marks, of which a file that others made may have several; *n: what is left. */
const char *unicode_behind_marks(const char *text, size_t *n);
/* How many maximal broken parts there are. */
size_t unicode_broken(const char *text, size_t n);
/* A copy in which each maximal broken part is one U+FFFD, as Python's errors="replace" and
 * Rust's lossy reading do. */
char *unicode_repair(const char *text, size_t n, size_t *length, struct err *e);
/* The character at text (n > 0 bytes of valid UTF-8) and how many bytes it takes. */
size_t unicode_char(const char *text, size_t n, uint32_t *c);
/* UTF-8 of c; returns how many bytes. */
size_t unicode_put(uint32_t c, char out[4]);
int unicode_is_space(uint32_t c); /* the White_Space property */
int unicode_is_word(uint32_t c);  /* letters, marks, decimal digits, connectors: \w */

/* Length of the extended grapheme cluster at text (n > 0 bytes of valid UTF-8). */
size_t unicode_grapheme(const char *text, size_t n);
/* Each character in lower case, by itself. NULL on error, caller frees. */
char *unicode_lower(const char *text, size_t n, size_t *length, struct err *e);
/* A normal form; NULL on error, caller frees. */
char *unicode_normalize(const char *text, size_t n, enum unicode_form form, size_t *length,
                        struct err *e);

/* Regular expressions as tokenizer.json has them (written for Oniguruma): Unicode classes, \s is
 * exactly White_Space, $ is the end of a line. literal: the pattern is plain text. One thread at
 * a time per expression. */
struct unicode_regex;
struct unicode_regex *unicode_regex_open(const char *pattern, size_t length, int literal,
                                         const char *what, struct err *e);
void unicode_regex_close(struct unicode_regex **r);
/* First match of at least one byte that starts at or after `from`: 1 and its place, 0 none, -1
 * error. */
int unicode_regex_next(struct unicode_regex *r, const char *text, size_t n, size_t from,
                       size_t *start, size_t *end, struct err *e);

#endif
