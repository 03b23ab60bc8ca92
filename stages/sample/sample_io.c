/* SPDX-License-Identifier: Apache-2.0 */
/* sample_io - see sample_io.h. */
#include "sample_io.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/base/pause.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/wire/pump.h"
#include "sample_opts.h"
#include "sample_paces.h"

struct place {
    double pace;
    size_t peer;
    char name[LINK_PLACE];
};

struct sink {
    struct link *link;
    struct place *place; /* of each that takes chunks, in the order in which they are dealt to */
    uint64_t done, total;
};

static int sink_send(void *ctx, size_t peer, struct msg **m, struct err *e)
{
    struct sink *k = ctx;

    pause_wait();
    if (sig_draining())
        return err_set(e, ERR_SYS, "asked to stop");
    if (link_send_to(k->link, k->place[peer].peer, m, e) < 0)
        return -1;
    status_update("sending", -1, "", ++k->done, k->total, "chunks");
    return 0;
}

static int place_compare(const void *a, const void *b)
{
    const struct place *p = a, *q = b;
    const int by_name = strcmp(p->name, q->name);

    return by_name ? by_name : (p->peer > q->peer) - (p->peer < q->peer);
}

/* Those that have a place go by its name, not by who came first: when chunks are dealt once more
 * (the sampler before was lost) each gets its lanes again, and knows what it has. */
static struct place *places_sort(struct link *l, size_t peers, const char *text, struct err *e)
{
    struct place *place = mem_array(peers, sizeof *place, e);
    struct sample_pace *paces = NULL;
    size_t n = 0;

    if (place && paces_parse(text, &paces, &n, e) < 0) {
        free(place);
        return NULL;
    }
    for (size_t i = 0; place && i < peers; i++) {
        place[i].peer = i;
        link_place(l, i, place[i].name);
        place[i].pace = paces_of(paces, n, place[i].name);
    }
    free(paces);
    if (place)
        qsort(place, peers, sizeof *place, place_compare);
    return place;
}

static int emit_all(const struct sample *s, size_t peers, struct sink *k, struct err *e)
{
    double *pace = mem_array(peers, sizeof *pace, e);
    int rc = -1;

    for (size_t i = 0; pace && i < peers; i++)
        pace[i] = k->place[i].pace;
    if (pace)
        rc = sample_emit(s, peers, pace, sink_send, k, e);
    free(pace);
    return rc;
}

int sample_io_send(const struct stage *stage, struct sample *s, struct err *e)
{
    const struct sample_command *c = stage->own;
    struct link *out =
        link_open(stage->out, LINK_OUT,
                  &(struct link_opts){.name = "sample",
                                      .sends = LINK_KIND(MSG_CHUNK),
                                      .run = sample_run(s),
                                      .peers = (size_t)c->peers,
                                      .lease = &c->lease,
                                      .compress = stage->zstd ? FRAME_ZSTD : FRAME_RAW,
                                      .keys = stage->keys,
                                      .insecure = stage->insecure},
                  e);
    struct pump p = {.out = {out}};
    struct sink k = {out, NULL, 0, sample_chunks(s)};
    int peers = out ? link_peers(out, 0, e) : -1, rc = -1;

    if (peers > 0 && (k.place = places_sort(out, (size_t)peers, c->paces_text, e))) {
        rc = c->only ? sample_emit_lanes(s, c->only, (size_t)peers, sink_send, &k, e)
                     : emit_all(s, (size_t)peers, &k, e);
        rc = rc < 0 ? -1 : 1;
        rc = pump_end(&p, rc, e);
    }
    free(k.place);
    link_close(&out);
    return rc;
}
