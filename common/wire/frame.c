/* SPDX-License-Identifier: Apache-2.0 */
/* frame - parts of messages: encoding, and decoding of bytes nobody vouches for. Streams of
 * framed messages: frame_io.c. Every byte is covered: part 0 by the CRC at its start, the others
 * by the CRCs in part 0, the lengths of the prefix by the lengths in part 0. */
#include "frame.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../base/fault.h"
#include "../base/hash.h"
#include "../base/mem.h"
#include "frame_head.h"
#include "mpk.h"
#include "share.h"

#define SMALL 256 /* tensors below this are not worth compressing */
#define DIMS 4    /* of a tensor on its way; in files there may be more */
#define CODEC_MEMORY "memory"

void part_release(struct part *p)
{
    if (!p)
        return;
    if (p->release)
        p->release(p->owner);
    memset(p, 0, sizeof *p);
}

void frame_parts_free(struct part **parts, size_t *count)
{
    if (!parts || !*parts)
        return;
    for (size_t i = 0; i < *count; i++)
        part_release(&(*parts)[i]);
    free(*parts);
    *parts = NULL;
    *count = 0;
}

/* Byte number at of the parts: in which of them, *at there. */
static struct part *part_at(struct part *p, uint64_t *at)
{
    for (; *at >= p->bytes; p++)
        *at -= p->bytes;
    return p;
}

int frame_damage(struct part *parts, size_t count, unsigned fault, uint64_t where, struct err *e)
{
    uint64_t bytes = 0, at;
    unsigned char *copy;
    struct part *p;

    for (size_t i = 0; i < count; i++)
        bytes += parts[i].bytes;
    at = (where >> 3) % bytes;
    p = part_at(parts, &at);
    if (fault & FAULT_CUT)
        for (p = &parts[count - 1]; !p->bytes; p--)
            ;
    if (!(copy = mem_raw(p->bytes, 1, e)))
        return -1;
    memcpy(copy, p->data, p->bytes);
    if (fault & FAULT_FLIP && at < p->bytes)
        copy[at] = (unsigned char)(copy[at] ^ 1u << (where & 7));
    bytes = fault & FAULT_CUT ? where % p->bytes : p->bytes;
    part_release(p);
    *p = (struct part){copy, bytes, free, copy};
    return 0;
}

/* 1: the part is the handle of the memory that the tensor lies in; 0: it lies in none. */
static int pack_handle(const struct tensor *t, struct part *out, struct err *e)
{
    unsigned char handle[SHARE_HANDLE], *own;

    if (!share_find(t->data, t->bytes, handle))
        return 0;
    if (!(own = mem_raw(sizeof handle, 1, e)))
        return -1;
    memcpy(own, handle, sizeof handle);
    *out = (struct part){own, sizeof handle, free, own};
    return 1;
}

/* Fills the part of a tensor: borrowed when raw, packed when that is smaller. */
static int pack_tensor(const struct tensor *t, enum frame_compress c, struct part *out,
                       const char **codec, struct err *e)
{
    void *packed;
    size_t bytes;
    int r;

    *codec = zbuf_name(ZC_RAW);
    *out = (struct part){.data = t->data, .bytes = t->bytes};
    if (c == FRAME_MEMORY) {
        if ((r = pack_handle(t, out, e)) > 0)
            *codec = CODEC_MEMORY;
        return r < 0 ? -1 : 0;
    }
    if (c == FRAME_RAW || t->bytes < SMALL)
        return 0;
    if (zbuf_pack(zbuf_best(t->dtype), t->data, t->bytes, &packed, &bytes, e) < 0)
        return err_prefix(e, "tensor '%s'", t->name);
    if (bytes >= t->bytes) {
        free(packed);
        return 0;
    }
    *codec = zbuf_name(zbuf_best(t->dtype));
    *out = (struct part){packed, bytes, free, packed};
    return 0;
}

