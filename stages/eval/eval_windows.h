/* SPDX-License-Identifier: Apache-2.0 */
/* eval_windows - the text that a checkpoint is measured on, in windows of tokens.
 *
 * Protocol (as in GPTQ and its successors): text is tokenized once without special tokens,
 * documents joined with nothing between, cut into windows that do not overlap; what does not fill
 * the last window is dropped. Chats are rendered by the model's template and then are text like
 * any other. Rows of {"input_ids"} are windows as they are; "images" beside
 * them are for their image tokens. */
#ifndef PTQ_EVAL_WINDOWS_H
#define PTQ_EVAL_WINDOWS_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/text/docs.h"

struct window_pictures; /* eval_images.h */
struct tokenizer;
struct chat;

struct windows {
    size_t count, tokens;
    size_t *start; /* [count + 1]: window i is ids[start[i]] to ids[start[i + 1]] */
    int32_t *ids;
    uint8_t *role; /* [tokens] only answers are scored (role.h); NULL: all tokens are */
    struct window_pictures *pictures; /* NULL: there are none */
    struct docs_count read;           /* lines that were skipped, and why */
};

struct windows_opts {
    const char *data, *dir;    /* as data_file.h says; the folder whose tokenizer reads text */
    const char *ref;           /* a folder whose tokenizer must give text the same ids, or NULL */
    size_t length, max;        /* of a window of text, at least 2; windows at most, 0: all */
    const char *chat_template; /* file; NULL: the folder's own */
    const char *date;          /* today's, for chat templates that ask; NULL: none */
    struct docs_opts docs;
};

/* What renders the chats of this folder, and what their text begins with. t is the folder's. The
 * caller closes *chat, on failure too. */
int windows_chat_open(const struct windows_opts *o, const struct tokenizer *t, struct chat **chat,
                      int32_t *bos, struct err *e);
int windows_read(const struct windows_opts *o, struct windows *w, struct err *e);
void windows_release(struct windows *w);

#endif
