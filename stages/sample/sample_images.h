/* SPDX-License-Identifier: Apache-2.0 */
/* sample_images - the pictures of chats: read and measured when the document is read, prepared
 * when its chunk is sent, so that no more of them is in memory than a chunk holds. */
#ifndef PTQ_SAMPLE_IMAGES_H
#define PTQ_SAMPLE_IMAGES_H

#include "../../common/jinja/chat_insert.h"
#include "../../common/wire/msg.h"
#include "../../common/wire/msg_images.h"
#include "sample_impl.h"

/* A picture of a document. */
struct document_image {
    char *source;    /* as the data say */
    uint64_t digest; /* of its bytes, as they were when they were read first */
    struct prepared_shape shape;
};

/* What goes in place of the marks of a chat; owned. */
struct image_texts {
    char **text;
    size_t n;
};
void image_texts_release(struct image_texts *t);

/* Takes the references out of the document (chat_images.h), looks at each picture. 1: fine, x and
 * *t are filled (of one without pictures: with nothing), 0: *e says which picture is bad and why,
 * 2: what is wrong with the references, -1. */
int sample_images_read(struct sample *s, const struct data_file *f, const struct doc *d,
                       struct document *x, struct image_texts *t, struct err *e);
/* Whether the model takes the images of the document, as far as that is known without them. */
int sample_images_known(const struct sample_opts *o, const struct config *c, const struct doc *d,
                        struct err *e);
/* Whether the first document is a chat with images. */
int sample_images_first(struct sample *s, int *images, struct err *e);
/* Of tokens as they came out: with pictures, the image tokens are as many as these have. */
int sample_images_check(const struct sample *s, const struct document *x, struct err *e);
/* Of tokens and pictures. */
uint64_t document_digest(const struct document *x);
void document_images_release(struct document *x);

/* What a chunk says of the pictures of its rows [first, first + rows). Everything but the pixels
 * is owned by *x, which is released in any case. ids: [T]. */
struct chunk_pictures {
    struct chunk_images images; /* n 0: there are none */
    uint8_t *modality;          /* [T] */
    struct tensor pixels;       /* header alone */
    int32_t *of, *rows, *grid, *size;
    uint64_t *digest;
};
int sample_images_list(const struct sample *s, size_t first, size_t rows, const int32_t *ids,
                       size_t T, struct chunk_pictures *x, struct err *e);
/* Of all pictures of the rows, as they are prepared. */
uint64_t sample_images_digest(const struct sample *s);
void chunk_pictures_release(struct chunk_pictures *x);
/* The pixels into the message that has room for them. */
int sample_images_fill(const struct sample *s, size_t first, size_t rows, struct msg *m,
                       struct err *e);

#endif
