/* SPDX-License-Identifier: Apache-2.0 */
/* write_assemble - a Hugging Face folder of safetensors from the source checkpoint and the part
 * files.
 *
 * Tensors keep the order of their names; files are cut where shard_bytes would be passed, all
 * tensors of a linear in one file. Everything that is not a replaced weight is copied byte for
 * byte; so are the source's other files. One site's solution and one linear's words are in
 * memory at a time. What it leaves out: the choice of what stands for a weight (common/format),
 * publishing (write_out.c). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/base/fs.h"
#include "../../common/base/mem.h"
#include "../../common/model/config_text.h"
#include "../../common/model/sidecar.h"
#include "../../common/text/model_file.h"
#include "../../common/wire/follow.h"
#include "../../common/wire/frame.h"
#include "write_assemble.h"
#include "write_head.h"

#define CONFIG_MAX ((size_t)16 << 20)

/* A tensor of the source: copied, or replaced by those of its linear. */
struct piece {
    const struct st_entry *source;
    /* NULL: copied, as are the weights that stay what they were */
    const struct plan_linear *linear;
    int stack; /* a tensor of several linears, which give it their parts */
    size_t shard;
};

struct job {
    struct assembly *a;
    const struct format *format;
    struct piece *pieces;
    size_t npieces;
    size_t *linear_shard;
    size_t nshards;
    struct st_writer **writers;
    struct json *map; /* weight_map of the index; NULL with one shard */
};

static int part_read(const char *path, const struct plan *p, size_t order, struct msg **m,
                     struct solution_view *v, struct err *e)
{
    const struct frame_limits limits = FRAME_LIMITS_DEFAULT;
    const struct solution_linear *linear[PROBLEM_LINEARS];
    uint64_t digest;
    int fd, got;

    if (fs_check_regular(path, e) < 0)
        return -1;
    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return errno == ENOENT ? err_set(e, ERR_USE, "'%s' is missing", path)
                               : err_sys(e, "cannot open '%s'", path);
    got = frame_read(fd, m, &limits, path, NULL, e);
    close(fd);
    if (got == 0)
        return err_set(e, ERR_USE, "'%s' is empty", path);
    if (got != 1)
        return -1;
    if (solution_read(*m, v, e) || plan_check(p, v, linear, &digest, e))
        return err_prefix(e, "'%s'", path);
    if (v->order != order || (p->site[order].done && p->site[order].digest != digest))
        return err_set(e, ERR_USE, "'%s' is not what was written there", path);
    return 0;
}

int assemble_part(const char *parts, const struct plan *p, size_t order, struct msg **m,
                  struct solution_view *v, struct err *e)
{
    char name[32], *path;
    int rc;

    *m = NULL;
    follow_part_name(order, name);
    if (!(path = fs_join(parts, name, e)))
        return -1;
    rc = part_read(path, p, order, m, v, e);
    if (rc && e->kind != ERR_SYS)
        e->kind = ERR_USE; /* another try finds the same */
    if (rc)
        msg_destroy(m);
    free(path);
    return rc;
}

int part_advise(struct err *e)
{
    char why[400];

    if (e->kind == ERR_SYS)
        return -1;
    snprintf(why, sizeof why, "%.399s", e->text);
    return err_set(e, ERR_USE, "%s; --overwrite starts again", why);
}

const struct tensor *assemble_changed(const struct plan *p, const char *parts,
                                      const struct plan_changed *c, struct msg **m, struct err *e)
{
    struct solution_view *v = mem_array(1, sizeof *v, e);
    const struct tensor *t = NULL;

    *m = NULL;
    if (v && assemble_part(parts, p, c->order, m, v, e) == 0 &&
        !(t = msg_tensor(*m, c->source->name)))
        err_set(e, ERR_USE, "the part of site %zu has no '%s' any more", c->order, c->source->name);
    free(v);
    return t;
}

static char *weight_file(const struct job *j, size_t shard, struct err *e)
{
    if (j->nshards == 1)
        return mem_text("model.safetensors", e);
    return mem_printf(e, "model-%05zu-of-%05zu.safetensors", shard + 1, j->nshards);
}

static int piece_bytes(const struct job *j, const struct piece *x, uint64_t *bytes, struct err *e)
{
    *bytes = x->source->bytes;
    return x->linear ? format_bytes(j->format, &x->linear->f, bytes, e) : 0;
}

static void piece_add(struct job *j, const struct st_entry *source, const struct plan_linear *l)
{
    j->pieces[j->npieces++] =
        (struct piece){.source = source, .linear = l && !l->f.kept ? l : NULL};
}

