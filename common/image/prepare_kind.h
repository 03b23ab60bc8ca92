/* SPDX-License-Identifier: Apache-2.0 */
/* prepare_kind - inside of struct prepare, for the prepare_*.c files alone. */
#ifndef PTQ_PREPARE_KIND_H
#define PTQ_PREPARE_KIND_H

#include "../base/json.h"
#include "prepared.h"
#include "resize.h"

#define PREPARE_PINS_MAX 256

struct prepare_kind;

struct prepare {
    const struct prepare_kind *kind;
    char what[512]; /* the file, for errors */
    size_t number;  /* of the kind in the list */
    enum resize_filter filter;
    float value[3][256]; /* of each channel, normalised */
    uint8_t mean[3];     /* as a colour, rounded down */
    int64_t token;
    size_t height, width;     /* of a tile */
    size_t longest, shortest; /* edges, or pixels in all, where the kind has such bounds */
    int split;
    size_t patch, merge, frames;
    size_t seq;       /* tokens of a tile */
    size_t tiles_max; /* bound of what the tokens of a divided picture are scaled to */
    size_t pins;
    size_t pin[PREPARE_PINS_MAX][2]; /* height, width */
    /* pan and scan */
    size_t crop_least, crops_most;
    double crop_ratio;
    uint64_t digest;
};

struct prepare_kind {
    const char *const *types; /* values of image_processor_type, NULL at the end */
    const char *mark;
    /* json: the processor's settings, config: config.json */
    int (*open)(struct prepare *p, const struct json *json, const struct json *config,
                struct err *e);
    int (*measure)(const struct prepare *p, size_t width, size_t height, size_t beside,
                   struct prepared_shape *s, struct err *e);
    int (*pixels)(const struct prepare *p, const struct image *x, const struct prepared_shape *s,
                  float *out, struct err *e);
    char *(*text)(const struct prepare *p, const struct prepared_shape *s, struct err *e);
};

extern const struct prepare_kind prepare_idefics3, prepare_clip, prepare_onevision,
    prepare_qwen2_vl, prepare_gemma3;

/* ---- what the kinds share ---- */

/* "size": {"height", "width"}, or one edge for both; -1 when there is none. */
int prepare_square(struct prepare *p, const struct json *json, const char *key, struct err *e);
/* A number of an object: at least 1, at most IMAGE_SIDE squared. */
int prepare_count(const struct prepare *p, const struct json *object, const char *key,
                  const char *path, size_t *v, struct err *e);
/* Patch size and so on of the vision tower; NULL and e when config.json has none. */
const struct json *prepare_tower(const struct prepare *p, const struct json *config, struct err *e);
/* Sets the shape: rows tiles of p->height x p->width. */
void prepare_tiles(const struct prepare *p, size_t rows, size_t down, size_t across,
                   struct prepared_shape *s);
/* The pixels [y, y + p->height) x [x, x + p->width) as tile `row` of out. */
void prepare_tile(const struct prepare *p, const struct image *from, size_t y, size_t x, size_t row,
                  float *out);
/* Resizes a picture to one tile and puts it there. */
int prepare_whole(const struct prepare *p, const struct image *from, size_t row, float *out,
                  struct err *e);
/* A text that grows: `text` n times behind what *to holds. */
struct prepare_text {
    char *text;
    size_t n, room;
};
int prepare_add(struct prepare_text *to, const char *text, size_t times, struct err *e);
/* The mark as often as there are tokens. */
char *prepare_marks(const struct prepare *p, const struct prepared_shape *s, struct err *e);

#endif
