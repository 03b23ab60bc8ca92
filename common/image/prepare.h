/* SPDX-License-Identifier: Apache-2.0 */
/* prepare - pictures as a vision-language model takes them in, by the preprocessor_config.json of
 * its folder (or "image_processor" of processor_config.json): resized, cut, normalised, in the
 * order of the model's patches; and what a picture becomes in the text of a prompt.
 *
 * The reference is what transformers 5 does by default (its torchvision backend): the same
 * values. One descriptor a file (prepare_*.c), one list. Leaves out: videos. */
#ifndef PTQ_PREPARE_H
#define PTQ_PREPARE_H

#include "../base/json.h"
#include "image.h"
#include "prepared.h"

struct prepare;

/* config: the model's config.json. NULL, ERR_USE: no such file, or what in it is not known. */
struct prepare *prepare_open(const char *model, const struct json *config, struct err *e);
/* The same of settings that were read already (the fuzz target). what: their file, for errors. */
struct prepare *prepare_parse(const struct json *settings, const char *what,
                              const struct json *config, struct err *e);
void prepare_close(struct prepare **p);
uint64_t prepare_digest(const struct prepare *p); /* of all that the values depend on */
/* Whether a config.json is of a model with a vision tower. */
int prepare_wanted(const struct json *config);

/* beside: pictures in the same sequence, this one included (some models do not divide them then).
 * -1, ERR_USE: the model takes no such picture. */
int prepare_measure(const struct prepare *p, size_t width, size_t height, size_t beside,
                    struct prepared_shape *s, struct err *e);
/* The values of a picture that prepare_measure has measured. out: [shape], the caller's. */
int prepare_pixels(const struct prepare *p, const struct image *x, const struct prepared_shape *s,
                   float *out, struct err *e);

/* The mark that a chat template leaves for a picture. */
const char *prepare_mark(const struct prepare *p);
/* What goes there instead; the caller frees. */
char *prepare_text(const struct prepare *p, const struct prepared_shape *s, struct err *e);
/* The id of an image token, of which there are s->tokens. */
int64_t prepare_token(const struct prepare *p);

#endif
