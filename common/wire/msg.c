/* SPDX-License-Identifier: Apache-2.0 */
/* msg - messages in memory. The tensor array doubles when its count reaches a power of two, so
 * no capacity is kept. */
#include "msg.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/hash.h"
#include "../base/mem.h"
#include "share.h"

static const char *const names[MSG_KIND_COUNT] = {
    "chunk",  "acts", "partial", "weights", "problem", "solution", "commit", "hello", "welcome",
    "credit", "ping", "ack",     "end",     "fail",    "leave",    "join",   "work",  "file"};

const char *msg_kind_name(enum msg_kind k)
{
    return (unsigned)k < MSG_KIND_COUNT ? names[k] : "?";
}

int msg_kind_parse(const char *name, enum msg_kind *k)
{
    for (int i = 0; name && i < MSG_KIND_COUNT; i++)
        if (!strcmp(names[i], name)) {
            *k = (enum msg_kind)i;
            return 0;
        }
    return -1;
}

int msg_kind_is_data(enum msg_kind k)
{
    return (unsigned)k <= MSG_COMMIT;
}

struct msg *msg_create(enum msg_kind k, const char *stage, struct err *e)
{
    struct msg *m;

    if ((unsigned)k >= MSG_KIND_COUNT) {
        err_set(e, ERR_USE, "unknown kind of message: %d", (int)k);
        return NULL;
    }
    m = mem_array(1, sizeof *m, e);
    if (!m)
        return NULL;
    m->kind = k;
    snprintf(m->stage, sizeof m->stage, "%s", stage ? stage : "");
    m->meta = json_new_object();
    if (!m->meta) {
        err_set(e, ERR_SYS, "out of memory: cannot create a message");
        msg_destroy(&m);
    }
    return m;
}

void msg_destroy(struct msg **m)
{
    if (!m || !*m)
        return;
    for (size_t i = 0; i < (*m)->ntensors; i++)
        tensor_release(&(*m)->tensors[i]);
    free((*m)->tensors);
    json_destroy(&(*m)->meta);
    free(*m);
    *m = NULL;
}

int msg_set_id(struct msg *m, struct err *e, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(m->id, sizeof m->id, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof m->id)
        return err_set(e, ERR_USE, "the name of a message, '%.40s...', has more than %d characters",
                       m->id, MSG_ID - 1);
    return 0;
}

int msg_set_site_id(struct msg *m, uint64_t block, const char *site, const char *suffix,
                    struct err *e)
{
    return msg_set_id(m, e, "b%" PRIu64 ".%s%s", block, site, suffix);
}

/* Room for one more tensor. */
static int make_room(struct msg *m, struct err *e)
{
    size_t n = m->ntensors, bytes;
    void *grown;

    if (n & (n - 1))
        return 0;
    if (mem_mul(n ? 2 * n : 1, sizeof *m->tensors, &bytes) < 0 ||
        !(grown = realloc(m->tensors, bytes)))
        return err_set(e, ERR_SYS, "out of memory: cannot add a tensor to message '%s'", m->id);
    m->tensors = grown;
    return 0;
}

int msg_add(struct msg *m, struct tensor *t, struct err *e)
{
    if (!t->name[0])
        return err_set(e, ERR_USE, "message '%s': a tensor has no name", m->id);
    if (msg_tensor(m, t->name))
        return err_set(e, ERR_USE, "message '%s': tensor '%s' is there twice", m->id, t->name);
    if (make_room(m, e) < 0)
        return -1;
    m->tensors[m->ntensors++] = *t;
    memset(t, 0, sizeof *t);
    return 0;
}

void *msg_add_new(struct msg *m, const char *name, enum dtype dtype, int ndim,
                  const uint64_t *shape, struct err *e)
{
    struct tensor t;

    if (share_tensor(&t, name, dtype, ndim, shape, e) < 0)
        return NULL;
    if (msg_add(m, &t, e) < 0) {
        tensor_release(&t);
        return NULL;
    }
    return m->tensors[m->ntensors - 1].data;
}

int msg_add_over(struct msg *m, const char *name, enum dtype dtype, int ndim, const uint64_t *shape,
                 void *data, struct err *e)
{
    struct tensor t;

    return tensor_borrow(&t, name, dtype, ndim, shape, data, e) < 0 ? -1 : msg_add(m, &t, e);
}

void msg_drop(struct msg *m, const char *name)
{
    for (size_t i = 0; i < m->ntensors; i++)
        if (!strcmp(m->tensors[i].name, name)) {
            tensor_release(&m->tensors[i]);
            m->ntensors--;
            memmove(&m->tensors[i], &m->tensors[i + 1], (m->ntensors - i) * sizeof *m->tensors);
            return;
        }
}

