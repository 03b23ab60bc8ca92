/* SPDX-License-Identifier: Apache-2.0 */
/* parquet_meta - see parquet_meta.h. Field numbers are those of parquet.thrift of
 * https://github.com/apache/parquet-format. Leaves out: encrypted files, columns in other files,
 * statistics and indexes. */
#include "parquet_meta.h"

#include <stdlib.h>
#include <string.h>
#include "../base/fs.h"
#include "../base/mem.h"
#include "parquet_codec.h"
#include "parquet_thrift.h"

enum { TAIL = 8, NODES_MAX = 1 << 16, DEPTH_MAX = 40 };
#define FOOTER_MAX ((uint32_t)256 << 20)

static int damaged(const struct parquet_meta *m, const char *what, struct err *e)
{
    return err_set(e, ERR_USE, "%s: a damaged parquet file: %s", m->name, what);
}

/* ---- the tree ---- */

/* LogicalType, a union: the number of its member, and of whole numbers whether they have signs. */
static enum parquet_means logical_read(struct thrift *t, enum thrift_type type,
                                       enum parquet_means means)
{
    int id = 0, member = 0;

    thrift_struct(t, type);
    while ((type = thrift_field(t, &id)) != THRIFT_STOP) {
        switch (id) {
        case 1:
        case 12:
            means = PARQUET_TEXT;
            break;
        case 2:
            means = PARQUET_MAP;
            break;
        case 3:
            means = PARQUET_LIST;
            break;
        case 5:
            means = PARQUET_DECIMAL;
            break;
        default:
            break;
        }
        if (id != 10 || type != THRIFT_STRUCT) {
            thrift_skip(t, type);
            continue;
        }
        while ((type = thrift_field(t, &member)) != THRIFT_STOP)
            if (member == 2)
                means = thrift_bool(t, type) ? PARQUET_PLAIN : PARQUET_UNSIGNED;
            else
                thrift_skip(t, type);
    }
    return means;
}

/* ConvertedType, which older writers say alone. */
static enum parquet_means converted(int64_t said)
{
    switch (said) {
    case 0:  /* UTF8 */
    case 4:  /* ENUM */
    case 19: /* JSON */
        return PARQUET_TEXT;
    case 1: /* MAP */
    case 2: /* MAP_KEY_VALUE */
        return PARQUET_MAP;
    case 3:
        return PARQUET_LIST;
    case 5:
        return PARQUET_DECIMAL;
    case 11: /* UINT_8 .. UINT_64 */
    case 12:
    case 13:
    case 14:
        return PARQUET_UNSIGNED;
    default:
        return PARQUET_PLAIN;
    }
}

static int node_read(struct thrift *t, struct parquet_node *n, struct err *e)
{
    const uint8_t *name = NULL;
    enum thrift_type type;
    size_t length = 0;
    int id = 0;

    *n = (struct parquet_node){.type = PARQUET_NODE};
    while ((type = thrift_field(t, &id)) != THRIFT_STOP) {
        int64_t v;

        if (id == 4) {
            name = thrift_bytes(t, type, &length);
        } else if (id == 10) {
            n->means = logical_read(t, type, n->means);
        } else if (id == 1 || id == 3 || id == 5 || id == 6) {
            v = thrift_int(t, type);
            if (v < 0 || v > NODES_MAX || (id == 1 && v >= PARQUET_TYPES) ||
                (id == 3 && v > PARQUET_REPEATED))
                t->bad = 1;
            else if (id == 1)
                n->type = (int)v;
            else if (id == 3)
                n->repetition = (enum parquet_repetition)v;
            else if (id == 5)
                n->children = (size_t)v;
            else if (n->means == PARQUET_PLAIN)
                n->means = converted(v);
        } else {
            thrift_skip(t, type);
        }
    }
    if (t->bad)
        return 0; /* the caller looks */
    return (n->name = mem_printf(e, "%.*s", (int)length, name ? (const char *)name : "")) ? 0 : -1;
}

/* Sizes and levels of node i and those below; 0 when they do not fit into the list. */
static size_t place(struct parquet_meta *m, size_t i, unsigned def, unsigned rep, int depth)
{
    struct parquet_node *n = &m->node[i];
    size_t at = i + 1;

    if (depth > DEPTH_MAX || (n->type == PARQUET_NODE) != (n->children > 0))
        return 0;
    n->def = def + (i && n->repetition != PARQUET_REQUIRED);
    n->rep = rep + (i && n->repetition == PARQUET_REPEATED);
    for (size_t k = 0; k < n->children; k++) {
        const size_t size = at < m->nnodes ? place(m, at, n->def, n->rep, depth + 1) : 0;

        if (!size)
            return 0;
        at += size;
    }
    return n->size = at - i;
}

static int schema_read(struct parquet_meta *m, struct thrift *t, enum thrift_type type,
                       struct err *e)
{
    const size_t n = thrift_list(t, type, THRIFT_STRUCT);

