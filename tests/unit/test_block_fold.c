/* SPDX-License-Identifier: Apache-2.0 */
/* test_block_fold - which tensors can take what the inputs of sites are divided by, for models
 * with a norm before the linears, with experts, with shared inputs and with none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "../../common/model/block_fold.h"
#include "shared.h"

enum { SITES = 512 };

struct wanted {
    const char *model;
    int attention, mlp, one;
    size_t readers;           /* beside the linears of the MLP */
    const char *reader, *end; /* the first of them; the norm before the MLP */
};

static void mark(const struct sites *s, int mlp, unsigned char *mine)
{
    for (size_t i = 0; i < s->first[1]; i++) {
        const char *last = strrchr(s->site[i].name, '.');

        mine[i] = mlp ? strcmp(last, ".up") == 0 : strcmp(s->site[i].name, "attn.qkv") == 0;
    }
}

static void check_bits(const char *dir, const struct wanted *w, int act_bits)
{
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct model *m = model_open_rounded(dir, act_bits, par, &e);
    struct block *b = m ? block_open(m, 0, &e) : NULL;
    unsigned char mine[SITES] = {0};
    struct block_fold f;

    if (!b)
        fail_msg("%s: %s", dir, e.text);
    assert_int_equal(block_fold_find(b, mine, &f), 0); /* of no site at all */
    mark(model_sites(m), 0, mine);
    assert_int_equal(block_fold_find(b, mine, &f), w->attention);
    if (w->attention) {
        assert_string_equal(f.norm, "model.layers.0.input_layernorm.weight");
        assert_int_equal(f.one, w->one);
        assert_int_equal(f.readers, 0);
    }
    mark(model_sites(m), 1, mine);
    assert_int_equal(block_fold_find(b, mine, &f), w->mlp);
    if (w->mlp) {
        assert_non_null(strstr(f.norm, w->end));
        assert_int_equal(f.readers, w->readers);
        if (w->readers)
            assert_string_equal(f.reader[0], w->reader);
    }
    block_close(&b);
    model_close(&m);
    par_close(&par);
}

/* Inputs that are rounded are divided before. */
static void check(const char *dir, const struct wanted *w)
{
    check_bits(dir, w, 0);
    check_bits(dir, w, 8);
}

static void a_norm_before_the_linears(void **state)
{
    (void)state;
    check("tests/golden/conformance/qwen3",
          &(struct wanted){.attention = 1, .mlp = 1, .end = "post_attention_layernorm.weight"});
}

static void others(void **state)
{
    static const char router[] = "model.layers.0.mlp.gate.weight";
    static const struct wanted all[] = {
        {.model = "gemma2", 1, 1, .one = 1, .end = "pre_feedforward_layernorm.weight"},
        {.model = "olmo2"},   /* reads the stream itself */
        {.model = "cohere2"}, /* attention and MLP read one norm */
        {.model = "phi3", 1, 1, .end = "post_attention_layernorm.weight"},
        {.model = "qwen3_moe", 1, 1, 0, 1, router, "post_attention_layernorm.weight"},
        {.model = "qwen2_moe", 1, 1, 0, 2, router, "post_attention_layernorm.weight"},
    };
    size_t done = 0;

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[64];
        const char *dir;

        snprintf(path, sizeof path, "data/conformance/%s", all[i].model);
        if ((dir = shared_path(path))) {
            check(dir, &all[i]);
            done++;
        }
    }
    if (!done) {
        print_message("skip: data/conformance is not on this machine (PTQ_SHARED)\n");
        skip();
    }
}

/* One of two linears that read the same cannot be divided alone. */
static void not_half_of_them(void **state)
{
    struct err e = {0};
    struct par *par = par_open(1, &e);
    unsigned char mine[SITES] = {0};
    struct block_fold f;

    (void)state;
    shared_or_skip(dir, "data/conformance/qwen3_moe");
    struct model *m = model_open(dir, par, &e);
    struct block *b = block_open(m, 0, &e);

    mark(model_sites(m), 1, mine);
    for (size_t i = 0; i < SITES; i++)
        if (mine[i]) {
            mine[i] = 0;
            break;
        }
    assert_int_equal(block_fold_find(b, mine, &f), 0);
    block_close(&b);
    model_close(&m);
    par_close(&par);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_norm_before_the_linears),
        cmocka_unit_test(others),
        cmocka_unit_test(not_half_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
