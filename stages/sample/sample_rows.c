/* SPDX-License-Identifier: Apache-2.0 */
/* sample_rows - see sample_rows.h. */
#include "sample_rows.h"

#include "sample_impl.h"

size_t sample_rows(const struct sample *s)
{
    return s->nrow;
}

uint64_t sample_tokens(const struct sample *s)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < s->nrow; i++)
        sum += s->row[i].length;
    return sum;
}

size_t sample_lengths(const struct sample *s, const size_t **length)
{
    *length = s->whole ? s->whole : s->set;
    return s->whole ? s->nwhole : s->nset;
}

uint64_t sample_rows_of(const struct sample *s, size_t length)
{
    uint64_t n = 0;
    size_t i;

    for (i = 0; i < s->nrow; i++)
        n += s->row[i].length == length;
    return n;
}
