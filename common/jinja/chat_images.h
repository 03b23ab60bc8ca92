/* SPDX-License-Identifier: Apache-2.0 */
/* chat_images - the pictures that a conversation refers to, as data sets for vision-language
 * models write them:
 *
 *   parts     {"type": "image", "path" | "image" | "url": SOURCE}, {"type": "image_url",
 *             "image_url": SOURCE or {"url": SOURCE}}; without a source, the next of the line's
 *   line      "image": SOURCE or "images": [SOURCE, ...] (or [{"path" | "url": SOURCE}, ...]),
 *             each for one "<image>" in the texts, as LLaVA's data have them
 *
 * Afterwards each is a part {"type": "image"}, and the content of every message a list of parts,
 * for a template to render. Videos and sounds are refused. */
#ifndef PTQ_CHAT_IMAGES_H
#define PTQ_CHAT_IMAGES_H

#include "../base/err.h"
#include "../base/json.h"

/* chat: its variables (chat.h). images: of the line, NULL when there are none. *sources: a list of
 * texts in the order of the parts, the caller's; empty when there are none: then chat is as it
 * was. -1, ERR_USE: what does not fit together. */
int chat_images_take(struct json *chat, const struct json *images, struct json **sources,
                     struct err *e);

/* For who reads no pictures: -1, ERR_USE when the chat has any (a template would leave marks where
 * the model is to see something). instead: what there is to do. */
int chat_images_refuse(struct json *chat, const struct json *images, const char *instead,
                       struct err *e);

/* Of a line without a chat: every picture of the line. */
int chat_images_list(const struct json *images, struct json **sources, struct err *e);

#endif
