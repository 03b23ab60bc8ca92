/* SPDX-License-Identifier: Apache-2.0 */
/* msg_check - checks that the typed views share. */
#include "msg_check.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 60
#define K_MAX ((int64_t)1 << 24)

const char *check_what(const struct msg *m, char *out)
{
    snprintf(out, CHECK_WHAT, "%s '%s'", msg_kind_name(m->kind), m->id);
    return out;
}

int check_fail(const struct msg *m, struct err *e, const char *fmt, ...)
{
    char what[CHECK_WHAT], text[320];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(e, ERR_USE, "%s: %s", check_what(m, what), text);
}

int check_kind(const struct msg *m, enum msg_kind k, struct err *e)
{
    if (m->kind == k)
        return 0;
    return check_fail(m, e, "is not what must come here, a message of kind '%s'", msg_kind_name(k));
}

int check_u64(const struct msg *m, const char *key, int64_t min, int64_t max, uint64_t *v,
              struct err *e)
{
    char what[CHECK_WHAT];
    int64_t x;

    if (json_need_int(m->meta, key, min, max, &x, check_what(m, what), e) < 0)
        return -1;
    *v = (uint64_t)x;
    return 0;
}

const char *check_text(const struct msg *m, const char *key, struct err *e)
{
    char what[CHECK_WHAT];
    const char *text = json_need_text(m->meta, key, check_what(m, what), e);
    size_t n = text ? strlen(text) : 0;

    if (text && (n < 1 || n > TEXT_MAX || n != json_text_length(json_get(m->meta, key)))) {
        check_fail(m, e, "field '%s' must be a plain text of 1 to %d characters", key, TEXT_MAX);
        return NULL;
    }
    return text;
}

int check_site(const struct msg *m, uint64_t *block, uint64_t *order, uint64_t *sites,
               const char **site, struct err *e)
{
    if (check_u64(m, "block", 0, CHECK_COUNT_MAX, block, e) < 0 ||
        check_u64(m, "sites", 1, CHECK_SITES_MAX, sites, e) < 0 ||
        check_u64(m, "order", 0, (int64_t)*sites - 1, order, e) < 0 ||
        !(*site = check_text(m, "site", e)))
        return -1;
    return 0;
}

int check_site_id(const struct msg *m, uint64_t block, const char *site, const char *suffix,
                  struct err *e)
{
    char want[MSG_ID + 64];

    snprintf(want, sizeof want, "b%" PRIu64 ".%s%s", block, site, suffix);
    return strcmp(m->id, want) == 0 ? 0
                                    : check_fail(m, e,
                                                 "field 'id' must be '%s', as its fields 'block' "
                                                 "and 'site' say",
                                                 want);
}

int check_put_site(struct msg *m, uint64_t block, uint64_t order, uint64_t sites, const char *site)
{
    return json_set_int(m->meta, "block", (int64_t)block) ||
                   json_set_int(m->meta, "order", (int64_t)order) ||
                   json_set_int(m->meta, "sites", (int64_t)sites) ||
                   json_set_text(m->meta, "site", site)
               ? -1
               : 0;
}

int64_t check_lanes_most(uint64_t chunks)
{
    return chunks < CHECK_LANES_MAX ? (int64_t)chunks : CHECK_LANES_MAX;
}

int check_lane(const struct msg *m, uint64_t *chunk, uint64_t *chunks, uint64_t *lane,
               uint64_t *lanes, struct err *e)
{
    if (check_u64(m, "chunks", 1, CHECK_COUNT_MAX, chunks, e) < 0 ||
        check_u64(m, "chunk", 0, (int64_t)*chunks - 1, chunk, e) < 0 ||
        check_u64(m, "lanes", 1, check_lanes_most(*chunks), lanes, e) < 0 ||
        check_u64(m, "lane", 0, (int64_t)*lanes - 1, lane, e) < 0)
        return -1;
    if (*chunk < *lane * *chunks / *lanes || *chunk >= (*lane + 1) * *chunks / *lanes)
        return check_fail(m, e,
                          "field 'lane' is %" PRIu64 " of %" PRIu64
                          ", which does not hold chunk %" PRIu64 " of %" PRIu64,
                          *lane, *lanes, *chunk, *chunks);
    return 0;
}

