/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sums - a safetensors file of Hessians from anywhere, QuIP#'s centred ones too: refused, or
 * problems that can be read. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../../common/wire/msg_problem.h"
#include "../../ops/tools/stream/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_back(const char *path, size_t count)
{
    const struct link_opts o = {.name = "fuzz"};
    struct err e = {0};
    struct link *in = link_open(path, LINK_IN, &o, &e);
    struct problem_view p;
    struct msg *m = NULL;

    while (in && link_recv(in, &m, -1, &e) == 1) {
        if (problem_read(m, &p, &e) < 0 || !count--)
            abort();
        msg_destroy(&m);
    }
    if (!in || e.kind != ERR_NONE || count)
        abort();
    link_close(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char made[] = "/tmp/ptq-fuzz-sums-XXXXXX";
    const struct link_opts o = {.name = "fuzz"};
    struct err e = {0};
    struct link *out;
    size_t count = 0;
    char path[32];
    int fd = memfd_create("fuzz", 0), kept, rc;

    if (made[sizeof made - 2] == 'X' && ((kept = mkstemp(made)) < 0 || close(kept) != 0))
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
        !(out = link_open(made, LINK_OUT, &o, &e)))
        abort();
    rc = stream_import(path, out, &count, &e);
    if (rc < 0 && e.kind == ERR_NONE)
        abort();
    if (link_end(out, rc == 0, rc ? e.text : NULL, NULL) < 0 && rc == 0)
        abort();
    link_close(&out);
    if (rc == 0)
        read_back(made, count);
    close(fd);
    return 0;
}