const struct tensor *msg_tensor(const struct msg *m, const char *name)
{
    for (size_t i = 0; i < m->ntensors; i++)
        if (!strcmp(m->tensors[i].name, name))
            return &m->tensors[i];
    return NULL;
}

const struct tensor *msg_need(const struct msg *m, const char *name, enum dtype dtype, int ndim,
                              struct err *e)
{
    const struct tensor *t = msg_tensor(m, name);

    if (!t)
        err_set(e, ERR_USE, "%s '%s': tensor '%s' is missing", msg_kind_name(m->kind), m->id, name);
    else if (dtype == DT_COUNT ? !dtype_is_float(t->dtype) : t->dtype != dtype)
        err_set(e, ERR_USE, "%s '%s': tensor '%s' is of type %s, must be %s",
                msg_kind_name(m->kind), m->id, name, dtype_name(t->dtype),
                dtype == DT_COUNT ? "a float type" : dtype_name(dtype));
    else if (t->ndim != ndim)
        err_set(e, ERR_USE, "%s '%s': tensor '%s' has %d dimensions, must have %d",
                msg_kind_name(m->kind), m->id, name, t->ndim, ndim);
    else
        return t;
    return NULL;
}

size_t msg_bytes(const struct msg *m)
{
    size_t bytes = 1024; /* what the header takes, roughly */

    for (size_t i = 0; i < m->ntensors; i++)
        bytes += m->tensors[i].bytes + 128;
    return bytes;
}

uint64_t msg_checksum(const struct msg *m)
{
    struct hash h;

    hash_start(&h);
    hash_add(&h, msg_kind_name(m->kind), strlen(msg_kind_name(m->kind)) + 1);
    hash_add(&h, m->id, strlen(m->id) + 1);
    for (size_t i = 0; i < m->ntensors; i++) {
        uint32_t crc = tensor_crc(&m->tensors[i]);

        hash_add(&h, &crc, sizeof crc);
    }
    return hash_end(&h);
}

struct msg *msg_borrow(const struct msg *m, struct err *e)
{
    struct msg *b = msg_create(m->kind, m->stage, e);

    if (!b)
        return NULL;
    memcpy(b->id, m->id, sizeof b->id);
    memcpy(b->run, m->run, sizeof b->run);
    json_destroy(&b->meta);
    b->meta = json_clone(m->meta);
    if (!b->meta) {
        err_set(e, ERR_SYS, "%s '%s': out of memory for its metadata", msg_kind_name(m->kind),
                m->id);
        goto fail;
    }
    for (size_t i = 0; i < m->ntensors; i++) {
        const struct tensor *x = &m->tensors[i];
        if (msg_add_over(b, x->name, x->dtype, x->ndim, x->shape, x->data, e) < 0)
            goto fail;
    }
    return b;
fail:
    msg_destroy(&b);
    return NULL;
}

static int add_copy(struct msg *m, const struct tensor *t, struct err *e)
{
    void *to = msg_add_new(m, t->name, t->dtype, t->ndim, t->shape, e);

    if (to && t->bytes)
        memcpy(to, t->data, t->bytes);
    return to ? 0 : -1;
}

struct msg *msg_copy(const struct msg *m, struct err *e)
{
    struct msg *c = msg_create(m->kind, m->stage, e);

    if (!c)
        return NULL;
    memcpy(c->id, m->id, sizeof c->id);
    memcpy(c->run, m->run, sizeof c->run);
    if (msg_hand_on(c, m, (const char *const[]){NULL}, 1, e) < 0)
        msg_destroy(&c);
    return c;
}

static int is_known(const char *const *known, const char *name)
{
    while (*known && strcmp(*known, name) != 0)
        known++;
    return *known != NULL;
}

int msg_hand_on(struct msg *to, const struct msg *from, const char *const *known, int tensors,
                struct err *e)
{
    for (size_t i = 0; i < json_count(from->meta); i++) {
        const char *key;
        const struct json *x = json_member(from->meta, i, &key);

        if (!is_known(known, key) && !json_get(to->meta, key) &&
            json_set(to->meta, key, json_clone(x)) < 0)
            return err_set(e, ERR_SYS, "%s '%s': out of memory for its metadata",
                           msg_kind_name(to->kind), to->id);
    }
    for (size_t i = 0; tensors && i < from->ntensors; i++)
        if (!is_known(known, from->tensors[i].name) && add_copy(to, &from->tensors[i], e) < 0)
            return -1;
    return 0;
}
