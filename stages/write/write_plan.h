/* SPDX-License-Identifier: Apache-2.0 */
/* write_plan - the model that is being quantized: its tensors, its sites in the order of the
 * run, and for each linear what its solution was like. Tensors themselves stay in the source and
 * in the part files. */
#ifndef PTQ_WRITE_PLAN_H
#define PTQ_WRITE_PLAN_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/format/format.h"
#include "../../common/model/config.h"
#include "../../common/model/sites.h"
#include "../../common/tensor/safetensors.h"
#include "../../common/wire/msg_solution.h"

struct plan_linear {
    /* site: order of its site. What a solution says (bits, ...) is there when it has come; bits 0
     * until then, and for a linear that is kept as it is */
    struct format_linear f;
    struct st_entry source; /* cut out where it stands among others */
    const char *whole;      /* what it was cut from; NULL: nothing */
    const char *bias_whole; /* the same of its bias, which is `bias` */
    struct st_entry bias;
    int packed; /* source is the mark of its format: the checkpoint has its codes */
    double loss, rel_loss;
};

struct plan_site {
    size_t block, first, count; /* linears[first .. first+count) */
    const struct site *site;    /* of the table */
    int done;
    int left;        /* it has no solution and will have none: its linears are kept */
    uint64_t digest; /* of the codes, scales and zeros of its linears */
    uint64_t tokens;
    double damp, seconds;
    char solver[32];
    char *prov; /* JSON text, one line; owned */
};

/* A tensor of no linear that a solution has changed: it stands in the part of that site. */
struct plan_changed {
    const struct st_entry *source;
    size_t order;
};

struct plan {
    char *dir;
    int any_kernels; /* as in struct write_opts */
    char *note;      /* why it was made so, for the model card; NULL: nothing is said */
    struct config config;
    struct sites table;
    struct st_set *source;
    size_t sites, done, left, nlinears;
    size_t low; /* all sites before are done, as far as it was looked */
    struct plan_site *site;
    struct plan_linear *linear;
    const struct format_linear **view; /* [nlinears] &linear[i].f, for formats */
    size_t *by_name;                   /* indices of linear[], sorted by name */
    int packed;                        /* from plan_open_packed */
    size_t nothers;
    struct plan_changed *changed;
    size_t nchanged, changed_cap;
    size_t head_other; /* 1: the head stands behind the others (write_head.c) */
    char **other;      /* [nothers] names of the matrices that are no linears; owned */
};

/* tower: its linears are quantized too. Reads config and names; every linear's .weight must be
 * there with its shape and a float type. */
int plan_open(struct plan *p, const char *dir, int tower, struct err *e);
/* Of a checkpoint that is quantized already: linears may be there in its format instead. */
int plan_open_packed(struct plan *p, const char *dir, struct err *e);
void plan_release(struct plan *p);
/* After a change of linear[]: it is found by name, and formats see it. */
void plan_names(struct plan *p);
/* The linear of this name (without .weight), or of this tensor "NAME.weight"; NULL: none. */
struct plan_linear *plan_find(const struct plan *p, const char *name);
struct plan_linear *plan_find_weight(const struct plan *p, const char *tensor);
/* The linear that is there in codes and that this tensor is a part of; NULL: none. */
struct plan_linear *plan_find_part(const struct plan *p, const char *tensor);
/* The first linear from `at` on that is cut from this tensor of the source; nlinears: none. */
size_t plan_cut(const struct plan *p, const char *tensor, size_t at);
/* The same of biases. */
size_t plan_cut_bias(const struct plan *p, const char *tensor, size_t at);

/* NULL: the tensor stays as the source has it. */
const struct plan_changed *plan_find_changed(const struct plan *p, const char *tensor);

/* Checks a solution (solution_read has looked at the values) against the model: order, block,
 * site, names, shapes. Fills linear[i] with the solution's linear for p->linear[first + i], and
 * the digest. Changes nothing in the plan. */
int plan_check(const struct plan *p, const struct solution_view *v,
               const struct solution_linear *linear[PROBLEM_LINEARS], uint64_t *digest,
               struct err *e);
/* Where problems are made of the commits of all sites that are not ready together with theirs: -1
 * when one of those is not there, since then nobody can have asked for this solution. Those that
 * the full-precision model has made are asked for at any time. */
int plan_check_asked(struct plan *p, const struct solution_view *v, struct err *e);
/* Takes down what plan_check has approved. */
int plan_note(struct plan *p, const struct solution_view *v,
              const struct solution_linear *const linear[PROBLEM_LINEARS], uint64_t digest,
              struct err *e);
/* Nothing more will come: all linears of the sites that are not done stay as they are. */
int plan_leave(struct plan *p, struct err *e);
/* A linear as the solution would have it stored. */
int plan_stored(const struct plan_linear *l, const struct solution_linear *s,
                const struct json *prov, struct format_linear *f, struct coded *c, struct err *e);
/* All linears, for a format's config; *m points into the plan. All sites must be there. */
void plan_model(const struct plan *p, struct format_model *m);
/* Sum of loss over sum of tr(WHW') of the linears of a site; NaN when a loss is not known. */
double plan_site_loss(const struct plan *p, size_t order, double *loss);
/* The formats can hold what of the tower is quantized, if anything is. */
int plan_check_tower(const struct plan *p, const struct format *const *f, size_t count,
                     struct err *e);
/* 0 when every site has its solution, else -1 and the first that has none. */
int plan_missing(const struct plan *p, struct err *e);

#endif