/* A part that borrows or stands for the tensor has the CRC of its elements. */
static struct json *describe(struct tensor *t, const struct part *p, const char *codec)
{
    struct json *d = json_new_object(), *shape = json_new_array();
    const int packed = p->release && strcmp(codec, CODEC_MEMORY) != 0;
    uint32_t crc = packed ? hash_crc32c(0, p->data, p->bytes) : tensor_crc(t);
    int bad = !d || !shape;

    for (int i = 0; i < t->ndim && !bad; i++)
        bad = json_push(shape, json_new_int((int64_t)t->shape[i]));
    bad =
        bad || json_set_text(d, "name", t->name) || json_set_text(d, "dtype", dtype_name(t->dtype));
    if (bad) {
        json_destroy(&shape);
        json_destroy(&d);
        return NULL;
    }
    bad = json_set(d, "shape", shape) || json_set_text(d, "codec", codec) ||
          json_set_int(d, "raw", (int64_t)t->bytes) ||
          json_set_int(d, "packed", (int64_t)p->bytes) || json_set_int(d, "crc", crc);
    if (bad)
        json_destroy(&d);
    return d;
}

/* CRC and msgpack map; takes over tensors. */
static int encode_header(const struct msg *m, struct json **tensors, struct part *out,
                         struct err *e)
{
    struct json *head = json_new_object();
    void *map = NULL;
    unsigned char *data;
    size_t bytes;
    uint32_t crc;
    int bad, rc = -1;

    bad = !head || m->seq > INT64_MAX || json_set_int(head, "v", MSG_VERSION) ||
          json_set_text(head, "kind", msg_kind_name(m->kind)) || json_set_text(head, "id", m->id) ||
          json_set_text(head, "stage", m->stage) || json_set_text(head, "run", m->run) ||
          json_set_int(head, "seq", (int64_t)m->seq) || json_set(head, "meta", json_clone(m->meta));
    if (!bad) {
        bad = json_set(head, "tensors", *tensors);
        *tensors = NULL;
    }
    if (bad) {
        err_set(
            e, ERR_SYS,
            "message '%s': cannot build its header (out of memory, or a text that is not UTF-8)",
            m->id);
        goto out;
    }
    if (mpk_encode(head, &map, &bytes, e) < 0)
        goto out;
    data = mem_raw(bytes + sizeof crc, 1, e);
    if (!data)
        goto out;
    crc = hash_crc32c(0, map, bytes);
    memcpy(data, &crc, sizeof crc);
    memcpy(data + sizeof crc, map, bytes);
    *out = (struct part){data, bytes + sizeof crc, free, data};
    rc = 0;
out:
    free(map);
    json_destroy(&head);
    return rc;
}

int frame_encode(const struct msg *m, enum frame_compress c, struct part **parts, size_t *count,
                 struct err *e)
{
    size_t n = m->ntensors + 1;
    struct part *p = mem_array(n, sizeof *p, e);
    struct json *tensors = json_new_array();

    if (!p)
        goto fail;
    for (size_t i = 0; i < m->ntensors; i++) {
        const char *codec;

        if (pack_tensor(&m->tensors[i], c, &p[i + 1], &codec, e) < 0)
            goto fail;
        if (!tensors || json_push(tensors, describe(&m->tensors[i], &p[i + 1], codec)) < 0) {
            err_set(e, ERR_SYS, "message '%s': cannot describe tensor '%s'", m->id,
                    m->tensors[i].name);
            goto fail;
        }
    }
    if (!tensors || encode_header(m, &tensors, &p[0], e) < 0)
        goto fail;
    *parts = p;
    *count = n;
    return 0;
fail:
    json_destroy(&tensors);
    frame_parts_free(&p, &n);
    return -1;
}

void frame_limits_fill(struct frame_limits *out, const struct frame_limits *lim)
{
    const struct frame_limits def = FRAME_LIMITS_DEFAULT;

    *out = lim ? *lim : def;
    if (!out->parts)
        out->parts = def.parts;
    if (!out->header_bytes)
        out->header_bytes = def.header_bytes;
    if (!out->tensor_bytes)
        out->tensor_bytes = def.tensor_bytes;
    if (!out->message_bytes)
        out->message_bytes = def.message_bytes;
}