/* Every linear that is cut from the tensor stays what it was. */
static int all_kept(const struct plan *p, const char *tensor,
                    size_t (*next)(const struct plan *p, const char *tensor, size_t at))
{
    for (size_t i = next(p, tensor, 0); i < p->nlinears; i = next(p, tensor, i + 1))
        if (!p->linear[i].f.kept)
            return 0;
    return 1;
}

/* A tensor that holds several linears, or their biases, is cut into them, unless all stay what
 * they were or the format leaves them together. */
static void pieces_add(struct job *j, const struct st_entry *x)
{
    const struct plan *p = j->a->plan;
    const struct plan_linear *packed = plan_find_part(p, x->name);
    const int stays = j->format->stacks;
    size_t i;

    if (packed) { /* all its tensors go, its new ones come where the mark was */
        if (strcmp(packed->source.name, x->name) == 0)
            piece_add(j, x, packed);
        return;
    }
    if (!all_kept(p, x->name, plan_cut)) {
        if (stays)
            j->pieces[j->npieces++] = (struct piece){.source = x, .stack = 1};
        for (i = plan_cut(p, x->name, 0); !stays && i < p->nlinears;
             i = plan_cut(p, x->name, i + 1))
            piece_add(j, &p->linear[i].source, &p->linear[i]);
    } else if (!stays && !all_kept(p, x->name, plan_cut_bias)) {
        for (i = plan_cut_bias(p, x->name, 0); i < p->nlinears;
             i = plan_cut_bias(p, x->name, i + 1))
            piece_add(j, &p->linear[i].bias, NULL);
    } else
        piece_add(j, x, plan_find_weight(p, x->name));
}

static int pieces_make(struct job *j, struct err *e)
{
    const struct plan *p = j->a->plan;
    uint64_t bytes, filled = 0;

    if (!(j->pieces = mem_array(p->source->count + 2 * p->nlinears, sizeof *j->pieces, e)) ||
        !(j->linear_shard = mem_array(p->nlinears, sizeof *j->linear_shard, e)))
        return -1;
    for (size_t i = 0; i < p->source->count; i++)
        pieces_add(j, &p->source->entries[i]);
    for (size_t i = 0; i < j->npieces; i++) {
        struct piece *x = &j->pieces[i];

        if (piece_bytes(j, x, &bytes, e))
            return -1;
        if (filled &&
            bytes > j->a->shard_bytes - (filled < j->a->shard_bytes ? filled : j->a->shard_bytes)) {
            j->nshards++;
            filled = 0;
        }
        x->shard = j->nshards;
        if (x->linear)
            j->linear_shard[x->linear - p->linear] = x->shard;
        for (size_t k = x->stack ? plan_cut(p, x->source->name, 0) : p->nlinears; k < p->nlinears;
             k = plan_cut(p, x->source->name, k + 1))
            j->linear_shard[k] = x->shard;
        filled += bytes;
        j->a->bytes += bytes;
    }
    j->nshards++;
    return 0;
}

static int declare(struct job *j, size_t shard, const char *name, enum dtype t, int ndim,
                   const uint64_t *shape, struct err *e)
{
    char *file;
    int rc;

    if (st_declare(j->writers[shard], name, t, ndim, shape, e))
        return -1;
    if (!j->map)
        return 0;
    if (!(file = weight_file(j, shard, e)))
        return -1;
    rc = json_set_text(j->map, name, file) ? err_set(e, ERR_SYS, "index: out of memory") : 0;
    free(file);
    return rc;
}

static int writers_open(struct job *j, struct err *e)
{
    struct format_tensor t[FORMAT_TENSORS];
    int n = 0;

    if (!(j->writers = mem_array(j->nshards, sizeof *j->writers, e)))
        return -1;
    for (size_t i = 0; i < j->nshards; i++) {
        char *file = weight_file(j, i, e), *path = file ? fs_join(j->a->folder, file, e) : NULL;

        if (path)
            j->writers[i] = st_create(path, e);
        free(path);
        free(file);
        if (!j->writers[i] || st_meta(j->writers[i], ST_RECORDS, j->a->prov, e))
            return -1;
    }
    for (size_t i = 0; i < j->npieces; i++) {
        const struct piece *x = &j->pieces[i];
        const struct st_entry *s = x->source;

        if (!x->linear && declare(j, x->shard, s->name, s->dtype, s->ndim, s->shape, e))
            return -1;
        if (x->linear && (n = j->format->tensors(&x->linear->f, t, e)) < 0)
            return -1;
        for (int k = 0; x->linear && k < n; k++)
            if (declare(j, x->shard, t[k].name, t[k].dtype, t[k].ndim, t[k].shape, e))
                return -1;
    }
    for (size_t i = 0; i < j->nshards; i++)
        if (st_begin(j->writers[i], e))
            return -1;
    return 0;
}

