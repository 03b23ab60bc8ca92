/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_docs - one line of a .jsonl file from anywhere: refused, or a document with text, ids or
 * a chat. */
#include <stdlib.h>
#include "../../common/text/docs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    doc_release(&d);
    return 0;
}
