/* SPDX-License-Identifier: Apache-2.0 */
/* eval_states - see eval_states.h. */
#include "eval_states.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/fs.h"
#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"
#include "../../common/tensor/safetensors.h"
#include "eval_images.h"

#define KEY "reference"

struct states {
    size_t d;
    struct st_set *in; /* kept: read */
    const struct st_entry *hidden;
    struct st_writer *out; /* else: written */
};

/* Of everything that the states depend on. */
static int key_of(const char *dir, const struct model *ref, const struct windows *w, char key[17],
                  struct err *e)
{
    struct st_set *files = st_open_folder(dir, e);
    const uint64_t config = model_digest(ref);
    const char *products = products_name(model_products(ref));
    struct hash h;
    int rc = files ? 0 : -1;

    hash_start(&h);
    hash_add(&h, &config, sizeof config);
    for (size_t i = 0; rc == 0 && i < files->nshards; i++) {
        uint64_t digest = 0;

        rc = hash_file(files->paths[i], &digest, e);
        hash_add(&h, &digest, sizeof digest);
    }
    hash_add(&h, w->start, (w->count + 1) * sizeof *w->start);
    hash_add(&h, w->ids, w->tokens * sizeof *w->ids);
    if (w->pictures)
        hash_add(&h, &w->pictures->digest, sizeof w->pictures->digest);
    hash_add(&h, blas_kernel(), strlen(blas_kernel()));
    if (model_products(ref))
        hash_add(&h, products, strlen(products));
    hash_hex(hash_end(&h), key);
    st_close(&files);
    return rc;
}

static int file_read(struct states *s, const char *path, const char *key, size_t tokens,
                     struct err *e)
{
    const char *have;

    if (!(s->in = st_open(path, e)))
        return -1;
    have = json_as_text(json_get(s->in->metadata, KEY));
    s->hidden = st_find(s->in, "hidden");
    if (!have || strcmp(have, key) != 0 || !s->hidden || s->hidden->dtype != DT_F32 ||
        s->hidden->ndim != 2 || s->hidden->shape[0] != tokens || s->hidden->shape[1] != s->d)
        return err_set(e, ERR_USE,
                       "%s: not the states of this reference on these windows, products and kind "
                       "of CPU: name another file, or remove it",
                       path);
    return 0;
}

static int file_begin(struct states *s, const char *path, const char *key, size_t tokens,
                      struct err *e)
{
    const uint64_t shape[2] = {tokens, s->d};

    return (s->out = st_create(path, e)) && st_meta(s->out, KEY, key, e) == 0 &&
                   st_declare(s->out, "hidden", DT_F32, 2, shape, e) == 0 &&
                   st_begin(s->out, e) == 0
               ? 0
               : -1;
}

struct states *states_open(const char *path, const char *ref_dir, const struct model *ref,
                           const struct windows *w, struct err *e)
{
    struct states *s = mem_array(1, sizeof *s, e);
    char key[17];
    int rc = -1;

    if (!s)
        return NULL;
    s->d = model_config(ref)->d;
    if (key_of(ref_dir, ref, w, key, e) == 0)
        rc = fs_exists(path) ? file_read(s, path, key, w->tokens, e)
                             : file_begin(s, path, key, w->tokens, e);
    if (rc != 0)
        states_close(&s);
    return s;
}

int states_kept(const struct states *s)
{
    return s && s->in;
}

int states_get(struct states *s, size_t first, size_t tokens, float *to, struct err *e)
{
    return st_load_rows_f32(s->in, s->hidden, first, tokens, to, e);
}

int states_put(struct states *s, size_t first, size_t tokens, const float *from, struct err *e)
{
    return st_put_part(s->out, "hidden", first * s->d * sizeof *from, from,
                       tokens * s->d * sizeof *from, e);
}

int states_finish(struct states *s, struct err *e)
{
    return s && s->out ? st_publish(&s->out, e) : 0;
}

void states_close(struct states **sp)
{
    struct states *s = sp ? *sp : NULL;

    if (!s)
        return;
    if (s->out)
        st_abort(&s->out);
    st_close(&s->in);
    free(s);
    *sp = NULL;
}
