/* SPDX-License-Identifier: Apache-2.0 */
/* sample_sites - weights of tokens at single sites of the model, from the file of token weights: a
 * tensor for each, called as the site (b3.attn.qkv). Whether the model has the site is for
 * ptq-forward to say. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/mem.h"
#include "sample_impl.h"
#include "sample_rows.h"

/* "b3.attn.qkv": block and site; 0: the tensor is of something else. */
static int name_parse(const char *name, struct site_weight *x)
{
    char *end;

    if (name[0] != 'b' || name[1] < '0' || name[1] > '9')
        return 0;
    x->block = strtoull(name + 1, &end, 10);
    if (end[0] != '.' || !end[1] || strlen(end + 1) >= sizeof x->site)
        return 0;
    snprintf(x->site, sizeof x->site, "%s", end + 1);
    return 1;
}

static int site_add(struct sample *s, const struct st_set *set, const struct st_entry *x,
                    const struct site_weight *of, struct err *e)
{
    const uint64_t tokens = sample_tokens(s);
    struct site_weight *to = &s->site_weight[s->nsites];
    struct json *j;

    if (of->block >= s->config.layers)
        return err_set(e, ERR_USE, "%s: tensor \"%.80s\": the model has %zu blocks",
                       s->o.token_weights, x->name, s->config.layers);
    if (x->ndim != 1 || x->shape[0] != tokens)
        return err_set(e, ERR_USE,
                       "%s: tensor \"%.80s\" must be [%" PRIu64 "], one number for each token of "
                       "the rows",
                       s->o.token_weights, x->name, tokens);
    *to = *of;
    if (!(to->w = mem_array(tokens, sizeof *to->w, e)))
        return -1;
    s->nsites++;
    j = json_new_object();
    if (json_set_int(j, "block", (int64_t)to->block) || json_set_text(j, "site", to->site)) {
        json_destroy(&j);
        return err_set(e, ERR_SYS, "no memory for the list of sites");
    }
    if (json_push(s->sites, j) < 0)
        return err_set(e, ERR_SYS, "no memory for the list of sites");
    return st_load_rows_f32(set, x, 0, tokens, to->w, e);
}

int sample_sites_read(struct sample *s, const struct st_set *set, struct err *e)
{
    struct site_weight of = {.w = NULL};

    if (!(s->site_weight = mem_array(set->count, sizeof *s->site_weight, e)) ||
        !(s->sites = json_new_array()))
        return -1;
    for (size_t i = 0; i < set->count; i++)
        if (name_parse(set->entries[i].name, &of) && site_add(s, set, &set->entries[i], &of, e) < 0)
            return -1;
    return 0;
}

float *sample_sites_fill(const struct sample *s, size_t first, size_t rows, size_t T, struct err *e)
{
    float *out = mem_array(s->nsites * T, sizeof *out, e), *to = out;

    for (size_t i = 0; out && i < s->nsites; i++)
        for (size_t r = first; r < first + rows; to += s->row[r++].length)
            memcpy(to, s->site_weight[i].w + s->row[r].at, s->row[r].length * sizeof *to);
    return out;
}

void sample_sites_release(struct sample *s)
{
    for (size_t i = 0; i < s->nsites; i++)
        free(s->site_weight[i].w);
    free(s->site_weight);
    json_destroy(&s->sites);
}