static int emit(void *ctx, const char *name, const void *data, size_t bytes, struct err *e)
{
    return st_put(ctx, name, data, bytes, e);
}

/* ---- linears that stay together in one tensor ---- */

struct stack {
    struct job *j;
    const struct plan_linear *l;
};

static struct st_writer *writer_of(const struct job *j, const struct plan_linear *l)
{
    return j->writers[j->linear_shard[l - j->a->plan->linear]];
}

/* The weights of a linear, as its source has them, to where they stand there. */
static int stack_put(const struct job *j, const struct plan_linear *l, const void *data,
                     size_t bytes, struct err *e)
{
    const struct st_entry *x = &l->source, *whole = st_find(j->a->plan->source, l->whole);
    const uint64_t at = x->offset - whole->offset;
    void *turned;
    int rc;

    if (!x->turned)
        return st_put_at(writer_of(j, l), l->whole, at, data, bytes, e);
    if (!(turned = mem_raw(bytes, 1, e)))
        return -1;
    st_turn_bytes(data, (size_t)x->shape[0], (size_t)x->shape[1], dtype_size(x->dtype), turned);
    rc = st_put_at(writer_of(j, l), l->whole, at, turned, bytes, e);
    free(turned);
    return rc;
}

static int stack_emit(void *ctx, const char *name, const void *data, size_t bytes, struct err *e)
{
    const struct stack *s = ctx;

    if (bytes != s->l->source.bytes)
        return err_set(e, ERR_USE, "'%s': %zu bytes for a part of %llu of '%s'", name, bytes,
                       (unsigned long long)s->l->source.bytes, s->l->whole);
    return stack_put(s->j, s->l, data, bytes, e);
}

/* Those that stay what they were, of a tensor that has others. */
static int stack_copy(const struct job *j, const struct piece *x, struct err *e)
{
    const struct plan *p = j->a->plan;
    const char *name = x->source->name;
    int rc = 0;

    for (size_t i = plan_cut(p, name, 0); rc == 0 && i < p->nlinears;
         i = plan_cut(p, name, i + 1)) {
        struct tensor t;

        if (!p->linear[i].f.kept)
            continue;
        if (st_load(p->source, &p->linear[i].source, &t, e))
            return -1;
        rc = stack_put(j, &p->linear[i], t.data, t.bytes, e);
        tensor_release(&t);
    }
    return rc;
}

static int linear_write(void *arg, const struct plan_linear *l, const struct coded *c,
                        struct err *e)
{
    struct job *j = arg;

    if (l->whole && j->format->stacks)
        return j->format->put(&l->f, c, stack_emit, &(struct stack){j, l}, e);
    return j->format->put(&l->f, c, emit, writer_of(j, l), e);
}

int assemble_codes(const struct assembly *a, assembly_take *take, void *arg, struct err *e)
{
    const struct plan *p = a->plan;

    for (size_t order = 0; order < p->sites; order++) {
        struct solution_view v;
        struct msg *m;
        struct coded c;
        int rc;

        if (p->site[order].left)
            continue;
        rc = assemble_part(a->parts, p, order, &m, &v, e) ? part_advise(e) : 0;
        for (size_t i = 0; rc == 0 && i < v.nlinears; i++) {
            const struct plan_linear *l = plan_find(p, v.linear[i].name);

            if (!l->f.kept)
                rc = coded_read(&v.linear[i], &c, e) || take(arg, l, &c, e) ? -1 : 0;
        }
        msg_destroy(&m);
        if (rc)
            return -1;
    }
    return 0;
}

/* As the source has it, or as a solution wants it. */
static int whole_copy(const struct job *j, const struct piece *x, struct err *e)
{
    const struct plan *p = j->a->plan;
    const struct plan_changed *c = plan_find_changed(p, x->source->name);
    struct st_writer *to = j->writers[x->shard];
    const struct tensor *t;
    struct msg *m;
    int rc;

    if (!c)
        return st_copy(to, x->source->name, p->source, x->source, e);
    t = assemble_changed(p, j->a->parts, c, &m, e);
    rc = t ? st_put(to, t->name, t->data, t->bytes, e) : -1;
    msg_destroy(&m);
    return rc;
}

