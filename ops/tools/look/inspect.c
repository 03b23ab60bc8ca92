/* SPDX-License-Identifier: Apache-2.0 */
/* inspect - lists and sums up. Tensors are looked at one at a time, so a checkpoint need not fit
 * the memory. */
#include "inspect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/json.h"
#include "../../../common/base/plural.h"
#include "../../../common/wire/link.h"
#include "../stream/tensor_values.h"
#include "input.h"
#include "inspect_gguf.h"
#include "weights.h"

struct view {
    int json, stats;
    FILE *out;
};

static int print_line(const struct view *v, struct json *j, struct err *e)
{
    char *text = j ? json_print(j, 0, e) : NULL;
    int rc = -1;

    if (!text)
        err_set(e, ERR_SYS, "out of memory: cannot print");
    else if (fprintf(v->out, "%s\n", text) < 0)
        err_sys(e, "cannot write");
    else
        rc = 0;
    free(text);
    json_destroy(&j);
    return rc;
}

static struct json *shape_json(const struct tensor *t)
{
    struct json *a = json_new_array();

    for (int i = 0; a && i < t->ndim; i++)
        if (json_push(a, json_new_int((int64_t)t->shape[i])) < 0)
            json_destroy(&a);
    return a;
}

static int stats_put(struct json *j, const struct tensor *t)
{
    struct value_stats s;

    values_stats(t, &s);
    return json_set_real(j, "min", s.min) || json_set_real(j, "max", s.max) ||
                   json_set_real(j, "mean", s.mean) || json_set_real(j, "norm", s.norm) ||
                   json_set_int(j, "bad", (int64_t)s.bad)
               ? -1
               : 0;
}

static void print_stats(const struct view *v, const struct tensor *t)
{
    struct value_stats s;

    values_stats(t, &s);
    fprintf(v->out, "  min %.6g max %.6g mean %.6g norm %.6g", s.min, s.max, s.mean, s.norm);
    if (s.bad)
        fprintf(v->out, "  NOT FINITE: %zu", s.bad);
}

static struct json *tensor_json(const struct view *v, const struct tensor *t)
{
    struct json *j = json_new_object();
    int bad = !j || json_set_text(j, "name", t->name) ||
              json_set_text(j, "dtype", dtype_name(t->dtype)) ||
              json_set(j, "shape", shape_json(t)) || json_set_int(j, "bytes", (int64_t)t->bytes);

    if (bad || (v->stats && stats_put(j, t)))
        json_destroy(&j);
    return j;
}

static void print_tensor(const struct view *v, const char *indent, const struct tensor *t)
{
    char shape[96];

    tensor_shape_text(t->ndim, t->shape, shape, sizeof shape);
    fprintf(v->out, "%s%s  %s %s  %zu byte%s", indent, t->name, dtype_name(t->dtype), shape,
            t->bytes, plural_s(t->bytes));
    if (v->stats)
        print_stats(v, t);
    fputc('\n', v->out);
}

static int message_json(const struct view *v, const struct msg *m, uint64_t wire, struct err *e)
{
    struct json *j = json_new_object(), *list = json_new_array();
    int bad = !j || !list;

    for (size_t i = 0; i < m->ntensors && !bad; i++)
        bad = json_push(list, tensor_json(v, &m->tensors[i]));
    bad = bad || json_set_text(j, "kind", msg_kind_name(m->kind)) ||
          json_set_text(j, "id", m->id) || json_set_text(j, "stage", m->stage) ||
          json_set_text(j, "run", m->run) || json_set_int(j, "wire_bytes", (int64_t)wire) ||
          json_set(j, "meta", json_clone(m->meta));
    if (bad) {
        json_destroy(&list);
        json_destroy(&j);
    } else if (json_set(j, "tensors", list)) {
        json_destroy(&j);
    }
    return print_line(v, j, e);
}

static int message_show(const struct view *v, const struct msg *m, uint64_t wire, struct err *e)
{
    char *meta;

    if (v->json)
        return message_json(v, m, wire, e);
    meta = json_print(m->meta, 0, e);
    if (!meta)
        return -1;
    fprintf(v->out, "%s %s  from %s  %" PRIu64 " bytes\n  %s\n", msg_kind_name(m->kind), m->id,
            m->stage, wire, meta);
    free(meta);
    for (size_t i = 0; i < m->ntensors; i++)
        print_tensor(v, "  ", &m->tensors[i]);
    return 0;
}

