/* SPDX-License-Identifier: Apache-2.0 */
/* pictures_once - see pictures_once.h. */
#include "pictures_once.h"

#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"

void pictures_once_release(struct pictures_once *o)
{
    free(o->of);
    free(o->pixels);
    free(o->shapes);
    memset(o, 0, sizeof *o);
}

static size_t first_alike(const struct pictures *p, size_t i)
{
    size_t k = 0;

    while (k < i &&
           !(p->digest && p->digest[k] == p->digest[i] && p->image_rows[k] == p->image_rows[i]))
        k++;
    return k;
}

/* Rows that do not add up are for the tower to refuse: such pictures stay as they are. */
static int is_whole(const struct pictures *p)
{
    size_t sum = 0;

    for (size_t i = 0; i < p->count; i++) {
        if (p->image_rows[i] < 1 || (size_t)p->image_rows[i] > p->rows - sum)
            return 0;
        sum += (size_t)p->image_rows[i];
    }
    return sum == p->rows;
}

/* n of them, with so many rows. */
static int gather(const struct pictures *p, size_t n, size_t rows, struct pictures_once *o,
                  struct err *e)
{
    int32_t *row, *grid, *size;
    size_t from = 0, to = 0, next = 0;

    if (!(o->pixels = mem_array(rows, p->width * sizeof *o->pixels, e)) ||
        !(o->shapes = mem_array(n, 6 * sizeof *o->shapes, e)))
        return -1;
    row = o->shapes;
    grid = row + n;
    size = grid + 3 * n;
    for (size_t i = 0; i < p->count; from += (size_t)p->image_rows[i++]) {
        if (o->of[i] != next)
            continue;
        memcpy(o->pixels + to * p->width, p->pixels + from * p->width,
               (size_t)p->image_rows[i] * p->width * sizeof *o->pixels);
        memcpy(grid + 3 * next, p->grid + 3 * i, 3 * sizeof *grid);
        if (p->size)
            memcpy(size + 2 * next, p->size + 2 * i, 2 * sizeof *size);
        row[next++] = p->image_rows[i];
        to += (size_t)p->image_rows[i];
    }
    o->p = (struct pictures){.count = n,
                             .pixels = o->pixels,
                             .rows = rows,
                             .width = p->width,
                             .image_rows = row,
                             .grid = grid,
                             .size = p->size ? size : NULL};
    return 0;
}

int pictures_once_make(const struct pictures *p, struct pictures_once *o, struct err *e)
{
    const int whole = is_whole(p);
    size_t n = 0, rows = 0;

    *o = (struct pictures_once){.p = *p};
    if (!(o->of = mem_array(p->count, sizeof *o->of, e)))
        return -1;
    for (size_t i = 0; i < p->count; i++) {
        const size_t k = whole ? first_alike(p, i) : i;

        o->of[i] = k < i ? o->of[k] : n++;
        rows += k < i ? 0 : (size_t)p->image_rows[i];
    }
    return n == p->count ? 0 : gather(p, n, rows, o, e);
}
