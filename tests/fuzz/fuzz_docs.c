/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_docs - one line of a .jsonl file from anywhere: refused, or a document with text, ids or
 * a chat; of a chat, the images that it refers to. */
#include <stdlib.h>
#include <string.h>
#include "../../common/image/image_source.h"
#include "../../common/jinja/chat_images.h"
#include "../../common/text/docs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Sources of data alone: no file is to be opened here. */
static void images_take(const struct doc *d)
{
    struct json *sources;
    struct image_bytes b;
    struct err e = {0};

    if (chat_images_take(d->chat, d->images, &sources, &e) < 0) {
        if (!e.text[0])
            abort();
        return;
    }
    for (size_t i = 0; i < json_count(sources); i++) {
        const char *source = json_as_text(json_at(sources, i));

        if (strncmp(source, "data:", 5) == 0 && image_source_read(source, NULL, &b, &e) == 0)
            image_bytes_release(&b);
    }
    json_destroy(&sources);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct doc d;
    struct err e = {0};
    const struct docs_opts o = {.text_column = size % 5 ? NULL : "content"};

    if (doc_parse((const char *)data, size, "line", &o, &d, &e) != 0)
        return 0;
    if (!!d.text + !!d.ids + !!d.chat != 1 || (d.text && d.text[d.length]) ||
        (d.ids && d.count == 0) || (d.parted && d.prompt > d.length) || (d.role && !d.ids))
        abort();
    if (d.chat)
        images_take(&d);
    doc_release(&d);
    return 0;
}
