/* SPDX-License-Identifier: Apache-2.0 */
/* importance_message - see importance_message.h. */
#include "importance_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "../../common/base/version.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/modality.h"
#include "../../common/wire/run_id.h"

int message_check_sites(const struct sites *s, struct err *e)
{
    return s->count <= CHUNK_SITES_MAX
               ? 0
               : err_set(e, ERR_USE, "the model has %zu sites, a chunk has room for weights of %d",
                         s->count, CHUNK_SITES_MAX);
}

static int goes_by(const struct importance_opts *o, const struct site *s)
{
    return o->method != IMPORTANCE_VLMQ || strncmp(s->name, "attn.", 5) == 0;
}

/* All that the weights depend on beside the chunk itself. */
static struct json *record_make(const struct model *m, const struct importance_opts *o)
{
    static const char *const methods[] = {"tlq", "vlmq", "mbq"};
    struct json *r = json_new_object();
    char digest[17];
    int bad = 0;

    hash_hex(model_digest(m), digest);
    bad |= json_set_text(r, "stage", "importance") | json_set_text(r, "version", PTQ_VERSION) |
           json_set_text(r, "model", digest) | json_set_text(r, "method", methods[o->method]);
    if (o->method == IMPORTANCE_VLMQ)
        bad |= json_set_int(r, "bits", o->bits) | json_set_int(r, "group", o->group) |
               json_set_bool(r, "squared", o->squared);
    else
        bad |= json_set_text(r, "loss_on", o->loss == IMPORTANCE_ALL ? "all" : "answers");
    if (o->products)
        bad |= json_set_text(r, "products", products_name(o->products));
    if (o->ratios)
        bad |= json_set_text(r, "give", "ratios");
    if (o->method != IMPORTANCE_MBQ)
        bad |= weigh_clip_record(&o->clip, r) | json_set_real(r, "select", o->select);
    if (bad)
        json_destroy(&r);
    return r;
}

/* The kernel belongs into the record, and not to the run: hosts that differ in it may share one. */
static int put_record(struct msg *out, const struct json *before, struct json **record)
{
    struct json *all = before ? json_clone(before) : json_new_array();
    int rc = json_set_text(*record, "kernel", blas_kernel()) | json_push(all, *record);

    *record = NULL;
    if (rc != 0)
        json_destroy(&all);
    return json_set(out->meta, "prov", all);
}

static int put_sites(struct msg *out, const struct sites *s, const struct importance_opts *o,
                     size_t *count)
{
    struct json *list = json_new_array();
    int bad = 0;

    *count = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct json *x;

        if (!goes_by(o, &s->site[i]))
            continue;
        x = json_new_object();
        bad |= json_set_int(x, "block", (int64_t)s->site[i].block) |
               json_set_text(x, "site", s->site[i].name) | json_push(list, x);
        ++*count;
    }
    if (bad)
        json_destroy(&list);
    return json_set(out->meta, "site_weights", list);
}

static int put_weights(struct msg *out, const struct sites *s, const struct importance_opts *o,
                       const struct importance_held *h, size_t count, struct err *e)
{
    float *to = msg_add_new(out, "site_weights", DT_F32, 2, (const uint64_t[]){count, h->T}, e);

    for (size_t i = 0; to && i < s->count; i++)
        if (goes_by(o, &s->site[i])) {
            memcpy(to, h->g + i * h->T, h->T * sizeof *to);
            to += h->T;
        }
    return to ? 0 : -1;
}

/* How much text and image are to count at each site. */
static int put_ratios(struct msg *out, const struct sites *s, const double *image)
{
    struct json *list = json_new_array();
    int bad = 0;

    for (size_t i = 0; i < s->count; i++) {
        struct json *x = json_new_object();
        const double ratio[MODALITIES] = {1, image[i]};

        bad |= json_set_int(x, "block", (int64_t)s->site[i].block) |
               json_set_text(x, "site", s->site[i].name) | modality_ratios_put(x, ratio) |
               json_push(list, x);
    }
    if (bad)
        json_destroy(&list);
    return json_set(out->meta, "site_ratios", list);
}

/* What the measuring was for. */
static int put_result(struct msg *out, const struct sites *s, const struct importance_opts *o,
                      const struct importance_held *h, const double *ratio, struct err *e)
{
    size_t count = 0;

    if ((o->ratios ? put_ratios(out, s, ratio) : put_sites(out, s, o, &count)) != 0)
        return err_set(e, ERR_SYS, "out of memory");
    return o->ratios ? 0 : put_weights(out, s, o, h, count, e);
}

struct msg *message_make(const struct model *m, const struct importance_opts *o, uint64_t model,
                         const struct importance_held *h, const double *ratio, struct err *e)
{
    struct msg *out = msg_copy(h->msg, e);
    struct json *record = record_make(m, o);
    char *text = json_print(record, 0, e);

    if (out && text) {
        run_id_make(out->run, model, h->msg->run, text);
        snprintf(out->stage, sizeof out->stage, "importance");
    }
    free(text);
    if (out && put_record(out, h->view.prov, &record) != 0) {
        err_set(e, ERR_SYS, "out of memory");
        msg_destroy(&out);
    }
    if (out && put_result(out, model_sites(m), o, h, ratio, e) < 0)
        msg_destroy(&out);
    json_destroy(&record);
    return out;
}
