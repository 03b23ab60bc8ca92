/* SPDX-License-Identifier: Apache-2.0 */
/* mpk - msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md) to and from trees. The
 * bytes are walked once before the library sees them: it would allocate whatever a lying count
 * asks for, and accepts more types than a message may have. */
#include "mpk.h"

#include <inttypes.h>
#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32
#define VALUES_MAX ((size_t)1 << 20)

struct walk {
    const unsigned char *p;
    size_t left, values;
    const char *what;
};

static int refuse(const struct walk *w, const char *why, struct err *e)
{
    return err_set(e, ERR_USE, "%s: bad msgpack: %s", w->what, why);
}

static int skip_bytes(struct walk *w, size_t n, struct err *e)
{
    if (n > w->left)
        return refuse(w, "it ends in the middle of a value", e);
    w->p += n;
    w->left -= n;
    return 0;
}

/* A big-endian number of n bytes. */
static int take_number(struct walk *w, size_t n, size_t *out, struct err *e)
{
    const unsigned char *at = w->p;

    if (skip_bytes(w, n, e) < 0)
        return -1;
    for (*out = 0; n; n--)
        *out = *out << 8 | *at++;
    return 0;
}

static int walk_value(struct walk *w, int depth, struct err *e);

static int walk_items(struct walk *w, size_t count, int depth, struct err *e)
{
    if (count > w->left) /* every value takes at least a byte */
        return refuse(w, "a count says more values than there are bytes", e);
    while (count--)
        if (walk_value(w, depth + 1, e) < 0)
            return -1;
    return 0;
}