/* "3 chunks", "1 problem", "2 acts" */
static void print_count(const struct view *v, enum msg_kind kind, uint64_t count)
{
    const char *name = msg_kind_name(kind);
    const int plain = name[strlen(name) - 1] == 's';

    if (count)
        fprintf(v->out, "  %" PRIu64 " %s%s", count, name, plain ? "" : plural_s(count));
}

static int stream_totals(const struct view *v, const uint64_t *counts, const struct link_stats *s,
                         struct err *e)
{
    struct json *j, *k;
    int bad;

    if (!v->json) {
        fprintf(v->out, "total");
        for (int i = 0; i < MSG_KIND_COUNT; i++)
            print_count(v, (enum msg_kind)i, counts[i]);
        fprintf(v->out, "  %" PRIu64 " bytes, %" PRIu64 " unpacked\n", s->bytes_wire, s->bytes_raw);
        return 0;
    }
    j = json_new_object();
    k = json_new_object();
    bad = !j || !k;
    for (int i = 0; i < MSG_KIND_COUNT && !bad; i++)
        bad = counts[i] && json_set_int(k, msg_kind_name((enum msg_kind)i), (int64_t)counts[i]);
    bad = bad || json_set_int(j, "wire_bytes", (int64_t)s->bytes_wire) ||
          json_set_int(j, "raw_bytes", (int64_t)s->bytes_raw);
    if (bad) {
        json_destroy(&k);
        json_destroy(&j);
    } else if (json_set(j, "counts", k)) {
        json_destroy(&j);
    }
    return print_line(v, j, e);
}

static int inspect_stream(const struct view *v, const char *path, struct err *e)
{
    const struct link_opts o = {.name = "inspect"};
    struct link *l = link_open(path, LINK_IN, &o, e);
    uint64_t counts[MSG_KIND_COUNT] = {0}, before = 0;
    struct link_stats s;
    struct msg *m = NULL;
    int rc;

    if (!l)
        return -1;
    while ((rc = link_recv(l, &m, -1, e)) == 1) {
        link_stats(l, &s);
        counts[m->kind]++;
        rc = message_show(v, m, s.bytes_wire - before, e);
        before = s.bytes_wire;
        msg_destroy(&m);
        if (rc < 0)
            break;
    }
    if (rc == 2)
        rc = err_set(e, ERR_DATA, "stopped before the end of the stream");
    link_stats(l, &s);
    if (rc == 0)
        rc = stream_totals(v, counts, &s, e);
    link_close(&l);
    return rc;
}

/* What the codes of a linear say and stand for, into j or behind the line; what cannot be read is
 * said, and the list goes on. */
static void linear_show(const struct view *v, const struct weights *w,
                        const struct weights_linear *x, struct json *j)
{
    struct weights_codes codes;
    struct tensor t = {.data = NULL};
    struct json *stats;
    struct err why = {0};

    if (!v->stats || !w->reader)
        return;
    if (weights_load(w, x, &t, &codes, &why) < 0) {
        if (j)
            json_set_text(j, "weights_problem", why.text);
        else
            fprintf(v->out, "; its weights cannot be read: %s", why.text);
        return;
    }
    if (j) {
        if (codes.scale_type != DT_COUNT) {
            json_set_text(j, "grid", codes.grid);
            json_set_text(j, "scale_type", dtype_name(codes.scale_type));
            json_set_bool(j, "act_order", codes.permuted);
        }
        stats = json_new_object();
        if (stats_put(stats, &t) < 0)
            json_destroy(&stats);
        json_set(j, "weights", stats);
    } else {
        if (codes.scale_type != DT_COUNT)
            fprintf(v->out, ", grid %s, %s scales%s", codes.grid, dtype_name(codes.scale_type),
                    codes.permuted ? ", groups in act-order" : "");
        fputs("; weights", v->out);
        print_stats(v, &t);
    }
    tensor_release(&t);
}

static void linear_print(const struct view *v, const struct weights *w,
                         const struct weights_linear *x)
{
    fprintf(v->out, "  %s: %d bits, group %" PRId64 ", %zu inputs, %zu outputs", x->f->title,
            x->l.bits, x->l.group, x->l.K, x->l.N);
    linear_show(v, w, x, NULL);
    fputc('\n', v->out);
}

