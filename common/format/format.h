/* SPDX-License-Identifier: Apache-2.0 */
/* format - how a checkpoint holds its linears: one file for each format, ending in one const
 * struct format; format_list.c is the only list. Writer, reader, plan, checks before a run and
 * help ask the list, nobody else knows a format by name.
 *
 * A format sees linears (names, shapes, what is said about their codes), never the model or the
 * run. What it is asked: can it hold this linear (check: also before a run, of shapes alone),
 * which tensors stand for it (tensors: sizes to the byte), the bytes of these (put), what
 * config.json says of all (config); and back: which checkpoints are its own (claims), what their
 * config says (open), the codes or the weights of a linear (find,
 * read, load).
 * A folder of safetensors is put together by stages/write/write_assemble.c for all formats. One
 * that is another container (GGUF: one file, tensors renamed) describes and packs blocks here like
 * the others, and brings a function there that puts the file together. */
#ifndef PTQ_FORMAT_H
#define PTQ_FORMAT_H

#include "../base/json.h"
#include "../tensor/safetensors.h"
#include "coded.h"

/* A linear as a format sees it. Before a run some of it is not known yet: 0, NULL, DT_COUNT. */
struct format_linear {
    char name[TENSOR_NAME]; /* without .weight */
    size_t N, K;
    size_t site;            /* linears that share an input have the same number, and follow each
                               other */
    const char *fused;      /* what engines call those of the site together; NULL: nothing */
    size_t experts;         /* of one of several experts: the number of its block, and 1; else 0 */
    enum dtype source_type; /* of NAME.weight in the model */
    int kept;               /* not quantized; nothing below is set then */
    int bits;
    int64_t group; /* -1: a whole row; 0: not known */
    size_t G;
    const struct grid *grid;
    enum dtype scale_type;
    int symmetric; /* every zero point is 2^(bits-1) */
    int head;      /* the head: engines name it apart */
    int permuted;  /* groups are not of inputs that follow each other: each names its own */
    int act_bits;  /* its inputs are rounded to so many; 0: they are not */
    double apart;  /* before a run: the share of its weights that will stand beside its codes */
    size_t sparse; /* so many do; 0: none */
    enum dtype sparse_type;
    int solved; /* its codes are there, and check_codes is asked of them */
};

#define FORMAT_TENSORS 10
struct format_tensor {
    char name[TENSOR_NAME];
    enum dtype dtype;
    int ndim;
    uint64_t shape[2];
};

/* All linears of a checkpoint, kept ones too, and what is to be said of their making. */
struct format_model {
    size_t count;
    const struct format_linear *const *linear;
    /* Names of the other matrices of the model (heads, routers, embeddings), without .weight. */
    size_t nothers;
    const char *const *other;
    double damp; /* infinite: not known */
};

/* Takes one of the tensors that stand for a linear; every tensor comes once, whole. */
typedef int format_emit(void *ctx, const char *name, const void *data, size_t bytes, struct err *e);

/* A checkpoint that is read. */
struct format_source {
    const char *dir; /* for errors */
    const struct st_set *set;
};

struct engine;
struct packed; /* packed.h */

/* What the files of a checkpoint are. */
enum format_container {
    FORMAT_FOLDER, /* of safetensors, with a config.json: what is read back */
    FORMAT_GGUF    /* model.gguf, read as such a folder (gguf_folder.h) */
};

struct format {
    const char *name;  /* "gptq" */
    const char *title; /* "GPTQ" */
    const char *about; /* one line for help */
    enum format_container container;
    int fuses;         /* its readers fuse q k v; gate up, and need them alike */
    int stacks;        /* what the model holds in one tensor for several linears stays one tensor */
    int experts_alike; /* those of a block stand in one tensor, and are of one kind */
    int one_scale_type; /* all its linears must have scales of one type */
    int heads;          /* it can hold a quantized head (lm_head) */
    int one_group;      /* and groups of one size */
    int beside;         /* it holds weights beside the codes, or needs no place for them */
    int towers;         /* its readers take codes of linears outside of the decoder's blocks */
    int unpacked;   /* only `claims` is there: st_open_folder() reads its tensors as plain ones */
    int some_codes; /* it is for models of which at least one linear is quantized */
    /* Asked by format_check_linear alone. */
    int (*check)(const struct format_linear *l, struct err *e);
    /* The same of its codes; NULL: any. */
    int (*check_codes)(const struct format_linear *l, const struct coded *c, struct err *e);
    /* The tensors that stand for NAME.weight: how many, -1. */
    int (*tensors)(const struct format_linear *l, struct format_tensor t[FORMAT_TENSORS],
                   struct err *e);
    /* Their bytes. NULL: the format is only read, and nothing above is there. */
    int (*put)(const struct format_linear *l, const struct coded *c, format_emit *emit, void *ctx,
               struct err *e);
    /* The quantization_config, and the dtype of config.json (DT_COUNT: as it is). NULL:
     * config.json stays as it is. */
    struct json *(*config)(const struct format_model *m, enum dtype *dtype, struct err *e);
    const char *config_copy;      /* file that holds quantization_config alone; NULL: none */
    const struct engine *engines; /* who loads it (engine.h); an empty name ends them */

