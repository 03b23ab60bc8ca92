/* SPDX-License-Identifier: Apache-2.0 */
/* parquet - see parquet.h. A row is put together from its columns by their levels: rep says which
 * list goes on, def how far down something is there. */
#include "parquet.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../base/fs.h"
#include "../base/mem.h"
#include "parquet_column.h"
#include "parquet_meta.h"

enum { ROW_MAX = 128 << 20 };

struct parquet {
    int fd;
    struct parquet_meta meta;
    struct parquet_column *column; /* [meta.ncolumns] */
    size_t group, groups_begun;
    uint64_t row; /* of the group */
    char *text;   /* the row so far */
    size_t n, room;
};

struct parquet *parquet_open(const char *path, const char *name, const char *const *names,
                             struct err *e)
{
    struct parquet *p = mem_array(1, sizeof *p, e);
    uint64_t bytes;

    if (!p)
        return NULL;
    if ((p->fd = fs_open(path, &bytes, e)) < 0 ||
        parquet_meta_read(&p->meta, p->fd, bytes, name, names, e) < 0 ||
        !(p->column = mem_array(p->meta.ncolumns + 1, sizeof *p->column, e)))
        goto fail;
    for (size_t i = 0; i < p->meta.ncolumns; i++)
        if (parquet_column_open(&p->column[i], p->fd, name, p->meta.leaf[i], e) < 0)
            goto fail;
    return p;
fail:
    parquet_close(&p);
    return NULL;
}

void parquet_close(struct parquet **p)
{
    if (!*p)
        return;
    for (size_t i = 0; (*p)->column && i < (*p)->meta.ncolumns; i++)
        parquet_column_release(&(*p)->column[i]);
    free((*p)->column);
    parquet_meta_release(&(*p)->meta);
    if ((*p)->fd >= 0)
        close((*p)->fd);
    free((*p)->text);
    free(*p);
    *p = NULL;
}

size_t parquet_columns(const struct parquet *p)
{
    return p->meta.ncolumns;
}

/* ---- text ---- */

static int put(struct parquet *p, const char *text, size_t n, struct err *e)
{
    void *room = p->text;

    if (n > ROW_MAX - p->n)
        return err_set(e, ERR_USE, "%s: a row of more than %d MiB", p->meta.name, ROW_MAX >> 20);
    if (mem_grow(&room, &p->room, p->n + n + 1, 1, e) < 0)
        return -1;
    p->text = room;
    memcpy(p->text + p->n, text, n);
    p->text[p->n += n] = '\0';
    return 0;
}

static int put_word(struct parquet *p, const char *word, struct err *e)
{
    return put(p, word, strlen(word), e);
}