int check_prov(const struct msg *m, const struct json **prov, struct err *e)
{
    const struct json *p = json_get(m->meta, "prov");

    *prov = NULL;
    if (json_kind(p) == JSON_KIND_NULL)
        return 0;
    if (json_kind(p) != JSON_KIND_ARRAY)
        return check_fail(m, e, "field 'prov' must be an array");
    for (size_t i = 0; i < json_count(p); i++)
        if (!json_as_text(json_get(json_at(p, i), "stage")))
            return check_fail(m, e, "field 'prov': record %zu has no text 'stage'", i);
    *prov = p;
    return 0;
}

int check_put_prov(struct msg *m, const struct json *prov)
{
    return json_set(m->meta, "prov", prov ? json_clone(prov) : json_new_array());
}

int check_lengths(const struct msg *m, size_t T, const int32_t **lengths, size_t *nseq,
                  struct err *e)
{
    const struct tensor *t = msg_need(m, "lengths", DT_I32, 1, e);
    uint64_t sum = 0;

    if (!t)
        return -1;
    *nseq = (size_t)t->shape[0];
    *lengths = t->data;
    for (size_t i = 0; i < *nseq; i++) {
        if ((*lengths)[i] < 1)
            return check_fail(m, e, "tensor 'lengths': sequence %zu has length %d", i,
                              (int)(*lengths)[i]);
        sum += (uint64_t)(*lengths)[i];
    }
    if (sum != T)
        return check_fail(m, e, "tensor 'lengths' adds up to %" PRIu64 ", there are %zu tokens",
                          sum, T);
    return 0;
}

int check_optional(const struct msg *m, const char *name, enum dtype dtype, int ndim,
                   const struct tensor **t, struct err *e)
{
    if (!msg_tensor(m, name))
        return 0;
    return (*t = msg_need(m, name, dtype, ndim, e)) ? 1 : -1;
}

int check_finite_weights(const struct msg *m, const char *name, const float *w, size_t n,
                         struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (!(isfinite(w[i]) && w[i] >= 0))
            return check_fail(m, e, "tensor '%s': weight %zu is negative or not finite", name, i);
    return 0;
}

int check_weights(const struct msg *m, const char *name, size_t T, const float **w, struct err *e)
{
    const struct tensor *t;
    int there = check_optional(m, name, DT_F32, 1, &t, e);

    *w = NULL;
    if (there != 1)
        return there;
    if (t->shape[0] != T)
        return check_fail(m, e, "tensor '%s' has %" PRIu64 " weights for %zu tokens", name,
                          t->shape[0], T);
    *w = t->data;
    return check_finite_weights(m, name, *w, T, e);
}

/* The name of entry i, not used by one before it. */
static const char *linear_name(const struct msg *m, const struct json *list, size_t i,
                               struct err *e)
{
    const struct json *j = json_get(json_at(list, i), "name");
    const char *name = json_as_text(j);

    if (!name || !*name || strlen(name) != json_text_length(j)) {
        check_fail(m, e, "field 'linears': entry %zu has no text 'name'", i);
        return NULL;
    }
    for (size_t k = 0; k < i; k++)
        if (!strcmp(name, json_as_text(json_get(json_at(list, k), "name")))) {
            check_fail(m, e, "field 'linears': '%.100s' is there twice", name);
            return NULL;
        }
    return name;
}

