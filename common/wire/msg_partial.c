/* SPDX-License-Identifier: Apache-2.0 */
/* msg_partial - see msg_partial.h. */
#include "msg_partial.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "modality.h"
#include "msg_check.h"

static int check_flag(const struct msg *m, const char *key, int *v, struct err *e)
{
    return json_as_bool(json_get(m->meta, key), v) == 0
               ? 0
               : check_fail(m, e, "field '%s' must be true or false", key);
}

static int read_modality(const struct msg *m, struct partial_view *v, struct err *e)
{
    const struct json *x = json_get(m->meta, "modality");
    size_t i = 0;

    if (!x)
        return 0;
    v->modality = json_as_text(x);
    while (v->modality && i < MODALITIES && strcmp(v->modality, modality_name(i)) != 0)
        i++;
    return v->modality && i < MODALITIES ? 0
                                         : check_fail(m, e, "field 'modality' names no modality");
}

int partial_read(const struct msg *m, struct partial_view *v, struct err *e)
{
    char suffix[32];

    memset(v, 0, sizeof *v);
    if (check_kind(m, MSG_PARTIAL, e) < 0 || problem_read_sums(m, &v->sums, e) < 0 ||
        check_u64(m, "chunks", 1, CHECK_COUNT_MAX, &v->chunks, e) < 0 ||
        check_u64(m, "lanes", 1, check_lanes_most(v->chunks), &v->lanes, e) < 0 ||
        check_u64(m, "lane", 0, (int64_t)v->lanes - 1, &v->lane, e) < 0 ||
        check_u64(m, "holdout", 0, CHECK_COUNT_MAX, &v->holdout, e) < 0 ||
        check_flag(m, "plain_sums", &v->plain, e) < 0 ||
        check_flag(m, "diagonals", &v->diagonals, e) < 0 || expert_read(m, &v->expert, e) < 0)
        return -1;
    snprintf(suffix, sizeof suffix, "/l%" PRIu64, v->lane);
    if (check_site_id(m, v->sums.block, v->sums.site, suffix, e) < 0)
        return -1;
    v->kinds = json_get(m->meta, "kinds");
    if (json_kind(v->kinds) != JSON_KIND_ARRAY)
        return check_fail(m, e, "field 'kinds' must be an array");
    if (v->sums.tokens > 0 && !v->sums.S)
        return check_fail(m, e, "tensor 'S' must be there where field 'tokens' is not 0");
    if (!v->sums.S && v->sums.hold.tokens == 0)
        return check_fail(m, e, "holds no sums: there is no tensor 'S', nor 'S.hold'");
    return read_modality(m, v, e);
}

struct msg *partial_create(const struct partial_view *v, const char *stage, struct err *e)
{
    struct msg *m = msg_create(MSG_PARTIAL, stage, e);
    char suffix[32];

    if (!m)
        return NULL;
    snprintf(suffix, sizeof suffix, "/l%" PRIu64, v->lane);
    if (msg_set_site_id(m, v->sums.block, v->sums.site, suffix, e) < 0) {
        msg_destroy(&m);
        return NULL;
    }
    if (problem_put_sums(m, &v->sums) || json_set_int(m->meta, "chunks", (int64_t)v->chunks) ||
        json_set_int(m->meta, "lane", (int64_t)v->lane) ||
        json_set_int(m->meta, "lanes", (int64_t)v->lanes) ||
        json_set_int(m->meta, "holdout", (int64_t)v->holdout) ||
        json_set_bool(m->meta, "plain_sums", v->plain) ||
        json_set_bool(m->meta, "diagonals", v->diagonals) ||
        (v->modality && json_set_text(m->meta, "modality", v->modality)) ||
        expert_put(m, &v->expert) ||
        json_set(m->meta, "kinds", v->kinds ? json_clone(v->kinds) : json_new_array()))
        return check_no_memory(&m, e);
    return m;
}
