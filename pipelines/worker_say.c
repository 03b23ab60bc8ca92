/* SPDX-License-Identifier: Apache-2.0 */
/* worker_say - see worker_say.h. */
#include "worker_say.h"

#include "../common/base/log.h"
#include "../common/base/version.h"
#include "../common/tensor/blas_cpu.h"
#include "../common/wire/talk.h"
#include "worker_state.h"

static void say(struct worker *w, struct msg *m)
{
    struct err e = {0};

    if (m && talk_send(w->z, NULL, &m, &e) < 0)
        log_warn("%s", e.text);
}

/* Nothing while it is not known. */
static int model_add(const struct worker *w, struct json *meta)
{
    return w->model.has || w->model.fetch ? json_set_bool(meta, "model", w->model.has) : 0;
}

void worker_say_join(struct worker *w)
{
    struct msg *m = msg_create(MSG_JOIN, "worker", NULL);
    char kernels[BLAS_KIND];

    blas_kind(kernels);
    if (m && (json_set_text(m->meta, "name", w->name) ||
              json_set_text(m->meta, "version", PTQ_VERSION) ||
              json_set_text(m->meta, "kernels", kernels) ||
              json_set_int(m->meta, "solve", w->command->solve) ||
              json_set_int(m->meta, "forward", w->command->forward) ||
              json_set_real(m->meta, "pace", w->pace) || model_add(w, m->meta)))
        msg_destroy(&m);
    say(w, m);
}

/* [{"name", "epoch", "age", "waited", "lanes", "done"}] of those that the head speaks of. */
static struct json *processes(const struct worker *w)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < w->count; i++) {
        struct json *o = w->slot[i]->unwanted > 0 ? NULL : slot_describe(w->slot[i]);

        if (o && json_push(list, o) != 0)
            json_destroy(&list);
    }
    return list;
}

void worker_say_ping(struct worker *w)
{
    struct msg *m = msg_create(MSG_PING, "worker", NULL);

    if (m && (json_set(m->meta, "processes", processes(w)) ||
              json_set_int(m->meta, "number", w->number) || model_add(w, m->meta) ||
              (w->failed.kind && w->failed_at <= 0 &&
               (json_set_text(m->meta, "failed", w->failed.text) ||
                json_set_int(m->meta, "code", w->failed.kind) ||
                json_set_int(m->meta, "epoch", w->failed_epoch)))))
        msg_destroy(&m);
    say(w, m);
}

void worker_say_leave(struct worker *w, const char *why)
{
    struct msg *m = msg_create(MSG_LEAVE, "worker", NULL);

    if (m && json_set_text(m->meta, "text", why))
        msg_destroy(&m);
    say(w, m);
}