int check_linears(const struct msg *m, const struct json *list, size_t K, const struct tensor **out,
                  size_t *count, struct err *e)
{
    size_t n = json_count(list);

    if (json_kind(list) != JSON_KIND_ARRAY || n < 1 || n > CHECK_LINEARS)
        return check_fail(m, e, "field 'linears' must be an array of 1 to %d entries",
                          CHECK_LINEARS);
    for (size_t i = 0; i < n; i++) {
        const char *name = linear_name(m, list, i, e);
        const struct tensor *t = name ? msg_need(m, name, DT_COUNT, 2, e) : NULL;
        int64_t rows;

        if (!t)
            return -1;
        if (json_as_int(json_get(json_at(list, i), "rows"), &rows) < 0 || rows < 1)
            return check_fail(m, e, "field 'linears': '%.100s' has no number 'rows'", name);
        if (t->shape[0] != (uint64_t)rows || t->shape[1] != K)
            return check_fail(
                m, e, "tensor '%.100s' is [%" PRIu64 ", %" PRIu64 "], must be [%" PRId64 ", %zu]",
                name, t->shape[0], t->shape[1], rows, K);
        if (tensor_count_bad(t))
            return check_fail(m, e, "tensor '%.100s' holds %zu NaN or infinite values", name,
                              tensor_count_bad(t));
        if (out)
            out[i] = t;
    }
    if (count)
        *count = n;
    return 0;
}

/* Sums of n numbers from 0 up and of their squares: (sum w)^2 is between sum w^2 and n times that.
 * Rounding is far below SLACK. */
#define SLACK 1e-6
int check_weight_sums(const struct msg *m, const char *name, uint64_t tokens, double sum_w,
                      double sum_w2, struct err *e)
{
    const double n = (double)tokens, most = n * (double)FLT_MAX;

    if (!(sum_w >= 0) || !(sum_w2 >= 0))
        return check_fail(m, e, "fields '%ssum_w' and 'sum_w2' must not be negative", name);
    if (sum_w > most)
        return check_fail(m, e, "field '%ssum_w' is %g: %" PRIu64 " rows cannot weigh that much",
                          name, sum_w, tokens);
    if (sum_w * sum_w > n * sum_w2 * (1 + SLACK) || sum_w2 > sum_w * sum_w * (1 + SLACK))
        return check_fail(m, e,
                          "fields '%ssum_w' (%g) and 'sum_w2' (%g) cannot both be sums over the "
                          "weights of %" PRIu64 " rows",
                          name, sum_w, sum_w2, tokens);
    return 0;
}

int check_sums(const struct msg *m, size_t *K, uint64_t *tokens, uint64_t *sequences, double *sum_w,
               double *sum_w2, struct err *e)
{
    char what[CHECK_WHAT];
    uint64_t k;

    if (check_u64(m, "K", 1, K_MAX, &k, e) < 0 ||
        check_u64(m, "tokens", 0, INT64_MAX, tokens, e) < 0 ||
        check_u64(m, "sequences", 0, INT64_MAX, sequences, e) < 0 ||
        json_need_real(m->meta, "sum_w", sum_w, check_what(m, what), e) < 0 ||
        json_need_real(m->meta, "sum_w2", sum_w2, what, e) < 0)
        return -1;
    *K = (size_t)k;
    return check_weight_sums(m, "", *tokens, *sum_w, *sum_w2, e);
}

int check_put_sums(struct msg *m, size_t K, uint64_t tokens, uint64_t sequences, double sum_w,
                   double sum_w2)
{
    return json_set_int(m->meta, "K", (int64_t)K) ||
                   json_set_int(m->meta, "tokens", (int64_t)tokens) ||
                   json_set_int(m->meta, "sequences", (int64_t)sequences) ||
                   json_set_real(m->meta, "sum_w", sum_w) ||
                   json_set_real(m->meta, "sum_w2", sum_w2)
               ? -1
               : 0;
}

struct msg *check_no_memory(struct msg **m, struct err *e)
{
    err_set(e, ERR_SYS,
            "%s '%s': cannot set its metadata (out of memory, or a text that is not UTF-8)",
            msg_kind_name((*m)->kind), (*m)->id);
    msg_destroy(m);
    return NULL;
}
