/* SPDX-License-Identifier: Apache-2.0 */
/* vision - the tower of a model that sees images: what config.json says of it, one descriptor for
 * each kind of tower (vision_NAME.c), named by the family (family.h).
 *
 * A tower is a list of blocks, each a program as those of the decoder; before them pixels become
 * rows (a patch is a row), behind them the rows become features, one for each image token of the
 * text. Everything is f32. The linears of its blocks are sites where that is asked for
 * (vision_quantize); what lies before and behind the blocks, the projector too, is none. Who runs
 * it: sight.h. */
#ifndef PTQ_VISION_H
#define PTQ_VISION_H

#include "config.h"
#include "program.h"

#define VISION_LEVELS 8
#define VISION_BLOCKS 256

struct pictures;
struct sight;
struct vision;

struct vision_kind {
    const char *const *prefixes; /* of its tensors, the published name first; ended by NULL */
    const char *blocks;          /* below the prefix: "encoder.layers" */
    /* Reads vision_config (j) and what else there is into v, which is zero but for token, out and
     * kind. Errors name file and key. */
    int (*settle)(struct vision *v, const struct config *c, const struct json *j, const char *what,
                  struct err *e);
    void (*build)(const struct vision *v, size_t block, struct program *p);
    /* Features of one picture; 0 and an error: it does not fit the tower. */
    size_t (*tokens)(const struct vision *v, const struct pictures *p, size_t i, struct err *e);
    /* Pixels become rows; behind the last block the rows become features (sight_parts.h). */
    int (*embed)(struct sight *s, struct err *e);
    int (*join)(struct sight *s, struct err *e);
    /* Level `level` of the features, from the rows behind the block that it branches off from. */
    int (*branch)(struct sight *s, size_t level, struct err *e);
};

struct vision {
    const struct vision_kind *kind;
    const char *prefix; /* of its tensors, as the file has it; set by model_open() */
    size_t d, ff, heads, layers, channels, patch;
    size_t run;    /* blocks that run: features are taken behind so many */
    size_t side;   /* patches along each side of a tile; 0: grids of any size */
    size_t merge;  /* patches along each side of what becomes one feature */
    size_t frames; /* of a patch, in time */
    struct norm_spec norm;
    enum activation activation, projector;
    int64_t token;      /* id of the image token */
    size_t out;         /* numbers of a feature: the width of the decoder */
    int quantized;      /* the linears of its blocks are sites; of who opens the model */
    int drops_class;    /* the row before the patches of a picture is no feature */
    int projector_bias; /* of the two linears of a projector */
    size_t tiles_most;  /* more than so many tiles are shrunk; 0: never */
    size_t window;      /* merged cells along a side; 0: there are no windows */
    size_t table;       /* side of a table of positions that is interpolated; 0: none */
    size_t branch[VISION_LEVELS], branches; /* blocks behind which levels branch off */
    unsigned char full[VISION_BLOCKS];      /* blocks without the window */
    struct rope_spec rope;
};

/* For a family with a tower: *out is to be freed. Errors name file and key. */
int vision_read(struct vision **out, const struct config *c, const struct vision_kind *kind,
                const char *what, struct err *e);
/* Its linears become sites of the model, whose rows are of images; an error: there is no tower. */
int vision_quantize(struct config *c, const char *what, struct err *e);
/* Under which name the file has it. */
struct st_set;
void vision_find(struct vision *v, const struct st_set *st);
/* *p is to be released also after an error. */
int vision_program(const struct vision *v, size_t block, struct program *p, struct err *e);

/* ---- for the kinds ---- */

/* Sizes, by name; where vision_config does not say one, what transformers takes. */
struct vision_field {
    const char *key;
    size_t *to, def;
};
int vision_fields(const struct json *j, const struct vision_field *f, size_t count,
                  const char *what, struct err *e);
int vision_activation(const struct json *j, const char *key, const char *def, enum activation *a,
                      const char *what, struct err *e);
/* vision_feature_layer, counted as transformers does: v->run. */
int vision_layer(struct vision *v, const struct json *file, int64_t def, const char *what,
                 struct err *e);
/* image_size in patches: v->side, a multiple of v->merge. */
int vision_side(struct vision *v, size_t pixels, const char *what, struct err *e);
/* A norm with weights and a bias, an MLP of two linears, q k v o: sublayers as most towers have
 * them. */
int vision_norm(const struct vision *v, struct program *p, int in, const char *name);
void vision_mlp(const struct vision *v, struct program *p, int x, const char *up, const char *down);
void vision_attention(const struct vision *v, struct program *p, const int qkv[3], const char *out);

extern const struct vision_kind vision_idefics3, vision_llava, vision_onevision, vision_gemma3,
    vision_qwen2, vision_qwen2_5, vision_qwen3;

#endif
