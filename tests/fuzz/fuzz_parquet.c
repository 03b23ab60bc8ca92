/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_parquet - a Parquet file from anywhere: refused, or rows that are objects in JSON, but for
 * bytes that are no UTF-8. Checksums of pages would keep the rest from being tried: those that a
 * mutation breaks are refused like others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/base/json.h"
#include "../../common/text/parquet.h"
#include "../../common/text/unicode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void row_check(const char *row, size_t n)
{
    struct err e = {0};
    struct json *j;

    if (unicode_valid(row, n) < n || n > 1 << 16)
        return;
    j = json_parse(row, n, "row", &e);
    /* names twice, numbers of more than 64 bits and nesting are doc_line.c's to judge */
    if (!j && row[0] != '{' && row[n - 1] != '}')
        abort();
    json_destroy(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"text",      "messages", "tools",  "input_ids",
                                        "labels",    "input",    "output", "prompt",
                                        "documents", "images",   NULL};
    char path[64];
    struct err e = {0};
    struct parquet *p;
    const char *row;
    size_t n, rows = 0;
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    if ((p = parquet_open(path, "fuzz", names, &e)))
        while (rows++ < 1000 && parquet_next(p, &row, &n, &e) == 1)
            row_check(row, n);
    else if (!e.kind)
        abort();
    parquet_close(&p);
    close(fd);
    return 0;
}
