/* SPDX-License-Identifier: Apache-2.0 */
/* worker_model - see worker_model.h. */
#include "worker_model.h"

#include <stdlib.h>

#include "../common/base/bytes.h"
#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "fetch.h"

#define TELL_S 5.0
#define PORT_MAX 65535

/* A folder of models, or a GGUF file; whether it is the run's is found by who reads it. */
static int is_here(const char *model)
{
    char *config = fs_join(model, "config.json", NULL);
    const int there = config && fs_exists(fs_is_dir(model) ? config : model);

    free(config);
    return there;
}

static char *cache_folder(const char *said, struct err *e)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

    if (said)
        return mem_text(said, e);
    if (base && *base == '/')
        return mem_printf(e, "%s/ptqflow", base);
    if (home && *home == '/')
        return mem_printf(e, "%s/.cache/ptqflow", home);
    err_set(e, ERR_USE,
            "there is no folder for a copy of the model: say --cache DIR, or --model "
            "with a copy");
    return NULL;
}

static int borrow(struct worker_model *m, const char *identity, const char *model, int64_t port,
                  struct err *e)
{
    char *url = mem_printf(e, "%s:%lld", m->host, (long long)port),
         *dir = url ? cache_folder(m->cache, e) : NULL;
    const struct fetch_opts o = {
        .url = url, .identity = identity, .keys = m->keys, .dir = dir, .most = m->most};

    if (dir && (m->fetch = fetch_open(&o, e)))
        log_info("there is no model '%.200s' on this host: the head is asked for a copy, into "
                 "'%.200s'",
                 model, dir);
    free(url);
    free(dir);
    return m->fetch ? 1 : -1;
}

int worker_model_heard(struct worker_model *m, const char *identity, const struct json *said,
                       struct err *e)
{
    const char *model = json_as_text(json_get(said, "model"));
    int64_t port;

    if (m->has || m->fetch || !model)
        return 0;
    if (!m->most || is_here(model)) {
        m->has = 1;
        return 1;
    }
    return json_need_int(said, "lends", 1, PORT_MAX, &port, "ping", e) < 0
               ? -1
               : borrow(m, identity, model, port, e);
}

static void tell(enum fetch_state state, uint64_t bytes, uint64_t of)
{
    char a[BYTES_TEXT], b[BYTES_TEXT];

    bytes_text((double)bytes, a);
    bytes_text((double)of, b);
    if (state == FETCH_ASKS && of)
        log_info("the head reads its model: %s of %s", a, b);
    else if (state == FETCH_WAITS)
        log_info("another worker of this host makes the copy of the model");
    else if (state == FETCH_COPIES)
        log_info("the copy of the model: %s of %s", a, b);
}

int worker_model_tick(struct worker_model *m, struct worker_terms *terms, double now, struct err *e)
{
    char a[BYTES_TEXT], b[BYTES_TEXT];
    enum fetch_state state;
    uint64_t bytes, of;

    if (m->has || !m->fetch)
        return 0;
    state = fetch_look(m->fetch, &bytes, &of);
    if (state == FETCH_FAILED) {
        *e = *fetch_error(m->fetch);
        return err_prefix(e, "the model");
    }
    if (state == FETCH_DONE) {
        terms->model = fetch_model(m->fetch);
        m->has = 1;
        log_info("the copy of the model is whole, %s of %s came now: %s",
                 bytes_text((double)fetch_came(m->fetch), a), bytes_text((double)of, b),
                 terms->model);
        return 1;
    }
    if (now - m->told > TELL_S || m->told_last != (int)state) {
        m->told = now;
        m->told_last = (int)state;
        tell(state, bytes, of);
    }
    return 0;
}

void worker_model_release(struct worker_model *m)
{
    fetch_close(&m->fetch);
}
