/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_lend - see hosts_lend.h. */
#include "hosts_lend.h"

#include <stdlib.h>
#include <string.h>

#include "../common/base/bytes.h"
#include "../common/base/log.h"
#include "hosts_state.h"
#include "hosts_work.h"
#include "lend.h"
#include "supervise_state.h"

int hosts_lend_open(struct hosts *h, struct err *e)
{
    char *url = h->o.model ? ports_next(&h->ports, e) : NULL;
    int rc = !h->o.model || (url && (h->lend = lend_open(h->o.model, url, h->o.keys, e))) ? 0 : -1;

    free(url);
    return rc;
}

void hosts_lend_close(struct hosts *h)
{
    const uint64_t sent = h->lend ? lend_sent(h->lend) : 0;
    char a[BYTES_TEXT];

    if (sent)
        log_info("copies of the model: %s were sent", bytes_text((double)sent, a));
    lend_close(&h->lend);
}

/* Those who only solve need no model. */
static int lends(const struct supervise *s)
{
    struct hosts *h = s->hosts;
    struct hosts_shares x;

    if (!h->lends++ && hosts_shares_find(s, &x, NULL) < 0)
        lend_close(&h->lend);
    return h->lend != NULL;
}

int hosts_lend_say(const struct supervise *s, struct json *meta)
{
    if (!lends(s))
        return 0;
    return json_set_text(meta, "model", s->hosts->o.model) ||
                   json_set_int(meta, "lends",
                                strtol(strrchr(lend_address(s->hosts->lend), ':') + 1, NULL, 10))
               ? -1
               : 0;
}

void hosts_lend_heard(const struct supervise *s, struct host *x, const struct json *meta)
{
    int known = 0;

    if (!lends(s) || !x->forward) {
        x->has_model = 1;
        return;
    }
    x->has_model = 0;
    known = json_as_bool(json_get(meta, "model"), &x->has_model) == 0;
    if (known && x->borrows == x->has_model)
        log_info(x->borrows ? "worker '%s' has its copy of the model"
                            : "worker '%s' has no copy of the model: it gets this one",
                 x->name);
    x->borrows = known && !x->has_model;
}