    /* Reading. mark: a tensor NAME.MARK shows that a linear is stored so; NULL: NAME.weight. */
    const char *mark;
    int (*claims)(const struct json *quantization); /* NULL: no quantization_config */
    /* What quantization_config says, for find and load; NULL: error. `what` for errors. */
    void *(*open)(const struct json *quantization, const char *what, struct err *e);
    void (*close)(void **spec);
    /* Are the tensors of linear NAME [N,K] there, with their types and shapes? */
    int (*find)(const void *spec, const struct format_source *s, const char *name, size_t N,
                size_t K, struct err *e);
    /* What find has approved; NaN and infinity are refused. The codes (*p is the caller's to
     * release; 1: this linear has none, load reads it), and the weights w [N,K]. A format that has
     * only one of both has NULL for the other. */
    int (*read)(const void *spec, const struct format_source *s, const char *name, size_t N,
                size_t K, struct packed *p, struct err *e);
    int (*load)(const void *spec, const struct format_source *s, const char *name, size_t N,
                size_t K, float *w, struct err *e);
    /* Bits that it says inputs of linears are rounded to, 0: none; NULL: it cannot say that. */
    int (*act_bits)(const void *spec);
    /* What the tensors beside NAME.MARK, which is x, say of the linear: 1, 0 it is none. Fills
     * N, K, bits, group. */
    int (*look)(const struct st_set *set, const struct st_entry *x, struct format_linear *l);
};

/* ---- the list ---- */

#define FORMATS_MAX 12
const struct format *format_find(const char *name); /* NULL: unknown */
const struct format *format_at(size_t i);           /* NULL past the end */
const char *const *format_names(void);              /* of those that are written; NULL-terminated */
/* As rows of options take it: a name and its number; NULL past the end. */
const char *format_choice(size_t i, int *value);
#define FORMAT_DEFAULT "gptq" /* what is written when nobody says otherwise */
/* "gptq,dense": into at[], *count of them; each once, at least one. */
int format_parse(const char *list, const struct format *at[FORMATS_MAX], size_t *count,
                 struct err *e);
/* The format that a linear is stored in, by the tensors in s; NULL: none, it may be there as
 * NAME.weight. */
const struct format *format_packed(const struct st_set *s, const char *name);
/* The same by a tensor: NULL when x is not the mark of a linear; fills what `look` fills. */
const struct format *format_look(const struct st_set *s, const struct st_entry *x,
                                 struct format_linear *l);
/* The same of NAME.weight of the linear l->name. */
const struct format *format_look_weight(const struct st_set *s, struct format_linear *l);
/* NAME.weight is there and holds weights: numbers of 8 bits with a scale beside them are codes. */
int format_is_plain(const struct st_set *s, const char *name);
/* 0: tensor x holds weights. ERR_USE: its type is no float type, or its numbers have 8 bits and
 * scales lie beside it, X_scale or X_scale_inv: codes, which are no weights without them, whatever
 * config.json says; unread: why nobody reads them so. */
int format_check_float(const struct st_set *s, const struct st_entry *x, const char *unread,
                       struct err *e);

/* Can it hold codes of linears of a vision tower? */
int format_check_tower(const struct format *f, struct err *e);
/* Can it hold a model of which every linear is kept? */
int format_check_kept(const struct format *f, struct err *e);

/* ---- a linear ---- */

/* Of a linear that is not kept: can it be held, as far as is known? */
int format_check_linear(const struct format *f, const struct format_linear *l, struct err *e);
/* Two linears that are not kept: can they be in one checkpoint, as far as is known? */
int format_beside(const struct format *f, const struct format_linear *l,
                  const struct format_linear *x, struct err *e);
/* Tensor bytes of a linear that is not kept. */
int format_bytes(const struct format *f, const struct format_linear *l, uint64_t *bytes,
                 struct err *e);
/* Bits of its codes, of each group's scale and zero point, and of what stands beside them. */
double format_bits(const struct format_linear *l);

/* ---- a checkpoint that is read ---- */

/* What the weights were packed in that are read as plain ones; NULL: they are none. */
const struct format *format_unpacked(const struct json *config);
/* The weights of a config.json are no codes, or are read as none: quantization_config is absent,
 * null or such a one. */
int format_check_plain(const struct json *config, const char *dir, struct err *e);

struct format_reader;
/* By what config.json says; s must outlive the reader. */
struct format_reader *format_open(const struct json *config, const char *dir,
                                  const struct st_set *s, struct err *e);
void format_close(struct format_reader **r);
/* What quantization_config says; a plain checkpoint is in a format too. */
const struct format *format_of(const struct format_reader *r);
/* The format of the files: of those of a GGUF file that is not quantized, that. */
const struct format *format_stored(const struct format_reader *r);
/* 1: config.json says that weights are quantized. */
int format_is_quantized(const struct format_reader *r);
/* Whole numbers that inputs of linears are rounded to, in bits; 0: they are not. */
int format_act_bits(const struct format_reader *r);
/* Linear NAME [N,K]: its own tensors, or NAME.weight where that is there. See struct format. */
int format_find_linear(const struct format_reader *r, const char *name, size_t N, size_t K,
                       struct err *e);
int format_load_linear(const struct format_reader *r, const char *name, size_t N, size_t K,
                       float *w, struct err *e);
/* Its codes: 1, 0 when it has none (*p is empty then). */
int format_read_linear(const struct format_reader *r, const char *name, size_t N, size_t K,
                       struct packed *p, struct err *e);

#endif
