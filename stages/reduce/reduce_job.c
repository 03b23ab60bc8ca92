/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_job - see reduce_job.h. */
#include "reduce_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/bytes.h"
#include "../../common/base/mem.h"
#include "../../common/wire/share.h"
#include "../../common/base/plural.h"
#include "../../common/wire/msg_chunk.h"

#define CHUNKS_MAX 100000000u

void job_destroy(struct job *j)
{
    if (!j)
        return;
    for (uint64_t l = 0; j->lanes && l < j->nlanes; l++) {
        kept_release(&j->lanes[l].kept);
        free(j->lanes[l].digest);
    }
    free(j->lanes);
    kept_release(&j->total);
    for (size_t i = 0; i < j->nearly; i++)
        msg_destroy(&j->early[i]);
    free(j->early);
    msg_destroy(&j->weights);
    free(j);
}

/* A problem is sent whole: sums that this machine cannot hold are of rows that no model has. */
static int check_room(const struct msg *m, const struct place *p, struct err *e)
{
    const double bytes =
                     (double)p->K * ((double)p->K + 1) / 2 * sizeof(double) * (p->with_d ? 3 : 1),
                 memory = mem_machine();

    char a[BYTES_TEXT], b[BYTES_TEXT];

    if (bytes <= memory)
        return 0;
    return err_set(e, ERR_USE,
                   "message '%s': its rows have %zu inputs: their sums would take %s, this "
                   "machine has %s",
                   m->id, p->K, bytes_text(bytes, a), bytes_text(memory, b));
}

int job_check_weights(const struct job *j, struct err *e)
{
    char want[MSG_ID + 64];

    if (!j->weights || !j->nlanes)
        return 0;
    snprintf(want, sizeof want, "b%llu.%s/w", (unsigned long long)j->block, j->site);
    if (j->weights_k == j->K && strcmp(j->weights->id, want) == 0)
        return 0;
    return err_set(e, ERR_USE,
                   "message '%s': weights with %zu inputs do not match the rows of '%s' with %zu",
                   j->weights->id, j->weights_k, want, j->K);
}

int job_start(struct job *j, struct slabs *slabs, const struct msg *m, const struct place *p,
              struct err *e)
{
    if (!p->chunks || p->chunks > CHUNKS_MAX || !p->lanes || p->lanes > p->chunks)
        return err_set(e, ERR_USE, "message '%s': %llu chunks in %llu lanes is impossible", m->id,
                       (unsigned long long)p->chunks, (unsigned long long)p->lanes);
    if (p->how.holdout > p->chunks)
        return err_set(e, ERR_USE,
                       "one chunk in %llu is to be held out (--holdout), and %llu is all that "
                       "there is: use a smaller number, smaller chunks or more tokens",
                       (unsigned long long)p->how.holdout, (unsigned long long)p->chunks);
    if (check_room(m, p, e) < 0)
        return -1;
    j->with_d = p->with_d;
    j->how = p->how;
    j->expert = p->expert;
    j->home = (struct slab_home){slabs, RANK_TOTAL};
    j->lanes = mem_array((size_t)p->lanes, sizeof *j->lanes, e);
    if (!j->lanes)
        return -1;
    j->nlanes = p->lanes;
    j->chunks = p->chunks;
    j->K = p->K;
    j->block = p->block;
    j->sites = p->sites;
    snprintf(j->site, sizeof j->site, "%s", p->site);
    snprintf(j->run, sizeof j->run, "%s", m->run);
    for (uint64_t l = 0; l < p->lanes; l++) {
        j->lanes[l].first = l * p->chunks / p->lanes;
        j->lanes[l].count = (l + 1) * p->chunks / p->lanes - j->lanes[l].first;
        j->lanes[l].next = j->lanes[l].first;
        j->lanes[l].home = (struct slab_home){slabs, l};
    }
    return 0;
}