static int linear_put(const struct view *v, const struct weights *w, const struct weights_linear *x,
                      struct json *j)
{
    if (json_set_int(j, "bits", x->l.bits) || json_set_int(j, "group", x->l.group) ||
        json_set_int(j, "inputs", (int64_t)x->l.K) || json_set_int(j, "outputs", (int64_t)x->l.N))
        return -1;
    linear_show(v, w, x, j);
    return 0;
}

/* linear: the one that this tensor shows; NULL: none. */
static int entry_show(const struct view *v, const struct weights *w, const struct st_entry *x,
                      const struct weights_linear *linear, struct err *e)
{
    struct tensor t;
    struct json *j;

    if (v->stats ? st_load(w->set, x, &t, e) < 0
                 : tensor_borrow(&t, x->name, x->dtype, x->ndim, x->shape, NULL, e) < 0)
        return -1;
    if (v->json) {
        j = tensor_json(v, &t);
        tensor_release(&t);
        if (j && linear && linear_put(v, w, linear, j))
            json_destroy(&j);
        return print_line(v, j, e);
    }
    print_tensor(v, "", &t);
    tensor_release(&t);
    if (linear)
        linear_print(v, w, linear);
    return 0;
}

/* A line for each thing that was done to the checkpoint. */
static int print_records(const struct view *v, const struct json *records, struct err *e)
{
    for (size_t i = 0; i < json_count(records); i++) {
        char *text = json_print(json_at(records, i), 0, e);

        if (!text)
            return -1;
        fprintf(v->out, "record  %s\n", text);
        free(text);
    }
    return 0;
}

/* f: the format that `linears` linears are stored in; NULL: none is packed. */
static int set_totals(const struct view *v, const struct st_set *set, const struct format *f,
                      uint64_t linears, uint64_t bytes, struct err *e)
{
    struct json *j, *records = st_records(set);
    int rc;

    if (!v->json) {
        rc = print_records(v, records, e);
        json_destroy(&records);
        if (rc < 0)
            return -1;
        fprintf(v->out, "total  %zu tensor%s in %zu file%s, %" PRIu64 " bytes", set->count,
                plural_s(set->count), set->nshards, plural_s(set->nshards), bytes);
        if (f)
            fprintf(v->out, ", %" PRIu64 " linear%s quantized as %s", linears, plural_s(linears),
                    f->title);
        fputc('\n', v->out);
        return 0;
    }
    j = json_new_object();
    if (j && (json_set_int(j, "tensors", (int64_t)set->count) ||
              json_set_int(j, "files", (int64_t)set->nshards) ||
              json_set_int(j, "raw_bytes", (int64_t)bytes) ||
              json_set_int(j, "quantized_linears", (int64_t)linears) ||
              (f && json_set_text(j, "format", f->name))))
        json_destroy(&j);
    if (j && json_count(records)) {
        rc = json_set(j, "records", records);
        records = NULL;
        if (rc)
            json_destroy(&j);
    }
    json_destroy(&records);
    return print_line(v, j, e);
}

static int inspect_set(const struct view *v, const struct input *in, struct err *e)
{
    struct st_set *set = input_set(in, e);
    struct weights w = {.set = NULL};
    uint64_t bytes = 0;
    int rc = set ? weights_open(&w, in, set, e) : -1;

    for (size_t i = 0; rc == 0 && i < set->count; i++) {
        const struct st_entry *x = &set->entries[i];
        const struct weights_linear *linear = weights_of(&w, x->name);

        rc = entry_show(v, &w, x, linear && weights_shows(linear, x->name) ? linear : NULL, e);
        bytes += x->bytes;
    }
    if (rc == 0)
        rc = set_totals(v, set, w.nlinears ? w.linear->f : NULL, w.nlinears, bytes, e);
    weights_close(&w);
    st_close(&set);
    return rc;
}

int inspect_path(const char *path, int json, int stats, FILE *out, struct err *e)
{
    const struct view v = {json, stats, out};
    struct input in;
    int rc;

    if (input_open(&in, path, e) < 0)
        return -1;
    if (in.kind == INPUT_STREAM)
        rc = inspect_stream(&v, in.path, e);
    else if (inspect_is_gguf(in.path))
        rc = inspect_gguf(in.path, json, stats, out, e);
    else
        rc = inspect_set(&v, &in, e);
    input_close(&in);
    if (rc == 0)
        return fs_flush(out, e);
    fflush(out); /* before the word about what failed */
    return rc;
}
