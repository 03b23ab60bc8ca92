/* SPDX-License-Identifier: Apache-2.0 */
/* chat_str - pieces of texts, borrowed: they belong to the template, the arena or the messages.
 * UTF-8; they count in characters where it says so. Nothing here can fail. */
#ifndef PTQ_CHAT_STR_H
#define PTQ_CHAT_STR_H

#include <stddef.h>
#include <stdint.h>

struct str {
    const char *p;
    size_t n; /* bytes */
};

int str_same(struct str a, const char *b);
int str_equal(struct str a, struct str b);
size_t str_chars(struct str s);
/* characters [from, to) */
struct str str_slice(struct str s, size_t from, size_t to);
/* without the characters of set (NULL: white space) at either end */
struct str str_strip(struct str s, const struct str *set, int left, int right);
/* byte offset, SIZE_MAX: none */
size_t str_find(struct str s, struct str word, size_t from);
/* Python's str.isspace */
int str_space(uint32_t c);

#endif
