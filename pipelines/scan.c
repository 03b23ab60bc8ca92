/* SPDX-License-Identifier: Apache-2.0 */
/* scan - see scan.h. Codes and other tensors of integers are passed over. */
#include "scan.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../common/base/mem.h"
#include "../common/tensor/safetensors.h"

#define NUMBERS ((size_t)1 << 16) /* looked at at a time, at least a row */
#define NICE 10

struct scan {
    char *model;
    pthread_t thread;
    atomic_int stop, found;
    int told;
    struct err why; /* once found is set */
};

static int tensor_scan(struct scan *s, const struct st_set *st, const struct st_entry *x)
{
    const uint64_t rows = x->ndim ? x->shape[0] : 1;
    const size_t width = rows ? (size_t)(x->bytes / dtype_size(x->dtype) / rows) : 0;
    const uint64_t step = width && width < NUMBERS ? NUMBERS / width : 1;
    float *room = width ? mem_raw((size_t)step * width, sizeof *room, NULL) : NULL;
    int rc = 0;

    for (uint64_t at = 0, n; room && rc == 0 && at < rows && !atomic_load(&s->stop); at += n) {
        n = rows - at < step ? rows - at : step;
        rc = st_load_finite_f32(st, x, at, n, room, &s->why);
    }
    free(room);
    return rc;
}

static void *scan(void *ctx)
{
    struct scan *s = ctx;
    struct st_set *st = st_open_folder(s->model, NULL);
    int rc = 0;

    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* of this thread */
    for (size_t i = 0; st && rc == 0 && i < st->count && !atomic_load(&s->stop); i++)
        if (dtype_is_float(st->entries[i].dtype))
            rc = tensor_scan(s, st, &st->entries[i]);
    st_close(&st);
    if (rc < 0)
        atomic_store(&s->found, 1);
    return NULL;
}

struct scan *scan_start(const char *model, struct err *e)
{
    struct scan *s = mem_array(1, sizeof *s, e);

    if (!s)
        return NULL;
    if ((s->model = mem_text(model, e)) && pthread_create(&s->thread, NULL, scan, s) == 0)
        return s;
    free(s->model);
    free(s);
    err_set(e, ERR_SYS, "cannot start a thread");
    return NULL;
}

int scan_found(struct scan *s, struct err *e)
{
    if (!s || s->told || !atomic_load(&s->found))
        return 0;
    s->told = 1;
    *e = s->why;
    return 1;
}

void scan_stop(struct scan **s)
{
    if (!*s)
        return;
    atomic_store(&(*s)->stop, 1);
    pthread_join((*s)->thread, NULL);
    free((*s)->model);
    free(*s);
    *s = NULL;
}