    if (m->node || n > NODES_MAX)
        return damaged(m, m->node ? "two schemas" : "a schema beyond all measure", e);
    if (!(m->node = mem_array(n + 1, sizeof *m->node, e)))
        return -1;
    for (; m->nnodes < n && !t->bad; m->nnodes++)
        if (node_read(t, &m->node[m->nnodes], e) < 0)
            return -1;
    if (t->bad || !n)
        return damaged(m, "its schema", e);
    if (!m->node[0].children) { /* a table without columns */
        m->node[0].size = 1;
        return n == 1 ? 0 : damaged(m, "its schema", e);
    }
    return place(m, 0, 0, 0, 0) == n ? 0 : damaged(m, "its schema", e);
}

/* ---- what is wanted ---- */

static int leaf_check(const struct parquet_meta *m, const struct parquet_node *top,
                      const struct parquet_node *n, struct err *e)
{
    const int pictures = strcmp(top->name, "image") == 0 || strcmp(top->name, "images") == 0;

    if (n->type == PARQUET_INT96 || n->type == PARQUET_FIXED || n->means == PARQUET_DECIMAL)
        return err_set(e, ERR_USE,
                       "%s: column '%.80s' holds '%.80s' of type %s, which is not read: write it "
                       "as a text or a number",
                       m->name, top->name, n->name,
                       n->means == PARQUET_DECIMAL ? "DECIMAL"
                       : n->type == PARQUET_INT96  ? "INT96"
                                                   : "FIXED_LEN_BYTE_ARRAY");
    if (pictures && n->type == PARQUET_BYTES && n->means != PARQUET_TEXT)
        return err_set(e, ERR_USE,
                       "%s: column '%s' holds pictures themselves ('%.80s'): save them as files "
                       "and name these",
                       m->name, top->name, n->name);
    return 0;
}

static int want(struct parquet_meta *m, const char *const *names, struct err *e)
{
    const struct parquet_node *top = NULL;
    size_t end = 1;

    if (!(m->leaf = mem_array(m->nnodes + 1, sizeof *m->leaf, e)))
        return -1;
    for (size_t i = 1; i < m->nnodes; i++) {
        struct parquet_node *n = &m->node[i];

        if (i == end) { /* a column of the table */
            top = n;
            end += n->size;
            for (size_t k = 0; names[k]; k++)
                n->wanted |= strcmp(names[k], n->name) == 0;
        }
        n->wanted = top->wanted;
        n->column = m->ncolumns;
        if (!n->wanted || n->type == PARQUET_NODE)
            continue;
        if (leaf_check(m, top, n, e) < 0)
            return -1;
        m->leaf[m->ncolumns++] = n;
    }
    return 0;
}

/* ---- groups of rows ---- */

struct chunk_said { /* as the file says it */
    int64_t type, codec, bytes, data, dictionary;
    int elsewhere, there;
};

static void chunk_meta(struct thrift *t, enum thrift_type type, struct chunk_said *c)
{
    int id = 0;

    thrift_struct(t, type);
    c->there = 1;
    while ((type = thrift_field(t, &id)) != THRIFT_STOP) {
        int64_t *to = id == 1    ? &c->type
                      : id == 4  ? &c->codec
                      : id == 7  ? &c->bytes
                      : id == 9  ? &c->data
                      : id == 11 ? &c->dictionary
                                 : NULL;

        if (to)
            *to = thrift_int(t, type);
        else
            thrift_skip(t, type);
    }
}

static struct chunk_said chunk_read(struct thrift *t)
{
    struct chunk_said c = {.type = -1, .codec = -1, .bytes = -1, .data = -1};
    enum thrift_type type;
    int id = 0;

    while ((type = thrift_field(t, &id)) != THRIFT_STOP) {
        c.elsewhere |= id == 1 || id == 8 || id == 9;
        if (id == 3)
            chunk_meta(t, type, &c);
        else
            thrift_skip(t, type);
    }
    return c;
}

static int chunk_check(const struct parquet_meta *m, const struct parquet_node *n,
                       const struct chunk_said *c, uint64_t end, struct parquet_chunk *to,
                       struct err *e)
{
    /* without any page of data that offset is 0 */
    const int first = c->dictionary > 0 && (c->dictionary < c->data || c->data <= 0);
    const int64_t at = first ? c->dictionary : c->data;

    if (c->elsewhere || !c->there)
        return err_set(e, ERR_USE,
                       "%s: column '%.80s' is encrypted or in another file: not read here", m->name,
                       n->name);
    if (c->type != n->type || c->bytes < 0 ||
        (c->bytes && (at < 4 || (uint64_t)at > end || (uint64_t)c->bytes > end - (uint64_t)at)))
        return err_set(e, ERR_USE,
                       "%s: a damaged parquet file: column '%.80s' is not where it is said to be",
                       m->name, n->name);
    *to = (struct parquet_chunk){
        .at = (uint64_t)at, .bytes = (uint64_t)c->bytes, .codec = (int)c->codec};
    if (c->codec < 0 || c->codec > 1000 || !parquet_codec_known(to->codec))
        return err_set(e, ERR_USE,
                       "%s: column '%.80s' is packed with %s, which is not read: write it with "
                       "snappy, gzip, zstd or none",
                       m->name, n->name, parquet_codec_name(to->codec));
    return 0;
}

