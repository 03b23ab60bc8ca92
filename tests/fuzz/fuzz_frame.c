/* SPDX-License-Identifier: Apache-2.0 */
/* Framed messages and what the typed views make of them. CRCs are made right first, or nothing
 * would get past them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/base/hash.h"
#include "../../common/wire/frame.h"
#include "../../common/wire/msg_chunk.h"
#include "../../common/wire/msg_partial.h"
#include "../../common/wire/msg_problem.h"
#include "../../common/wire/msg_solution.h"
#include "../../stages/slide/slide_job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_views(const struct msg *m)
{
    struct err e = {0};
    struct chunk_view chunk;
    struct acts_view acts;
    struct weights_view weights;
    struct problem_view problem;
    struct solution_view solution;
    struct partial_view partial;
    struct slide_job job;

    if (chunk_read(m, &chunk, &e) == 0)
        chunk_site_weights(&chunk, 0, "attn.qkv", 0);
    acts_read(m, &acts, &e);
    weights_read(m, &weights, &e);
    problem_read(m, &problem, &e);
    solution_read(m, &solution, &e);
    partial_read(m, &partial, &e);
    slide_job_read(m, 4, 8, &job, &e);
    slide_sum_part(m, &job, 4, &e);
}

/* Part 0 of a whole frame gets the CRC of what is in it. */
static void mend_header(uint8_t *p, size_t size)
{
    uint32_t n, crc;
    uint64_t length;

    if (size < 20)
        return;
    memcpy(&n, p + 4, 4);
    memcpy(&length, p + 8, 8);
    if (n < 1 || n > (size - 8) / 8 || length < 5 || length > size - 8 - 8 * (size_t)n)
        return;
    p += 8 + 8 * (size_t)n;
    crc = hash_crc32c(0, p + 4, (size_t)length - 4);
    memcpy(p, &crc, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct frame_limits lim = {64, 1 << 16, 1 << 20, 1 << 22, getpid(), 0};
    uint8_t *copy = malloc(size ? size : 1);
    struct err e = {0};
    struct msg *m;
    size_t used;

    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    mend_header(copy, size);
    m = frame_parse(copy, size, &lim, &used, &e);
    if (m)
        read_views(m);
    if ((!m && e.kind == ERR_NONE) || used > size)
        abort();
    msg_destroy(&m);
    free(copy);
    return 0;
}
