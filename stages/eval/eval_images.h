/* SPDX-License-Identifier: Apache-2.0 */
/* eval_images - the pictures of windows: read and measured with the data, prepared and seen when
 * their window is computed. Private to the stage. */
#ifndef PTQ_EVAL_IMAGES_H
#define PTQ_EVAL_IMAGES_H

#include "../../common/image/prepare.h"
#include "../../common/model/seen.h"

struct window_picture {
    size_t window;
    char *source; /* as the data say */
    uint64_t digest;
    struct prepared_shape shape;
};

struct window_pictures {
    const char *data; /* the file whose folder paths are taken from */
    struct prepare *prepare;
    struct window_picture *at; /* [count], by window */
    size_t count, room;
    uint64_t digest; /* of all of them, as they are prepared */
};

/* Those of window `window`, of n ids: each is there, and has its tokens. */
int window_pictures_add(struct window_pictures *x, const char *model, const struct json *images,
                        size_t window, const int32_t *ids, size_t n, struct err *e);
/* The same in two steps, for chats: *text [pictures] stands for their marks, the caller frees;
 * then the ids that came out have their tokens. */
int window_pictures_list(struct window_pictures *x, const char *model, const struct json *sources,
                         size_t window, char ***text, struct err *e);
const char *window_pictures_mark(const struct window_pictures *x);
int window_pictures_check(const struct window_pictures *x, size_t window, const int32_t *ids,
                          size_t n, struct err *e);
void window_pictures_release(struct window_pictures *x);

/* What a model sees in a window of T ids (x NULL: text alone); to be released also after an
 * error. */
struct window_seen {
    struct seen seen;
    int32_t *image;
};
int window_look(struct model *m, const struct window_pictures *x, size_t window, const int32_t *ids,
                size_t T, struct window_seen *s, struct err *e);
void window_seen_release(struct window_seen *s);

#endif
