/* SPDX-License-Identifier: Apache-2.0 */
/* lent - the files of a model that a head lends to workers without a copy of it: config.json, the
 * index and the weights, which is all that ptq-forward reads; or one GGUF file.
 *
 * What a worker is told of them comes from the network: names are those of files in one folder and
 * nothing else, and the name of a copy is made of the list's own digest. */
#ifndef PTQ_LENT_H
#define PTQ_LENT_H

#include <stddef.h>
#include <stdint.h>
#include "../common/base/digest.h"
#include "../common/base/err.h"
#include "../common/base/json.h"

#define LENT_FILES 1024
#define LENT_NAME 128 /* bytes of a name, with the NUL */

struct lent_file {
    char name[LENT_NAME];
    uint64_t bytes;
    char digest[DIGEST_TEXT]; /* of its contents; "" while it is not known */
};

struct lent {
    struct lent_file *file; /* owned: lent_release */
    size_t count, room;
    uint64_t bytes; /* of all */
};

/* Names and sizes of the files of a model, a folder or a GGUF file. ERR_USE: it is none, or one of
 * its names could not be lent. */
int lent_find(const char *model, struct lent *l, struct err *e);
/* Where file i of the model lies on the host that lends it; the caller's. */
char *lent_path(const char *model, const struct lent *l, size_t i, struct err *e);
/* [{"name", "bytes", "digest"}]; NULL: no memory. */
struct json *lent_say(const struct lent *l);
/* The same from who is not trusted. ERR_USE names the field that is wrong. */
int lent_read(const struct json *list, struct lent *l, struct err *e);
/* Of names, sizes and contents of all. */
void lent_digest(const struct lent *l, char out[DIGEST_TEXT]);
/* What ptq-forward takes as --model where these files lie in dir; the caller's. */
char *lent_model(const struct lent *l, const char *dir, struct err *e);
void lent_release(struct lent *l);

#endif
