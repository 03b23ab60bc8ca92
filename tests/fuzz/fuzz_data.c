/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_data - a data file from anywhere, packed or not, by name a list of documents: refused, or
 * documents up to its end. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/text/docs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct docs_opts o = {.bad_lines = size % 3 ? DOCS_BAD_SKIP : DOCS_BAD_REFUSE};
    struct data_file f;
    struct docs *r = NULL;
    struct doc d;
    struct err e = {0};
    char path[64];
    size_t last = 0;

    snprintf(path, sizeof path, "/tmp/ptq-fuzz-data-%ld.json", (long)getpid());
    if (fs_publish(path, data, size, &e) < 0)
        abort();
    if (data_file_open(&f, path, &e) == 0)
        r = docs_open(&f, &o, &e);
    while (r && docs_next(r, &d, &e) == 1) {
        if (d.line <= last)
            abort();
        last = d.line;
        doc_release(&d);
    }
    docs_close(&r);
    data_file_close(&f);
    unlink(path);
    return 0;
}