int job_check_place(const struct job *j, const struct msg *m, const struct place *p, struct err *e)
{
    if (p->K != j->K || p->chunks != j->chunks || p->lanes != j->nlanes || p->block != j->block ||
        strcmp(p->site, j->site) != 0)
        return err_set(
            e, ERR_USE,
            "message '%s': %s of block %llu (%zu inputs, %llu chunk%s, %llu lane%s) does "
            "not match %s of block "
            "%llu (%zu, %llu, %llu) that came before",
            m->id, p->site, (unsigned long long)p->block, p->K, (unsigned long long)p->chunks,
            plural_s(p->chunks), (unsigned long long)p->lanes, plural_s(p->lanes), j->site,
            (unsigned long long)j->block, j->K, (unsigned long long)j->chunks,
            (unsigned long long)j->nlanes);
    if (j->with_d != p->with_d)
        return err_set(
            e, ERR_USE,
            "message '%s': some chunks have the rows of the full-precision model, others not",
            m->id);
    if (!expert_same(&j->expert, &p->expert))
        return err_set(e, ERR_USE,
                       "message '%s': workers that share a run need the same --experts, --starved "
                       "and --starved-below",
                       m->id);
    if (j->how.holdout != p->how.holdout || j->how.plain != p->how.plain ||
        j->how.length_diagonals != p->how.length_diagonals || j->how.classes != p->how.classes)
        return err_set(e, ERR_USE,
                       "message '%s': reducers whose sums meet need the same --holdout, "
                       "--plain-sums, --length-diagonals and --classes",
                       m->id);
    return 0;
}

int job_check_expert(const struct msg *m, const struct msg_expert *x, const struct kept_how *how,
                     int partial, struct err *e)
{
    if (x->starved != STARVED_ALL_TOKENS || (!partial && !how->classes))
        return 0;
    return err_set(e, ERR_USE,
                   "message '%s': with %s there are no sums of all tokens: use --starved rtn, or "
                   "leave it out",
                   m->id, partial ? "--partial" : "--classes");
}

int job_differs(const struct msg *m, struct err *e)
{
    return err_set(e, ERR_USE, "message '%s' came before with other contents", m->id);
}

int lane_check_repeat(const struct lane *l, const struct msg *m, uint64_t chunk, struct err *e)
{
    if (l->whole || l->digest[chunk - l->first] == msg_checksum(m))
        return 0; /* which rows went into a partial is not known here */
    return job_differs(m, e);
}

int lane_note_digest(struct lane *l, const struct msg *m, size_t at, struct err *e)
{
    if (mem_grow((void **)&l->digest, &l->room, at + 1, sizeof *l->digest, e) < 0)
        return -1;
    l->digest[at] = msg_checksum(m);
    return 0;
}

int job_keep_early(struct job *j, struct msg **m, struct err *e)
{
    for (size_t i = 0; i < j->nearly; i++)
        if (strcmp(j->early[i]->id, (*m)->id) == 0)
            return msg_checksum(j->early[i]) == msg_checksum(*m) ? 0 : job_differs(*m, e);
    if (mem_grow((void **)&j->early, &j->early_cap, j->nearly + 1, sizeof *j->early, e) < 0)
        return -1;
    j->early[j->nearly++] = *m;
    *m = NULL;
    return 0;
}

int job_has_rows(const struct job *j, uint64_t lane)
{
    const struct lane *l = &j->lanes[lane];
    struct acts_view a;
    struct err e;

    for (size_t i = 0; i < j->nearly; i++)
        if (acts_read(j->early[i], &a, &e) == 0 && a.lane == lane)
            return 1;
    return l->next > l->first;
}

int lane_is_whole(const struct lane *l, unsigned apart)
{
    return l->next == l->first + l->count && (l->apart & apart) == apart;
}

int job_is_whole(const struct job *j)
{
    for (uint64_t l = 0; l < j->nlanes; l++)
        if (j->lanes[l].next > j->lanes[l].first &&
            j->lanes[l].next < j->lanes[l].first + j->lanes[l].count)
            return 0;
    return j->nearly == 0;
}

int job_move_weights(struct job *j, struct msg *m, struct err *e)
{
    for (size_t i = 0; i < j->weights->ntensors; i++) {
        share_move(&j->weights->tensors[i]);
        if (msg_add(m, &j->weights->tensors[i], e) < 0)
            return -1;
    }
    return 0;
}