static int put_text(struct parquet *p, const uint8_t *s, size_t n, struct err *e)
{
    size_t from = 0;
    char code[8];

    if (put(p, "\"", 1, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (s[i] >= 0x20 && s[i] != '"' && s[i] != '\\')
            continue;
        snprintf(code, sizeof code, "\\u%04x", s[i]);
        if (put(p, (const char *)s + from, i - from, e) < 0 || put_word(p, code, e) < 0)
            return -1;
        from = i + 1;
    }
    return n > from && put(p, (const char *)s + from, n - from, e) < 0 ? -1 : put(p, "\"", 1, e);
}

/* A number that is read back as the same, and as no whole one. */
static void real_print(double v, char *to, size_t size)
{
    if (!isfinite(v))
        snprintf(to, size, "null");
    else if (snprintf(to, size, "%.15g", v) && strtod(to, NULL) != v)
        snprintf(to, size, "%.17g", v);
    if (strspn(to, "-0123456789") == strlen(to))
        snprintf(to + strlen(to), size - strlen(to), ".0");
}

static int put_value(struct parquet *p, const struct parquet_node *n, const struct parquet_value *x,
                     struct err *e)
{
    char number[48];

    if (n->type == PARQUET_BYTES)
        return put_text(p, x->bytes, x->n, e);
    if (n->type == PARQUET_BOOLEAN)
        return put_word(p, x->i ? "true" : "false", e);
    if (n->type == PARQUET_FLOAT || n->type == PARQUET_DOUBLE)
        real_print(x->d, number, sizeof number);
    else if (n->means != PARQUET_UNSIGNED)
        snprintf(number, sizeof number, "%" PRId64, x->i);
    else
        snprintf(number, sizeof number, "%" PRIu64,
                 n->type == PARQUET_INT32 ? (uint64_t)(uint32_t)x->i : (uint64_t)x->i);
    return put_word(p, number, e);
}

/* ---- rows ---- */

static int damaged(const struct parquet *p, const struct parquet_node *n, struct err *e)
{
    return err_set(e, ERR_USE,
                   "%s: damaged data: the columns below '%.80s' do not have the same rows",
                   p->meta.name, n->name);
}

static size_t columns_of(const struct parquet *p, const struct parquet_node *n)
{
    const size_t end = (size_t)(n - p->meta.node) + n->size;

    return (end < p->meta.nnodes ? p->meta.node[end].column : p->meta.ncolumns) - n->column;
}

/* All columns below n have an entry, and it is at level `rep` of lists. */
static int aligned(struct parquet *p, const struct parquet_node *n, unsigned rep, struct err *e)
{
    const size_t count = columns_of(p, n);

    for (size_t i = 0; i < count; i++) {
        struct parquet_column *c = &p->column[n->column + i];
        const int got = parquet_column_peek(c, e);

        if (got < 0)
            return -1;
        if (!got || c->rep != rep)
            return damaged(p, n, e);
    }
    return 0;
}

/* There is nothing below n: its columns have an entry each to say so. */
static int nothing_take(struct parquet *p, const struct parquet_node *n, unsigned def,
                        struct err *e)
{
    const size_t count = columns_of(p, n);
    struct parquet_value x;

    for (size_t i = 0; i < count; i++) {
        struct parquet_column *c = &p->column[n->column + i];
        const int got = parquet_column_peek(c, e);

        if (got < 0)
            return -1;
        if (!got || c->def >= def)
            return damaged(p, n, e);
        if (parquet_column_take(c, &x, e) < 0)
            return -1;
    }
    return 0;
}

static int field_put(struct parquet *p, const struct parquet_node *n, struct err *e);
static int body_put(struct parquet *p, const struct parquet_node *n, struct err *e);

/* The only one below, which a list or a map has around what it repeats. */
static const struct parquet_node *only_child(const struct parquet_node *n)
{
    return n->children == 1 ? n + 1 : NULL;
}

/* What stands in a list: of a list said to be one the repeated node is a frame around it, but for
 * old writers' lists. */
static int element_put(struct parquet *p, const struct parquet_node *list,
                       const struct parquet_node *n, struct err *e)
{
    char tuple[128];

    if (!list || !only_child(n) || strcmp(n->name, "array") == 0)
        return body_put(p, n, e);
    snprintf(tuple, sizeof tuple, "%.100s_tuple", list->name);
    return strcmp(n->name, tuple) ? field_put(p, only_child(n), e) : body_put(p, n, e);
}

/* A pair of a map. */
static int pair_put(struct parquet *p, const struct parquet_node *n, struct err *e)
{
    return field_put(p, n + 1, e) < 0 || put(p, ":", 1, e) < 0 ? -1
                                                               : field_put(p, n + 1 + n[1].size, e);
}

/* n is repeated; list: the node around it that is a list, NULL: none. */
static int repeated_put(struct parquet *p, const struct parquet_node *list,
                        const struct parquet_node *n, int map, struct err *e)
{
    struct parquet_column *first = &p->column[n->column];
    int got = parquet_column_peek(first, e);

    if (got <= 0)
        return got < 0 ? -1 : damaged(p, n, e);
    if (put(p, map ? "{" : "[", 1, e) < 0)
        return -1;
    if (first->def < n->def)
        return nothing_take(p, n, n->def, e) < 0 ? -1 : put(p, map ? "}" : "]", 1, e);
    for (int more = 0;; more = 1) {
        if (more && (put(p, ",", 1, e) < 0 || aligned(p, n, n->rep, e) < 0))
            return -1;
        if ((map ? pair_put(p, n, e) : element_put(p, list, n, e)) < 0)
            return -1;
        if ((got = parquet_column_peek(first, e)) < 0)
            return -1;
        if (!got || first->rep < n->rep)
            return put(p, map ? "}" : "]", 1, e);
    }
}

static int is_map(const struct parquet_node *n)
{
    const struct parquet_node *pair = only_child(n);

    return n->means == PARQUET_MAP && pair && pair->repetition == PARQUET_REPEATED &&
           pair->children == 2 && pair[1].type == PARQUET_BYTES &&
           pair[1].repetition == PARQUET_REQUIRED;
}

static int members_put(struct parquet *p, const struct parquet_node *n, struct err *e)
{
    const struct parquet_node *x = n + 1;

    if (put(p, "{", 1, e) < 0)
        return -1;
    for (size_t i = 0; i < n->children; i++, x += x->size)
        if ((i && put(p, ",", 1, e) < 0) ||
            put_text(p, (const uint8_t *)x->name, strlen(x->name), e) < 0 ||
            put(p, ":", 1, e) < 0 || field_put(p, x, e) < 0)
            return -1;
    return put(p, "}", 1, e);
}

/* n is there, once. */
static int body_put(struct parquet *p, const struct parquet_node *n, struct err *e)
{
    const struct parquet_node *child = only_child(n);
    struct parquet_value x;
    int got;

    if (n->type == PARQUET_NODE) {
        if (is_map(n))
            return repeated_put(p, NULL, child, 1, e);
        if (n->means == PARQUET_LIST && child && child->repetition == PARQUET_REPEATED)
            return repeated_put(p, n, child, 0, e);
        return members_put(p, n, e);
    }
    if ((got = parquet_column_peek(&p->column[n->column], e)) == 1)
        got = parquet_column_take(&p->column[n->column], &x, e);
    return got <= 0 ? got < 0 ? -1 : damaged(p, n, e) : put_value(p, n, &x, e);
}

static int field_put(struct parquet *p, const struct parquet_node *n, struct err *e)
{
    struct parquet_column *first = &p->column[n->column];
    int got;

    if (n->repetition == PARQUET_REPEATED)
        return repeated_put(p, NULL, n, 0, e);
    if (n->repetition == PARQUET_REQUIRED)
        return body_put(p, n, e);
    if ((got = parquet_column_peek(first, e)) <= 0)
        return got < 0 ? -1 : damaged(p, n, e);
    if (first->def < n->def)
        return nothing_take(p, n, n->def, e) < 0 ? -1 : put_word(p, "null", e);
    return body_put(p, n, e);
}

/* A column of the table: what is wanted, or that a text is there. */
static int top_put(struct parquet *p, const struct parquet_node *n, struct err *e)
{
    if (!n->wanted && (n->type != PARQUET_BYTES || n->means != PARQUET_TEXT))
        return 0;
    if ((p->n > 1 && put(p, ",", 1, e) < 0) ||
        put_text(p, (const uint8_t *)n->name, strlen(n->name), e) < 0 || put(p, ":", 1, e) < 0)
        return -1;
    if (!n->wanted)
        return put_word(p, "\"\"", e);
    return aligned(p, n, 0, e) < 0 ? -1 : field_put(p, n, e);
}

static int row_put(struct parquet *p, struct err *e)
{
    const struct parquet_node *x = &p->meta.node[1];

    p->n = 0;
    if (put(p, "{", 1, e) < 0)
        return -1;
    for (size_t i = 0; i < p->meta.node[0].children; i++, x += x->size)
        if (top_put(p, x, e) < 0)
            return -1;
    return put(p, "}", 1, e);
}

/* Behind the last row of a group nothing may be left. */
static int group_end(struct parquet *p, struct err *e)
{
    for (size_t i = 0; i < p->meta.ncolumns; i++) {
        const int got = parquet_column_peek(&p->column[i], e);

        if (got)
            return got < 0 ? -1 : damaged(p, &p->meta.node[0], e);
    }
    return 0;
}

int parquet_next(struct parquet *p, const char **row, size_t *n, struct err *e)
{
    for (;; p->group++) {
        if (p->group == p->meta.ngroups)
            return 0;
        if (p->groups_begun == p->group) {
            for (size_t i = 0; i < p->meta.ncolumns; i++)
                parquet_column_start(&p->column[i],
                                     &p->meta.chunk[p->group * p->meta.ncolumns + i]);
            p->groups_begun++;
            p->row = 0;
        }
        if (p->row < p->meta.rows[p->group])
            break;
        if (group_end(p, e) < 0)
            return -1;
    }
    p->row++;
    if (row_put(p, e) < 0)
        return -1;
    *row = p->text;
    *n = p->n;
    return 1;
}
