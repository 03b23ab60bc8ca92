/* SPDX-License-Identifier: Apache-2.0 */
/* pre_names - how a byte-level tokenizer cuts text before it merges: the names that llama.cpp
 * gives to that (tokenizer.ggml.pre), each as a pre_tokenizer of tokenizer.json, and back. A GGUF
 * file says the name alone. */
#ifndef PTQ_PRE_NAMES_H
#define PTQ_PRE_NAMES_H

#include <stddef.h>
#include "../base/err.h"
#include "../base/json.h"

#define PRE_NAME_PATTERNS 6
struct pre_name {
    const char *name;
    const char *pattern[PRE_NAME_PATTERNS]; /* one after the other; NULL: no more */
    int nfc;                                /* text is normalized first */
    int ignore_merges;
    int bos; /* put in front unless the file says otherwise */
};

const struct pre_name *pre_name_at(size_t i);           /* NULL: no more */
const struct pre_name *pre_name_find(const char *name); /* NULL: unknown */
/* As "pre_tokenizer" of tokenizer.json; NULL: out of memory. */
struct json *pre_name_cut(const struct pre_name *p);
/* The name of a "pre_tokenizer": the first that cuts alike, of several one with the same nfc. NULL:
 * none, or no memory, which is said. */
const struct pre_name *pre_name_of(const struct json *cut, int nfc, int ignore_merges,
                                   struct err *e);

#endif
