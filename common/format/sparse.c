/* SPDX-License-Identifier: Apache-2.0 */
/* sparse - see sparse.h. */
#include "sparse.h"

size_t sparse_first(const struct sparse *s, size_t n)
{
    return s->count && n ? (size_t)s->end[n - 1] : 0;
}

/* The first number of the row whose column is not below `from`. */
static size_t lower(const struct sparse *s, size_t at, size_t end, size_t from)
{
    while (at < end) {
        const size_t middle = at + (end - at) / 2;

        if ((size_t)s->column[middle] < from)
            at = middle + 1;
        else
            end = middle;
    }
    return at;
}

void sparse_put(const struct sparse *s, size_t n, size_t from, size_t width, double *w)
{
    const size_t size = dtype_size(s->type), end = s->count ? sparse_first(s, n + 1) : 0;

    for (size_t i = lower(s, sparse_first(s, n), end, from);
         i < end && (size_t)s->column[i] < from + width; i++)
        dtype_to_f64(s->type, (const char *)s->value + i * size, 1,
                     w + ((size_t)s->column[i] - from));
}

int sparse_check(const struct sparse *s, size_t N, size_t K, const char *what, struct err *e)
{
    size_t at = 0;

    for (size_t n = 0; n < N; n++) {
        if (s->end[n] < 0 || (size_t)s->end[n] < at || (size_t)s->end[n] > s->count)
            return err_set(e, ERR_USE, "tensor '%s.sparse_end': row %zu ends at %d, of %zu", what,
                           n, s->end[n], s->count);
        for (size_t first = at; at < (size_t)s->end[n]; at++)
            if (s->column[at] < 0 || (size_t)s->column[at] >= K ||
                (at > first && s->column[at] <= s->column[at - 1]))
                return err_set(e, ERR_USE,
                               "tensor '%s.sparse_column': number %zu is %d; those of a row must "
                               "rise, below %zu",
                               what, at, s->column[at], K);
    }
    return at == s->count
               ? 0
               : err_set(e, ERR_USE, "tensor '%s.sparse_end': the last row ends at %zu, of %zu",
                         what, at, s->count);
}
