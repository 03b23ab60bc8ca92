/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_gguf - see inspect_gguf.h. One tensor at a time is decoded; of types without a decoder
 * there are no figures. */
#include "inspect_gguf.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../common/base/json.h"
#include "../../../common/base/plural.h"
#include "../../../common/tensor/gguf.h"
#include "../stream/tensor_values.h"

struct view {
    const struct gguf *g;
    int json, stats;
    FILE *out;
};

int inspect_is_gguf(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char magic[4];
    struct stat st;
    int is;

    if (fd < 0)
        return 0;
    is = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && read(fd, magic, sizeof magic) == 4 &&
         memcmp(magic, "GGUF", 4) == 0;
    close(fd);
    return is;
}

static int print_line(const struct view *v, struct json *j, struct err *e)
{
    char *text = j ? json_print(j, 0, e) : NULL;
    const int rc = text ? 0 : err_set(e, ERR_SYS, "out of memory: cannot print");

    if (text)
        fprintf(v->out, "%s\n", text);
    free(text);
    json_destroy(&j);
    return rc;
}

/* A list is as long as a vocabulary: its length says enough. */
static int key_show(const struct view *v, const char *key, const struct json *value, struct err *e)
{
    const int list = json_kind(value) == JSON_KIND_ARRAY;
    struct json *j;
    char *text;

    if (v->json) {
        j = json_new_object();
        if (json_set_text(j, "key", key) ||
            (list ? json_set_int(j, "count", (int64_t)json_count(value))
                  : json_set(j, "value", json_clone(value))))
            json_destroy(&j);
        return print_line(v, j, e);
    }
    if (list) {
        fprintf(v->out, "key  %s  %zu value%s\n", key, json_count(value),
                plural_s(json_count(value)));
        return 0;
    }
    if (!(text = json_print(value, 0, e)))
        return -1;
    fprintf(v->out, "key  %s  %s\n", key, text);
    free(text);
    return 0;
}

static int stats_of(const struct view *v, const struct gguf_entry *x, struct value_stats *s,
                    struct err *e)
{
    struct tensor t;
    int rc;

    if (tensor_alloc(&t, x->name, DT_F32, x->ndim, x->shape, e) < 0)
        return -1;
    if ((rc = gguf_load_f32(v->g, x, t.data, e)) == 0)
        values_stats(&t, s);
    tensor_release(&t);
    return rc;
}

static struct json *entry_json(const struct gguf_entry *x, const char *type,
                               const struct value_stats *s)
{
    struct json *j = json_new_object(), *shape = json_new_array();
    int bad = 0;

    for (int i = 0; i < x->ndim; i++)
        bad |= json_push(shape, json_new_int((int64_t)x->shape[i]));
    bad |= json_set_text(j, "name", x->name) || json_set_text(j, "dtype", type);
    bad |= json_set(j, "shape", shape) || json_set_int(j, "bytes", (int64_t)x->bytes);
    if (s)
        bad |= json_set_real(j, "min", s->min) || json_set_real(j, "max", s->max) ||
               json_set_real(j, "mean", s->mean) || json_set_real(j, "norm", s->norm) ||
               json_set_int(j, "bad", (int64_t)s->bad);
    if (bad)
        json_destroy(&j);
    return j;
}

static int entry_show(const struct view *v, const struct gguf_entry *x, struct err *e)
{
    const struct gguf_type_info *info = gguf_type_find(x->type);
    const char *type = info ? info->name : "?";
    struct value_stats s;
    const int stats = v->stats && gguf_check(v->g, x, &(struct err){0}) == 0;
    char shape[96];

    if (stats && stats_of(v, x, &s, e) < 0)
        return -1;
    if (v->json)
        return print_line(v, entry_json(x, type, stats ? &s : NULL), e);
    tensor_shape_text(x->ndim, x->shape, shape, sizeof shape);
    fprintf(v->out, "%s  %s %s  %" PRIu64 " byte%s", x->name, type, shape, x->bytes,
            plural_s(x->bytes));
    if (stats)
        fprintf(v->out, "  min %.6g max %.6g mean %.6g norm %.6g", s.min, s.max, s.mean, s.norm);
    if (stats && s.bad)
        fprintf(v->out, "  NOT FINITE: %zu", s.bad);
    fputc('\n', v->out);
    return 0;
}

static int totals(const struct view *v, uint64_t bytes, struct err *e)
{
    struct json *j;

    if (!v->json) {
        fprintf(v->out, "total  %zu tensor%s in 1 file, %" PRIu64 " bytes, GGUF\n", v->g->count,
                plural_s(v->g->count), bytes);
        return 0;
    }
    j = json_new_object();
    if (json_set_int(j, "tensors", (int64_t)v->g->count) || json_set_int(j, "files", 1) ||
        json_set_int(j, "raw_bytes", (int64_t)bytes) || json_set_text(j, "format", "gguf"))
        json_destroy(&j);
    return print_line(v, j, e);
}

int inspect_gguf(const char *path, int json, int stats, FILE *out, struct err *e)
{
    struct gguf *g = gguf_open(path, e);
    const struct view v = {g, json, stats, out};
    uint64_t bytes = 0;
    int rc = g ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < json_count(g->meta); i++) {
        const char *key = "";
        const struct json *value = json_member(g->meta, i, &key);

        rc = key_show(&v, key, value, e);
    }
    for (size_t i = 0; rc == 0 && i < g->count; i++) {
        rc = entry_show(&v, &g->entries[i], e);
        bytes += g->entries[i].bytes;
    }
    if (rc == 0)
        rc = totals(&v, bytes, e);
    gguf_close(&g);
    return rc;
}
