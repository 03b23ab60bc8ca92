/* SPDX-License-Identifier: Apache-2.0 */
/* model_unread - tensors of a checkpoint that no program asks for. A block more than config.json
 * counts, a norm or a bias that its model_type does not have: the numbers without them would be
 * those of another model, and nothing else would show it. Leaves out what is outside the blocks
 * and the head (towers, buffers), and what is no weight. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model.h"
#include "model_parts.h"

static int ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

/* Whether name is PREFIX.more */
static int is_below(const char *name, const char *prefix)
{
    const size_t n = strlen(prefix);

    return strncmp(name, prefix, n) == 0 && name[n] == '.';
}

/* Of a block that the family knows to stand behind the last one. */
static int is_behind(const struct model *m, const char *name)
{
    unsigned long block;

    if (!is_below(name, m->f->blocks))
        return 0;
    block = strtoul(name + strlen(m->f->blocks) + 1, NULL, 10);
    return block >= m->c.layers && block - m->c.layers < m->c.blocks_behind;
}

/* Published all the same: keys and values of blocks that use those of others. */
static int is_spare(const struct model *m, const char *name)
{
    static const char *const parts[] = {".self_attn.k_proj.", ".self_attn.v_proj.",
                                        ".self_attn.k_norm.", ".self_attn.v_norm."};
    int spare = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        spare |= strstr(name, parts[i]) != NULL;
    return spare && is_below(name, m->f->blocks) &&
           strtoul(name + strlen(m->f->blocks) + 1, NULL, 10) >= m->c.layers - m->c.shared_keys;
}

/* Both matrices of a tied model may be there. */
static int is_end(const struct model *m, const char *name)
{
    char head[TENSOR_NAME];

    snprintf(head, sizeof head, "%s.weight", m->f->head);
    return strcmp(name, head) == 0;
}

void model_mark(const struct model *m, const struct op_tensor *t, char *seen)
{
    const char *const names[2] = {t->name, t->whole};

    for (int i = 0; i < 2; i++) {
        const struct st_entry *x = names[i] ? st_find(m->st, names[i]) : NULL;

        if (x)
            seen[x - m->st->entries] = 1;
    }
}

int model_check_unread(const struct model *m, const char *seen, struct err *e)
{
    for (size_t i = 0; i < m->st->count; i++) {
        const struct st_entry *x = &m->st->entries[i];

        if (!seen[i] && (is_below(x->name, m->f->blocks) || is_below(x->name, m->f->head)) &&
            (ends_with(x->name, ".weight") || ends_with(x->name, ".bias")) && !is_end(m, x->name) &&
            !is_behind(m, x->name) && !is_spare(m, x->name))
            return err_set(e, ERR_USE,
                           "%s: tensor '%s' is there, but a model_type '%s' of %zu blocks "
                           "(config.json: num_hidden_layers) has no such tensor: the result would "
                           "be that of another model",
                           m->st->paths[x->shard], x->name, m->c.model_type, m->c.layers);
    }
    return 0;
}
