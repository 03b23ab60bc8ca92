/* SPDX-License-Identifier: Apache-2.0 */
/* seen - images in the decoder: features in place of the embeddings of their
 * tokens, the positions of all tokens, and what blocks add. */
#ifndef PTQ_SEEN_H
#define PTQ_SEEN_H

#include "model.h"
#include "pictures_once.h"
#include "sight.h"

struct chunk_view; /* msg_chunk.h */

/* The text that the images stand in: of a chunk, or of one sequence. */
struct seen_text {
    size_t T, nseq;
    const int32_t *ids;     /* [T] */
    const int32_t *lengths; /* [nseq] */
    const int32_t *image;   /* [T] which picture a token is of, -1: none; NULL: all are text */
};

/* Pictures on their way through the tower. */
struct seen_way {
    struct pictures_once once;
    struct sight *sight;
};

struct seen {
    int any; /* 0: text alone */
    struct rows_seen rows;
    struct features f;
    int32_t *axis, *feature;
    struct seen_way *way; /* seen_begin: until seen_join; NULL: there are no pictures */
};

/* Runs the tower over the pictures, over one that is there several times once; x->image is borrowed
 * as long as *s is there. Text without pictures passes; a token of an image without one is refused.
 * *s is to be released also after an error. */
int seen_open(struct model *m, const struct seen_text *x, const struct pictures *p, struct seen *s,
              struct err *e);
/* The same of a chunk, which is borrowed. */
int seen_chunk(struct model *m, const struct chunk_view *v, struct seen *s, struct err *e);
/* The same up to the tower's first block; whoever runs its blocks over seen_sight (sight.h; NULL:
 * there are no pictures) then calls seen_join. The chunk's pixels are not needed any more. */
int seen_begin(struct model *m, const struct chunk_view *v, struct seen *s, struct err *e);
struct sight *seen_sight(struct seen *s);
int seen_join(struct seen *s, struct err *e);
/* That of a text alone: it has no tokens of images. */
int seen_check_text(const struct model *m, const struct seen_text *x, struct err *e);
/* h [T, d], as model_embed has made it. */
void seen_embed(const struct seen *s, size_t T, float *h);
/* The features are not needed any more. */
void seen_drop_features(struct seen *s);
void seen_drop_deep(struct seen *s); /* what blocks add: all that take it are done */
void seen_release(struct seen *s);
/* For struct rows: NULL for text alone, and for s NULL. */
const struct rows_seen *seen_rows(const struct seen *s);

#endif