static int walk_long(struct walk *w, unsigned char tag, int depth, struct err *e)
{
    /* 0xca float32 ... 0xd3 int64 */
    static const unsigned char fixed[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
    size_t n;

    if (tag >= 0xca && tag <= 0xd3)
        return skip_bytes(w, fixed[tag - 0xca], e);
    if (tag >= 0xd9 && tag <= 0xdb)
        return take_number(w, (size_t)1 << (tag - 0xd9), &n, e) < 0 ? -1 : skip_bytes(w, n, e);
    if (tag == 0xdc || tag == 0xdd)
        return take_number(w, tag == 0xdc ? 2 : 4, &n, e) < 0 ? -1 : walk_items(w, n, depth, e);
    if (tag == 0xde || tag == 0xdf)
        return take_number(w, tag == 0xde ? 2 : 4, &n, e) < 0 ? -1 : walk_items(w, 2 * n, depth, e);
    if (tag == 0xc0 || tag == 0xc2 || tag == 0xc3)
        return 0;
    return refuse(w, "bin, ext and reserved types have no place in a message", e);
}

static int walk_value(struct walk *w, int depth, struct err *e)
{
    size_t tag;

    if (depth > DEPTH_MAX)
        return refuse(w, "it is nested more than 32 deep", e);
    if (++w->values > VALUES_MAX)
        return refuse(w, "it has more than 1048576 values", e);
    if (take_number(w, 1, &tag, e) < 0)
        return -1;
    if (tag < 0x80 || tag >= 0xe0)
        return 0;
    if (tag < 0x90)
        return walk_items(w, 2 * (tag & 15), depth, e);
    if (tag < 0xa0)
        return walk_items(w, tag & 15, depth, e);
    if (tag < 0xc0)
        return skip_bytes(w, tag & 31, e);
    return walk_long(w, (unsigned char)tag, depth, e);
}

static struct json *from_object(const msgpack_object *o, const char *what, struct err *e);

static struct json *no_memory(struct err *e)
{
    err_set(e, ERR_SYS, "out of memory: cannot build a message's metadata");
    return NULL;
}

static struct json *from_text(const char *s, size_t n, const char *what, struct err *e)
{
    struct json *j = json_new_text_n(s, n);

    if (!j)
        err_set(e, ERR_USE, "%s: bad msgpack: a text is not UTF-8", what);
    return j;
}

static struct json *from_array(const msgpack_object_array *a, const char *what, struct err *e)
{
    struct json *out = json_new_array();

    if (!out)
        return no_memory(e);
    for (uint32_t i = 0; i < a->size; i++) {
        struct json *child = from_object(&a->ptr[i], what, e);

        if (!child)
            goto fail;
        if (json_push(out, child) < 0) {
            no_memory(e);
            goto fail;
        }
    }
    return out;
fail:
    json_destroy(&out);
    return NULL;
}

static int add_member(struct json *out, const msgpack_object_kv *kv, const char *what,
                      struct err *e)
{
    const msgpack_object_str *k = &kv->key.via.str;
    struct json *child;
    char *key;
    int rc = -1;

    if (kv->key.type != MSGPACK_OBJECT_STR || (k->size && memchr(k->ptr, 0, k->size)))
        return err_set(e, ERR_USE, "%s: bad msgpack: the key of a map is not a plain text", what);
    key = strndup(k->size ? k->ptr : "", k->size);
    if (!key) {
        no_memory(e);
        return -1;
    }
    if (json_get(out, key))
        err_set(e, ERR_USE, "%s: bad msgpack: key '%.60s' is there twice", what, key);
    else if ((child = from_object(&kv->val, what, e)))
        rc = json_set(out, key, child) == 0
                 ? 0
                 : err_set(e, ERR_USE, "%s: bad msgpack: the key of a map is not UTF-8", what);
    free(key);
    return rc;
}

static struct json *from_map(const msgpack_object_map *m, const char *what, struct err *e)
{
    struct json *out = json_new_object();

    if (!out)
        return no_memory(e);
    for (uint32_t i = 0; i < m->size; i++)
        if (add_member(out, &m->ptr[i], what, e) < 0) {
            json_destroy(&out);
            return NULL;
        }
    return out;
}

static struct json *from_object(const msgpack_object *o, const char *what, struct err *e)
{
    struct json *j = NULL;

    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        return json_new_null();
    case MSGPACK_OBJECT_BOOLEAN:
        return json_new_bool(o->via.boolean);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (o->via.u64 > INT64_MAX) {
            err_set(e, ERR_USE, "%s: bad msgpack: %" PRIu64 " is too large, integers end at 2^63-1",
                    what, o->via.u64);
            return NULL;
        }
        j = json_new_int((int64_t)o->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        j = json_new_int(o->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        if (!isfinite(o->via.f64)) {
            err_set(e, ERR_USE, "%s: bad msgpack: a number is not finite (nil says that)", what);
            return NULL;
        }
        j = json_new_real(o->via.f64);
        break;
    case MSGPACK_OBJECT_STR:
        return from_text(o->via.str.size ? o->via.str.ptr : "", o->via.str.size, what, e);
    case MSGPACK_OBJECT_ARRAY:
        return from_array(&o->via.array, what, e);
    case MSGPACK_OBJECT_MAP:
        return from_map(&o->via.map, what, e);
    default:
        err_set(e, ERR_USE, "%s: bad msgpack: a type that has no place in a message", what);
        return NULL;
    }
    return j ? j : no_memory(e);
}

struct json *mpk_decode(const void *data, size_t length, const char *what, struct err *e)
{
    struct walk w = {.p = data, .left = length, .what = what};
    msgpack_unpacked box;
    struct json *j = NULL;
    size_t used = 0;

    if (walk_value(&w, 0, e) < 0)
        return NULL;
    if (w.left) {
        refuse(&w, "there are bytes behind its end", e);
        return NULL;
    }
    msgpack_unpacked_init(&box);
    if (msgpack_unpack_next(&box, data, length, &used) == MSGPACK_UNPACK_SUCCESS && used == length)
        j = from_object(&box.data, what, e);
    else
        refuse(&w, "the library cannot read it", e);
    msgpack_unpacked_destroy(&box);
    return j;
}

static int put(msgpack_packer *pk, const struct json *j, int depth);

static int put_text(msgpack_packer *pk, const char *s, size_t n)
{
    return msgpack_pack_str(pk, n) == 0 && msgpack_pack_str_body(pk, s, n) == 0 ? 0 : -1;
}

static int put_children(msgpack_packer *pk, const struct json *j, int depth)
{
    size_t n = json_count(j);

    if (json_kind(j) == JSON_KIND_ARRAY) {
        if (msgpack_pack_array(pk, n) != 0)
            return -1;
        for (size_t i = 0; i < n; i++)
            if (put(pk, json_at(j, i), depth + 1) < 0)
                return -1;
        return 0;
    }
    if (msgpack_pack_map(pk, n) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const char *key = "";
        const struct json *child = json_member(j, i, &key);

        if (put_text(pk, key, strlen(key)) < 0 || put(pk, child, depth + 1) < 0)
            return -1;
    }
    return 0;
}

static int put(msgpack_packer *pk, const struct json *j, int depth)
{
    int64_t i = 0;
    double r = 0;
    int b = 0;

    if (depth > DEPTH_MAX)
        return -1;
    switch (json_kind(j)) {
    case JSON_KIND_NULL:
        return msgpack_pack_nil(pk) == 0 ? 0 : -1;
    case JSON_KIND_BOOL:
        json_as_bool(j, &b);
        return (b ? msgpack_pack_true(pk) : msgpack_pack_false(pk)) == 0 ? 0 : -1;
    case JSON_KIND_INT:
        json_as_int(j, &i);
        return msgpack_pack_int64(pk, i) == 0 ? 0 : -1;
    case JSON_KIND_REAL:
        json_as_real(j, &r);
        return msgpack_pack_double(pk, r) == 0 ? 0 : -1;
    case JSON_KIND_TEXT:
        return put_text(pk, json_as_text(j), json_text_length(j));
    case JSON_KIND_ARRAY:
    case JSON_KIND_OBJECT:
        return put_children(pk, j, depth);
    }
    return -1;
}

int mpk_encode(const struct json *j, void **data, size_t *length, struct err *e)
{
    msgpack_sbuffer room;
    msgpack_packer pk;

    msgpack_sbuffer_init(&room);
    msgpack_packer_init(&pk, &room, msgpack_sbuffer_write);
    if (put(&pk, j, 0) < 0) {
        msgpack_sbuffer_destroy(&room);
        return err_set(e, ERR_SYS,
                       "cannot encode metadata: out of memory, or nested more than %d deep",
                       DEPTH_MAX);
    }
    *length = room.size;
    *data = msgpack_sbuffer_release(&room);
    return 0;
}
