/* SPDX-License-Identifier: Apache-2.0 */
/* write_prov - see write_prov.h. */
#include "write_prov.h"

#include <string.h>

#include "../../common/base/json.h"
#include "../../common/base/version.h"

static struct json *write_record(const struct plan *p, const char *format)
{
    struct json *r = json_new_object();

    if (json_set_text(r, "stage", "write") || json_set_text(r, "version", PTQ_VERSION) ||
        json_set_text(r, "format", format) ||
        (p->any_kernels && json_set_text(r, "kernels", "any")) ||
        (p->left && json_set_int(r, "sites_left", (int64_t)p->left)))
        json_destroy(&r);
    return r;
}

/* {"from","sites","prov"} of sites that follow each other with the same provenance. */
static struct json *prov_run(const struct plan *p, size_t from, size_t sites)
{
    struct json *r = json_new_object(),
                *prov = json_parse(p->site[from].prov, strlen(p->site[from].prov), "prov", NULL);

    if (json_set(r, "prov", prov) || json_set_int(r, "from", (int64_t)from) ||
        json_set_int(r, "sites", (int64_t)sites))
        json_destroy(&r);
    return r;
}

/* Adds the records that all sites share, else one entry per run of sites. */
static int prov_push(struct json *all, const struct plan *p)
{
    size_t same = 1;
    int bad = 0;

    while (same < p->sites && strcmp(p->site[0].prov, p->site[same].prov) == 0)
        same++;
    if (same == p->sites) {
        struct json *prov = json_parse(p->site[0].prov, strlen(p->site[0].prov), "prov", NULL);

        bad = !prov;
        for (size_t i = 0; i < json_count(prov) && !bad; i++)
            bad = json_push(all, json_clone(json_at(prov, i)));
        json_destroy(&prov);
        return bad;
    }
    for (size_t from = 0, end; from < p->sites && !bad; from = end) {
        for (end = from + 1; end < p->sites && !strcmp(p->site[from].prov, p->site[end].prov);)
            end++;
        bad = json_push(all, prov_run(p, from, end - from));
    }
    return bad;
}

char *prov_text(const struct plan *p, const char *format, struct err *e)
{
    struct json *all = st_records(p->source);
    char *text = NULL;

    if (prov_push(all, p) || json_push(all, write_record(p, format)))
        err_set(e, ERR_SYS, "provenance: out of memory");
    else
        text = json_print(all, 0, e);
    json_destroy(&all);
    return text;
}