static int copy_text(const struct json *head, const char *key, char *out, size_t room,
                     struct err *e)
{
    const struct json *j = json_get(head, key);
    const char *text = json_need_text(head, key, "message header", e);
    size_t n = json_text_length(j);

    if (!text)
        return -1;
    if (n >= room)
        return err_set(e, ERR_USE, "message header: field '%s' has more than %zu bytes", key,
                       room - 1);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            return err_set(e, ERR_USE, "message header: field '%s' has control characters", key);
    memcpy(out, text, n + 1);
    return 0;
}

/* Name, type and shape of a tensor; t->bytes is what they come to. */
static int read_shape(const struct json *d, struct tensor *t, struct err *e)
{
    const struct json *shape = json_get(d, "shape");
    const char *dtype;
    int64_t x;

    if (copy_text(d, "name", t->name, sizeof t->name, e) < 0)
        return -1;
    if (!t->name[0])
        return err_set(e, ERR_USE, "a tensor has no name");
    if (!(dtype = json_need_text(d, "dtype", t->name, e)))
        return -1;
    if (dtype_parse(dtype, &t->dtype) < 0)
        return err_set(e, ERR_USE, "tensor '%s': field 'dtype' is the unknown '%.20s'", t->name,
                       dtype);
    if (json_kind(shape) != JSON_KIND_ARRAY || json_count(shape) > DIMS)
        return err_set(e, ERR_USE, "tensor '%s': field 'shape' must be an array of at most %d",
                       t->name, DIMS);
    t->ndim = (int)json_count(shape);
    for (int i = 0; i < t->ndim; i++) {
        if (json_as_int(json_at(shape, (size_t)i), &x) < 0 || x < 0)
            return err_set(e, ERR_USE,
                           "tensor '%s': field 'shape' holds something that is not a size",
                           t->name);
        t->shape[i] = (uint64_t)x;
    }
    return tensor_measure(t->dtype, t->ndim, t->shape, t->name, NULL, &t->bytes, e);
}

static int read_entry(const struct json *d, const struct frame_limits *lim, struct frame_entry *x,
                      struct err *e)
{
    struct tensor *t = &x->tensor;
    const char *codec;
    int64_t raw, packed, crc;

    if (read_shape(d, t, e) < 0)
        return -1;
    if (json_need_int(d, "raw", 0, INT64_MAX, &raw, t->name, e) < 0 ||
        json_need_int(d, "packed", 0, INT64_MAX, &packed, t->name, e) < 0 ||
        json_need_int(d, "crc", 0, UINT32_MAX, &crc, t->name, e) < 0 ||
        !(codec = json_need_text(d, "codec", t->name, e)))
        return -1;
    x->shared = lim->memory_of && strcmp(codec, CODEC_MEMORY) == 0;
    if (!x->shared && zbuf_parse(codec, &x->codec) < 0)
        return err_set(e, ERR_USE, "tensor '%s': field 'codec' is the unknown '%.20s'", t->name,
                       codec);
    if ((uint64_t)raw != t->bytes)
        return err_set(e, ERR_USE,
                       "tensor '%s': field 'raw' is %" PRId64 ", its shape and type make %zu",
                       t->name, raw, t->bytes);
    if (t->bytes > lim->tensor_bytes)
        return err_set(e, ERR_USE, "tensor '%s' has %zu bytes, the limit is %zu", t->name, t->bytes,
                       lim->tensor_bytes);
    if (x->shared            ? packed != SHARE_HANDLE
        : x->codec == ZC_RAW ? packed != raw
                             : (uint64_t)packed > t->bytes + t->bytes / 128 + 1024)
        return err_set(e, ERR_USE,
                       "tensor '%s': field 'packed' is %" PRId64 ", does not fit %" PRId64
                       " raw bytes",
                       t->name, packed, raw);
    x->packed = (size_t)packed;
    x->crc = (uint32_t)crc;
    return 0;
}

static int read_entries(const struct json *list, const struct frame_limits *lim,
                        struct frame_head *h, struct err *e)
{
    size_t total = 0;