/* The chunks of all leaves, in their order. */
static int chunks_read(struct parquet_meta *m, struct thrift *t, enum thrift_type type,
                       uint64_t end, struct err *e)
{
    const size_t n = thrift_list(t, type, THRIFT_STRUCT);
    struct parquet_chunk *to;
    size_t read = 0;
    void *p = m->chunk;

    if (mem_grow(&p, &m->chunks_room, (m->ngroups + 1) * m->ncolumns + 1, sizeof *m->chunk, e) < 0)
        return -1;
    m->chunk = p;
    to = &m->chunk[m->ngroups * m->ncolumns];
    for (size_t i = 1; i < m->nnodes; i++) {
        const struct parquet_node *x = &m->node[i];
        struct chunk_said c;

        if (x->type == PARQUET_NODE)
            continue;
        if (read++ == n)
            return damaged(m, "a group of rows without some columns", e);
        c = chunk_read(t);
        if (!t->bad && x->wanted && chunk_check(m, x, &c, end, to++, e) < 0)
            return -1;
    }
    return read == n ? 0 : damaged(m, "a group of rows with more columns than the schema", e);
}

static int group_read(struct parquet_meta *m, struct thrift *t, uint64_t end, struct err *e)
{
    enum thrift_type type;
    int64_t rows = -1;
    int id = 0, seen = 0;
    void *p = m->rows;

    while ((type = thrift_field(t, &id)) != THRIFT_STOP) {
        if (id == 1 && !seen++) {
            if (chunks_read(m, t, type, end, e) < 0)
                return -1;
        } else if (id == 3) {
            rows = thrift_int(t, type);
        } else {
            thrift_skip(t, type);
        }
    }
    if (t->bad || rows < 0 || !seen)
        return damaged(m, "a group of rows", e);
    if (mem_grow(&p, &m->groups_room, m->ngroups + 1, sizeof *m->rows, e) < 0)
        return -1;
    m->rows = p;
    m->rows[m->ngroups++] = (uint64_t)rows;
    return 0;
}

static int groups_read(struct parquet_meta *m, struct thrift *t, enum thrift_type type,
                       uint64_t end, struct err *e)
{
    const size_t n = thrift_list(t, type, THRIFT_STRUCT);

    for (size_t i = 0; i < n; i++)
        if (group_read(m, t, end, e) < 0)
            return -1;
    return 0;
}

/* ---- the whole ---- */

static int footer_read(struct parquet_meta *m, struct thrift *t, uint64_t end,
                       const char *const *names, struct err *e)
{
    enum thrift_type type;
    int id = 0, groups = 0;

    while ((type = thrift_field(t, &id)) != THRIFT_STOP) {
        int rc = 0;

        if (id == 2)
            rc = schema_read(m, t, type, e) < 0 ? -1 : want(m, names, e);
        else if (id == 4 && m->node && !groups++)
            rc = groups_read(m, t, type, end, e);
        else if (id == 4)
            return damaged(m, "groups of rows in front of the schema", e);
        else
            thrift_skip(t, type);
        if (rc < 0)
            return -1;
    }
    return t->bad || !m->node ? damaged(m, "its end is not readable", e) : 0;
}

int parquet_meta_read(struct parquet_meta *m, int fd, uint64_t bytes, const char *name,
                      const char *const *names, struct err *e)
{
    uint8_t tail[TAIL], *footer;
    struct thrift t;
    uint32_t n;
    int rc;

    *m = (struct parquet_meta){.name = name};
    if (bytes < 4 + TAIL)
        return damaged(m, "it is too short", e);
    if (fs_pread_all(fd, tail, TAIL, bytes - TAIL, name, e) < 0)
        return -1;
    if (memcmp(tail + 4, "PARE", 4) == 0)
        return err_set(e, ERR_USE, "%s: an encrypted parquet file: not read here", name);
    if (memcmp(tail + 4, "PAR1", 4) != 0)
        return damaged(m, "it does not end as one (cut short? download it again)", e);
    n = tail[0] | (uint32_t)tail[1] << 8 | (uint32_t)tail[2] << 16 | (uint32_t)tail[3] << 24;
    if (n > bytes - 4 - TAIL || n > FOOTER_MAX)
        return damaged(m, "its end is longer than it can be", e);
    if (!(footer = mem_raw(n + 1, 1, e)))
        return -1;
    rc = fs_pread_all(fd, footer, n, bytes - TAIL - n, name, e);
    t = (struct thrift){.p = footer, .end = footer + n};
    if (rc == 0)
        rc = footer_read(m, &t, bytes - TAIL - n, names, e);
    free(footer);
    return rc;
}

void parquet_meta_release(struct parquet_meta *m)
{
    for (size_t i = 0; i < m->nnodes; i++)
        free(m->node[i].name);
    free(m->node);
    free(m->leaf);
    free(m->rows);
    free(m->chunk);
    *m = (struct parquet_meta){.name = NULL};
}
