/* SPDX-License-Identifier: Apache-2.0 */
/* weights - see weights.h. Which tensors are parts of a linear follows from their names: all that
 * are called NAME.something, but for its bias. */
#include "weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/log.h"
#include "../../../common/base/mem.h"
#include "../../../common/format/packed.h"
#include "../../../common/text/model_file.h"

static size_t stem(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot ? (size_t)(dot - name) : 0;
}

/* Entry x by what a format says of it. */
static int look(const struct format *f, const struct st_set *set, const struct st_entry *x,
                struct format_linear *l)
{
    return f->mark && strcmp(x->name + stem(x->name) + 1, f->mark) == 0 && f->look(set, x, l);
}

/* The format that config.json names, else the first that the tensors look like. */
static int linear_look(const struct weights *w, const struct st_entry *x, struct weights_linear *to)
{
    const struct format *f;

    if (!stem(x->name))
        return 0;
    if (w->reader) {
        to->f = format_of(w->reader);
        return look(to->f, w->set, x, &to->l);
    }
    for (size_t i = 0; (f = format_at(i)); i++)
        if (look(f, w->set, x, &to->l)) {
            to->f = f;
            return 1;
        }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct weights_linear *)a)->l.name,
                  ((const struct weights_linear *)b)->l.name);
}

static int linears_find(struct weights *w, struct err *e)
{
    size_t room = 0;

    for (size_t i = 0; i < w->set->count; i++) {
        struct weights_linear one = {.f = NULL};

        if (!linear_look(w, &w->set->entries[i], &one))
            continue;
        if (mem_grow((void **)&w->linear, &room, w->nlinears + 1, sizeof *w->linear, e) < 0)
            return -1;
        w->linear[w->nlinears++] = one;
    }
    if (w->nlinears)
        qsort(w->linear, w->nlinears, sizeof *w->linear, by_name);
    return 0;
}

const struct weights_linear *weights_of(const struct weights *w, const char *stored)
{
    const size_t n = stem(stored);
    struct weights_linear key = {.f = NULL};

    if (!w->nlinears || !n || n >= sizeof key.l.name || strcmp(stored + n, ".bias") == 0)
        return NULL;
    memcpy(key.l.name, stored, n);
    return bsearch(&key, w->linear, w->nlinears, sizeof key, by_name);
}

int weights_shows(const struct weights_linear *x, const char *stored)
{
    return strcmp(stored + stem(stored) + 1, x->f->mark) == 0;
}

static int by_tensor(const void *a, const void *b)
{
    return strcmp(((const struct weights_tensor *)a)->name,
                  ((const struct weights_tensor *)b)->name);
}

/* Without a reader every tensor is what it is stored as. */
static int tensors_list(struct weights *w, struct err *e)
{
    if (!(w->tensor = mem_array(w->set->count + 1, sizeof *w->tensor, e)))
        return -1;
    for (size_t i = 0; i < w->set->count; i++) {
        const struct st_entry *x = &w->set->entries[i];
        const struct weights_linear *linear = w->reader ? weights_of(w, x->name) : NULL;
        struct weights_tensor *t = &w->tensor[w->count];

        if (linear && !weights_shows(linear, x->name))
            continue;
        if (linear)
            snprintf(t->name, sizeof t->name, "%s.weight", linear->l.name);
        else
            snprintf(t->name, sizeof t->name, "%s", x->name);
        t->linear = linear;
        t->entry = linear ? NULL : x;
        w->count++;
    }
    qsort(w->tensor, w->count, sizeof *w->tensor, by_tensor);
    return 0;
}

const struct weights_tensor *weights_find(const struct weights *w, const char *name)
{
    struct weights_tensor key;

    snprintf(key.name, sizeof key.name, "%s", name);
    return w->count ? bsearch(&key, w->tensor, w->count, sizeof key, by_tensor) : NULL;
}

/* What cannot be read is shown as it is stored. */
static void reader_open(struct weights *w, const char *dir)
{
    struct json *config = NULL;
    struct err why = {0};

    if (model_file_is(dir, "config.json") && (config = model_file_json(dir, "config.json", &why)))
        w->reader = format_open(config, dir, w->set, &why);
    if (why.kind != ERR_NONE)
        log_warn("%s: its tensors are taken as they are stored", why.text);
    if (w->reader && !format_is_quantized(w->reader))
        format_close(&w->reader);
    json_destroy(&config);
}

int weights_open(struct weights *w, const struct input *in, const struct st_set *set, struct err *e)
{
    *w = (struct weights){.set = set};
    if (in->kind == INPUT_FOLDER)
        reader_open(w, in->path);
    return linears_find(w, e) < 0 ? -1 : tensors_list(w, e);
}

void weights_close(struct weights *w)
{
    format_close(&w->reader);
    free(w->linear);
    free(w->tensor);
    *w = (struct weights){.set = NULL};
}

static struct weights_codes codes_of(const struct packed *p)
{
    struct format_linear l = {.bits = 0};

    packed_linear(p, &l);
    return (struct weights_codes){l.grid->name, p->group_of != NULL, p->scale_type};
}

/* By codes where it has them, since these say more than the weights do. */
static int fill(const struct weights *w, const struct format_linear *l, float *out,
                struct weights_codes *codes, struct err *e)
{
    struct packed p;
    int rc = format_find_linear(w->reader, l->name, l->N, l->K, e);

    if (rc == 0)
        rc = format_read_linear(w->reader, l->name, l->N, l->K, &p, e);
    if (rc == 0)
        return format_load_linear(w->reader, l->name, l->N, l->K, out, e);
    if (rc < 0)
        return -1;
    if (codes)
        *codes = codes_of(&p);
    rc = packed_weights(&p, out, e);
    packed_release(&p);
    return rc;
}

int weights_load(const struct weights *w, const struct weights_linear *x, struct tensor *t,
                 struct weights_codes *codes, struct err *e)
{
    const uint64_t shape[2] = {x->l.N, x->l.K};
    char name[TENSOR_NAME + 8];

    if (codes)
        *codes = (struct weights_codes){.scale_type = DT_COUNT};
    snprintf(name, sizeof name, "%s.weight", x->l.name);
    if (tensor_alloc(t, name, DT_F32, 2, shape, e) < 0)
        return -1;
    if (fill(w, &x->l, t->data, codes, e) == 0)
        return 0;
    tensor_release(t);
    return -1;
}