    if (json_kind(list) != JSON_KIND_ARRAY)
        return err_set(e, ERR_USE, "message header: field 'tensors' must be an array");
    h->count = json_count(list);
    if (h->count >= lim->parts)
        return err_set(e, ERR_USE, "message header: %zu tensors, the limit is %zu", h->count,
                       lim->parts - 1);
    h->entries = mem_array(h->count, sizeof *h->entries, e);
    if (!h->entries)
        return -1;
    for (size_t i = 0; i < h->count; i++) {
        struct frame_entry *x = &h->entries[i];

        if (read_entry(json_at(list, i), lim, x, e) < 0)
            return -1;
        if (x->tensor.bytes > lim->message_bytes - total)
            return err_set(e, ERR_USE,
                           "the tensors have more than the %zu bytes a message may have",
                           lim->message_bytes);
        total += x->tensor.bytes;
    }
    return 0;
}

static int read_head(const struct json *head, const struct frame_limits *lim, struct frame_head *h,
                     struct err *e)
{
    const struct json *meta = json_get(head, "meta");
    const char *kind;
    int64_t v, seq;
    enum msg_kind k;

    if (json_need_int(head, "v", 0, INT32_MAX, &v, "message header", e) < 0)
        return -1;
    if (v != MSG_VERSION)
        return err_set(e, ERR_USE, "message version %" PRId64 ", this program speaks version %d", v,
                       MSG_VERSION);
    if (!(kind = json_need_text(head, "kind", "message header", e)))
        return -1;
    if (msg_kind_parse(kind, &k) < 0)
        return err_set(e, ERR_USE, "message header: field 'kind' is the unknown '%.20s'", kind);
    if (!(h->m = msg_create(k, "", e)))
        return -1;
    if (copy_text(head, "id", h->m->id, sizeof h->m->id, e) < 0 ||
        copy_text(head, "stage", h->m->stage, sizeof h->m->stage, e) < 0 ||
        copy_text(head, "run", h->m->run, sizeof h->m->run, e) < 0 ||
        json_need_int(head, "seq", 0, INT64_MAX, &seq, "message header", e) < 0)
        return -1;
    h->m->seq = (uint64_t)seq;
    if (json_kind(meta) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USE, "message header: field 'meta' must be a map");
    json_destroy(&h->m->meta);
    h->m->meta = json_clone(meta);
    if (!h->m->meta)
        return err_set(e, ERR_SYS, "out of memory: cannot copy metadata");
    if (read_entries(json_get(head, "tensors"), lim, h, e) < 0)
        return err_prefix(e, "%s '%s'", msg_kind_name(k), h->m->id);
    return 0;
}

int frame_head_read(const void *data, size_t bytes, const struct frame_limits *lim,
                    struct frame_head *h, struct err *e)
{
    const unsigned char *p = data;
    struct json *head;
    uint32_t crc;
    int rc;

    memset(h, 0, sizeof *h);
    h->memory_of = lim->memory_of;
    h->reads = lim->reads;
    if (bytes <= sizeof crc || bytes > lim->header_bytes)
        return err_set(e, ERR_USE, "a message header has %zu bytes, must have 5 to %zu", bytes,
                       lim->header_bytes);
    memcpy(&crc, p, sizeof crc);
    if (hash_crc32c(0, p + sizeof crc, bytes - sizeof crc) != crc)
        return err_set(e, ERR_USE, "a message header is damaged: its CRC does not fit");
    head = mpk_decode(p + sizeof crc, bytes - sizeof crc, "message header", e);
    if (!head)
        return -1;
    rc = json_kind(head) == JSON_KIND_OBJECT ? read_head(head, lim, h, e)
                                             : err_set(e, ERR_USE, "message header: is not a map");
    json_destroy(&head);
    if (rc < 0)
        frame_head_free(h);
    return rc;
}

void frame_head_free(struct frame_head *h)
{
    msg_destroy(&h->m);
    free(h->entries);
    memset(h, 0, sizeof *h);
}

