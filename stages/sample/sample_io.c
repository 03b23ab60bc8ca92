/* SPDX-License-Identifier: Apache-2.0 */
/* sample_io - see sample_io.h. */
#include "sample_io.h"

#include "../../common/base/pause.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/wire/pump.h"
#include "sample_opts.h"

struct sink {
    struct link *link;
    uint64_t done, total;
};

static int sink_send(void *ctx, size_t peer, struct msg **m, struct err *e)
{
    struct sink *k = ctx;

    pause_wait();
    if (sig_draining())
        return err_set(e, ERR_SYS, "asked to stop");
    if (link_send_to(k->link, peer, m, e) < 0)
        return -1;
    status_update("sending", -1, "", ++k->done, k->total, "chunks");
    return 0;
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
                                      .compress = stage->zstd ? FRAME_ZSTD : FRAME_RAW,
                                      .keys = stage->keys,
                                      .insecure = stage->insecure},
                  e);
    struct pump p = {.out = {out}};
    struct sink k = {out, 0, sample_chunks(s)};
    int peers = out ? link_peers(out, 0, e) : -1, rc = -1;

    if (peers > 0) {
        rc = c->only ? sample_emit_lanes(s, c->only, sink_send, &k, e)
                     : sample_emit(s, (size_t)peers, sink_send, &k, e);
        rc = rc < 0 ? -1 : 1;
        rc = pump_end(&p, rc, e);
    }
    link_close(&out);
    return rc;
}