static int tensors_write(struct job *j, struct err *e)
{
    for (size_t i = 0; i < j->npieces; i++) {
        const struct piece *x = &j->pieces[i];

        if (x->stack ? stack_copy(j, x, e) : !x->linear && whole_copy(j, x, e))
            return -1;
    }
    if (j->a->codes(j->a, linear_write, j, e) ||
        (j->a->head && head_codes(j->a->plan, linear_write, j, e)))
        return -1;
    for (size_t i = 0; i < j->nshards; i++)
        if (st_publish(&j->writers[i], e))
            return -1;
    return 0;
}

static int text_publish(const struct assembly *a, const char *name, const char *text, struct err *e)
{
    char *path = fs_join(a->folder, name, e);
    int rc = path ? fs_publish(path, text, strlen(text), e) : -1;

    free(path);
    return rc;
}

static int json_publish(const struct job *j, const char *name, const struct json *value,
                        struct err *e)
{
    char *text = json_print(value, 2, e), *line = text ? mem_printf(e, "%s\n", text) : NULL;
    int rc = line ? text_publish(j->a, name, line, e) : -1;

    free(line);
    free(text);
    return rc;
}

static int index_publish(struct job *j, struct err *e)
{
    struct json *index = json_new_object(), *metadata = json_new_object();
    int rc = -1;

    if (json_set_int(metadata, "total_size", (int64_t)j->a->bytes))
        json_destroy(&metadata);
    rc = json_set(index, "metadata", metadata);
    if (rc == 0)
        rc = json_set(index, "weight_map", json_clone(j->map));
    rc = rc ? err_set(e, ERR_SYS, "index: out of memory")
            : json_publish(j, "model.safetensors.index.json", index, e);
    json_destroy(&index);
    return rc;
}

static int config_publish(struct job *j, struct err *e)
{
    const struct plan *p = j->a->plan;
    char *path = fs_join(p->dir, "config.json", e), *text = NULL, *edited = NULL;
    struct format_model m;
    struct json *q = NULL;
    enum dtype dtype;
    size_t length;
    int rc = -1;

    if (!path || !(text = model_file_read(p->dir, "config.json", CONFIG_MAX, &length, e)) ||
        ((p->packed || format_unpacked(p->config.file)) &&
         config_text_drop(&text, "quantization_config", e)) ||
        (p->config.own_head && config_text_set_all(&text, "tie_word_embeddings", "false", e)))
        goto out;
    length = strlen(text);
    if (!j->format->config) {
        rc = text_publish(j->a, "config.json", text, e);
        goto out;
    }
    plan_model(p, &m);
    if (!(q = j->format->config(&m, &dtype, e)) ||
        !(edited = config_edit(text, length, q, dtype, path, e)) ||
        text_publish(j->a, "config.json", edited, e))
        goto out;
    rc = j->format->config_copy ? json_publish(j, j->format->config_copy, q, e) : 0;
out:
    json_destroy(&q);
    free(edited);
    free(text);
    free(path);
    return rc;
}

int card_publish(const struct assembly *a, const struct format *format, struct err *e)
{
    char *text = card_text(a->plan, format, a->bytes, a->head_bits, e);
    const int rc = text ? text_publish(a, "README.md", text, e) : -1;

    free(text);
    return rc;
}

static int assemble_safetensors(struct assembly *a, const struct format *format, struct err *e)
{
    struct job j = {.a = a, .format = format};
    int rc = -1;

    if (pieces_make(&j, e))
        goto out;
    if (j.nshards > 1 && !(j.map = json_new_object())) {
        err_set(e, ERR_SYS, "index: out of memory");
        goto out;
    }
    if (writers_open(&j, e) || tensors_write(&j, e) || (j.map && index_publish(&j, e)))
        goto out;
    rc = sidecar_copy(a->plan->dir, a->folder, e) || card_publish(a, format, e)
             ? -1
             : config_publish(&j, e);
out:
    for (size_t i = 0; j.writers && i < j.nshards; i++)
        st_abort(&j.writers[i]);
    free(j.writers);
    free(j.linear_shard);
    free(j.pieces);
    json_destroy(&j.map);
    return rc;
}

int assemble_checkpoint(struct assembly *a, const struct format *format, struct err *e)
{
    return (format->container == FORMAT_GGUF ? assemble_gguf : assemble_safetensors)(a, format, e);
}
