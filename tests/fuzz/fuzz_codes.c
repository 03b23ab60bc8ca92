/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_codes - a checkpoint from anywhere: config.json up to the first line break, behind it a file
 * of safetensors. Linears that are found there are read, or refused with a reason; codes have the
 * bits that are said, weights are finite. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../../common/format/format.h"
#include "../../common/format/packed.h"

#define WEIGHTS ((size_t)1 << 14)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_linear(const struct format_reader *r, const char *name, size_t N, size_t K)
{
    static float w[WEIGHTS];
    struct err e = {0};
    struct packed p;
    int rc = format_find_linear(r, name, N, K, &e);

    if (rc == 0 && (rc = format_read_linear(r, name, N, K, &p, &e)) == 1) {
        for (size_t i = 0; i < N * K; i++)
            if (p.codes[i] >> p.bits)
                abort();
        packed_release(&p);
    }
    if (rc >= 0 && (rc = format_load_linear(r, name, N, K, w, &e)) == 0)
        for (size_t i = 0; i < N * K; i++)
            if (!isfinite(w[i]))
                abort();
    if (rc < 0 && e.kind == ERR_NONE)
        abort();
}

static void try_all(const struct format_reader *r, const struct st_set *s)
{
    for (size_t i = 0; i < s->count && i < 8; i++) {
        struct format_linear l = {0};
        const char *dot = strrchr(s->entries[i].name, '.');

        if (!dot || !format_look(s, &s->entries[i], &l) || !l.N || !l.K || l.K > WEIGHTS / l.N)
            continue;
        snprintf(l.name, sizeof l.name, "%.*s", (int)(dot - s->entries[i].name),
                 s->entries[i].name);
        try_linear(r, l.name, l.N, l.K);
        try_linear(r, l.name, l.N + 1, l.K);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    const size_t n = line ? (size_t)(line - data) : 0, rest = line ? size - n - 1 : 0;
    struct err e = {0};
    struct json *config = line ? json_parse((const char *)data, n, "config.json", &e) : NULL;
    struct format_reader *r = NULL;
    struct st_set *s = NULL;
    char path[32];
    int fd;

    if (!config || (fd = memfd_create("fuzz", 0)) < 0) {
        json_destroy(&config);
        return 0;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, line + 1, rest) == (ssize_t)rest && (s = st_open(path, &e)) &&
        (r = format_open(config, "folder", s, &e)))
        try_all(r, s);
    if (!r && e.kind == ERR_NONE)
        abort();
    format_close(&r);
    st_close(&s);
    close(fd);
    json_destroy(&config);
    return 0;
}