/* A handle becomes the part that it names. */
static int take_handle(const struct frame_head *h, const struct frame_entry *x, struct part *p,
                       struct err *e)
{
    const enum share_as as = h->reads & 1u << h->m->kind ? SHARE_TO_READ : SHARE_TO_WRITE;
    struct part named;

    if (share_open(h->memory_of, p->data, x->tensor.bytes, as, &named, e) < 0)
        return err_prefix(e, "tensor '%s'", x->tensor.name);
    part_release(p);
    *p = named;
    return 0;
}

/* Moves a part into the message as tensor x: adopted when raw and aligned, else unpacked into
 * memory of its own. */
static int take_part(const struct frame_head *h, const struct frame_entry *x, struct part *p,
                     struct err *e)
{
    struct tensor t = x->tensor;

    if (p->bytes != x->packed)
        return err_set(e, ERR_USE, "tensor '%s' came with %zu bytes, its header says %zu", t.name,
                       p->bytes, x->packed);
    if (x->shared && take_handle(h, x, p, e) < 0)
        return -1;
    /* what did not travel has nowhere been damaged, and the sender has just read it */
    if (!x->shared && hash_crc32c(0, p->data, p->bytes) != x->crc)
        return err_set(e, ERR_USE, "tensor '%s' is damaged: its CRC does not fit", t.name);
    if (x->codec == ZC_RAW && (uintptr_t)p->data % dtype_size(t.dtype) == 0) {
        t.data = p->data;
        t.crc = x->crc;
        t.crc_known = 1;
        t.release = p->release;
        t.owner = p->owner;
        p->release = NULL;
    } else {
        if (tensor_alloc(&t, x->tensor.name, t.dtype, t.ndim, x->tensor.shape, e) < 0)
            return -1;
        if (zbuf_unpack(x->codec, p->data, p->bytes, t.data, t.bytes, e) < 0) {
            tensor_release(&t);
            return err_prefix(e, "tensor '%s'", x->tensor.name);
        }
    }
    if (msg_add(h->m, &t, e) < 0) {
        tensor_release(&t);
        return -1;
    }
    return 0;
}

struct msg *frame_head_finish(struct frame_head *h, struct part *parts, size_t count, struct err *e)
{
    struct msg *m = h->m;

    if (count != h->count) {
        err_set(e, ERR_USE, "%zu tensors came, the header names %zu", count, h->count);
        goto fail;
    }
    for (size_t i = 0; i < count; i++) {
        if (take_part(h, &h->entries[i], &parts[i], e) < 0)
            goto fail;
        part_release(&parts[i]);
    }
    h->m = NULL;
    return m;
fail:
    err_prefix(e, "%s '%s'", msg_kind_name(m->kind), m->id);
    return NULL;
}

static size_t head_bytes(const struct frame_head *h)
{
    size_t bytes = 0; /* the limit of a message covers the sum */

    for (size_t i = 0; i < h->count; i++)
        bytes += h->entries[i].tensor.bytes;
    return bytes;
}

int frame_decode_if(struct part *parts, size_t count, const struct frame_limits *lim,
                    int (*want)(void *ctx, const struct msg *m, size_t bytes, struct err *e),
                    void *ctx, struct msg **m, struct err *e)
{
    struct frame_limits limits;
    struct frame_head h = {0};
    int rc = -1;

    *m = NULL;
    frame_limits_fill(&limits, lim);
    if (count < 1 || count > limits.parts)
        err_set(e, ERR_USE, "a message has %zu parts, must have 1 to %zu", count, limits.parts);
    else if (frame_head_read(parts[0].data, parts[0].bytes, &limits, &h, e) == 0)
        rc = want ? want(ctx, h.m, head_bytes(&h), e) : 1;
    if (rc == 1 && !(*m = frame_head_finish(&h, parts + 1, count - 1, e)))
        rc = -1;
    frame_head_free(&h);
    for (size_t i = 0; i < count; i++)
        part_release(&parts[i]);
    return rc;
}

struct msg *frame_decode(struct part *parts, size_t count, const struct frame_limits *lim,
                         struct err *e)
{
    struct msg *m;

    frame_decode_if(parts, count, lim, NULL, NULL, &m, e);
    return m;
}
