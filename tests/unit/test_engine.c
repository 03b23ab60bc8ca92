/* SPDX-License-Identifier: Apache-2.0 */
/* Who loads what: the table of the gptq format, by what is asked of a checkpoint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../common/format/engine.h"

static struct format_linear linear(size_t site, int bits, int64_t group)
{
    return (struct format_linear){
        .site = site, .fused = "qkv_proj", .bits = bits, .group = group, .symmetric = 1};
}

static void says(const char *format, const struct format_linear *l, size_t count, const char *want)
{
    struct engine_look x;
    char text[512];

    engine_start(&x, format_find(format));
    for (size_t i = 0; i < count; i++)
        engine_add(&x, &l[i]);
    assert_int_equal(engine_text(&x, text, sizeof text) == 0, strncmp(want, "none", 4) == 0);
    assert_string_equal(text, want);
}

/* Whether the line of the first of its table has this in it; it names the folder in any case. */
static void called(const char *format, const struct format_linear *l, size_t count,
                   const char *what, int yes)
{
    struct engine_look x;

    engine_start(&x, format_find(format));
    for (size_t i = 0; i < count; i++)
        engine_add(&x, &l[i]);
    assert_non_null(strstr(engine_use(&x, 0), "DIR"));
    assert_int_equal(strstr(engine_use(&x, 0), what) != NULL, yes);
}

static void one_kind(void **state)
{
    struct format_linear l = linear(0, 4, 64);

    (void)state;
    says("gptq", &l, 1, "transformers, GPTQModel, vLLM, OpenVINO");
    says("dense", &l, 1, "transformers, vLLM");
    l = linear(0, 3, 64);
    says("gptq", &l, 1, "transformers, GPTQModel; not vLLM (3 bits), OpenVINO (3 bits)");
    l = linear(0, 8, 128);
    says("gptq", &l, 1, "transformers, GPTQModel, vLLM (on a GPU); not OpenVINO (8 bits)");
    l = linear(0, 4, 256);
    says("gptq", &l, 1, "transformers, GPTQModel, OpenVINO; not vLLM (group 256)");
    l = linear(0, 4, -1);
    says("gptq", &l, 1,
         "GPTQModel, vLLM, OpenVINO; not transformers (4 bits with a group of the whole row)");
    l = linear(0, 4, 64);
    l.symmetric = 0;
    says("gptq", &l, 1,
         "transformers; not GPTQModel (zero points), vLLM (zero points), OpenVINO (zero points)");
}

static void compressed_tensors(void **state)
{
    struct format_linear l[2] = {linear(0, 4, 64), linear(1, 8, -1)};

    (void)state;
    called("compressed-tensors", l, 1, "dequantize=True", 0);
    l[0].symmetric = 0;
    says("compressed-tensors", l, 1, "transformers, vLLM");
    called("compressed-tensors", l, 1, "dequantize=True", 1);
    says("compressed-tensors", l, 2, "transformers, vLLM (on a GPU)");
    l[1] = linear(0, 8, 64);
    says("compressed-tensors", l, 2, "transformers; not vLLM (qkv_proj of different kinds)");
    l[0] = linear(0, 4, 64);
    l[1].site = 5; /* an expert by itself */
    l[0].experts = l[1].experts = 3;
    says("compressed-tensors", l, 2, "transformers; not vLLM (experts of different kinds)");
    l[1].experts = 4; /* of another block */
    says("compressed-tensors", l, 2, "transformers, vLLM (on a GPU)");
    l[0] = linear(0, 2, 16);
    says("compressed-tensors", l, 1, "transformers; not vLLM (2 bits)");
}

static void rounded_inputs_and_towers(void **state)
{
    struct format_linear l = linear(0, 8, -1);

    (void)state;
    l.act_bits = 8;
    says("compressed-tensors", &l, 1, "transformers, vLLM (on a GPU)");
    l.group = 64;
    says("compressed-tensors", &l, 1,
         "transformers; not vLLM (inputs of 8 bits beside other than 8 bits, a scale a row)");
    l.bits = 4;
    says("compressed-tensors", &l, 1,
         "transformers; not vLLM (4 bits with inputs of 8 bits: on Arm alone)");
    l.act_bits = 4;
    says("compressed-tensors", &l, 1, "transformers; not vLLM (inputs of other than 8 bits)");
    l = linear(0, 4, 64);
    l.N = 4304;
    l.K = 1152;
    strcpy(l.name, "model.vision_tower.vision_model.encoder.layers.0.mlp.fc1");
    says("compressed-tensors", &l, 1,
         "transformers; not vLLM (widths of the tower's MLP, no multiples of 64)");
    strcpy(l.name, "model.vision_model.encoder.layers.0.mlp.fc1");
    says("compressed-tensors", &l, 1, "transformers, vLLM");
}

static void awq_and_v2(void **state)
{
    struct format_linear l = linear(0, 4, 64);

    (void)state;
    l.symmetric = 0;
    says("awq", &l, 1, "transformers, vLLM");
    says("gptq-v2", &l, 1, "transformers, GPTQModel");
    l.group = 16;
    says("awq", &l, 1, "transformers; not vLLM (group 16)");
}

static void kinds(void **state)
{
    struct format_linear l[2] = {linear(0, 4, 64), linear(1, 8, 32)};

    (void)state;
    says("gptq", l, 2,
         "GPTQModel, vLLM (on a GPU); not transformers (bits, groups or grids that differ), "
         "OpenVINO (bits, groups or grids that differ)");
    l[1] = linear(1, 0, 0);
    l[1].kept = 1;
    says("gptq", l, 2, "transformers, GPTQModel, vLLM, OpenVINO");
    l[1].site = 0; /* q stays, k does not: a fused module cannot be both */
    says("gptq", l, 2, "transformers, GPTQModel, OpenVINO; not vLLM (qkv_proj of different kinds)");
    l[1] = linear(1, 3, 64);
    l[1].symmetric = 0;
    says("gptq", l, 2,
         "none of those that were tried; not transformers (bits, groups or grids that differ), "
         "GPTQModel (zero points), vLLM (3 bits), OpenVINO (bits, groups or grids that differ)");
}

/* Its row of the table: 1 where it loads a linear; nobody but the card names it. */
static int sglang(const char *format, const struct format_linear *l)
{
    const struct format *f = format_find(format);
    struct engine_look x;
    char text[512];
    size_t i = 0;

    engine_start(&x, f);
    engine_add(&x, l);
    engine_text(&x, text, sizeof text);
    assert_null(strstr(text, "SGLang"));
    while (strcmp(x.table[i].name, "SGLang") != 0)
        i++;
    assert_true(x.table[i].untried && strstr(x.table[i].use, "DIR"));
    return !*x.no[i];
}

static void untried(void **state)
{
    struct format_linear l = {.N = 64, .K = 256, .bits = 4, .group = 64, .symmetric = 1};

    (void)state;
    l.grid = grid_find("sym");
    assert_true(sglang("gptq", &l) && sglang("compressed-tensors", &l) && sglang("awq", &l) &&
                sglang("dense", &l));
    l.N = 96; /* no whole tile */
    assert_true(!sglang("gptq", &l) && !sglang("compressed-tensors", &l) && sglang("dense", &l));
    l.N = 64;
    l.bits = 3;
    assert_true(!sglang("gptq", &l) && !sglang("compressed-tensors", &l));
    l.bits = 8;
    l.group = -1;
    l.act_bits = 8;
    assert_true(sglang("compressed-tensors", &l));
    l.group = 64;
    assert_false(sglang("compressed-tensors", &l));
    l = (struct format_linear){.N = 96, .K = 32, .bits = 8, .group = -1, .symmetric = 1};
    l.grid = grid_find("fp8");
    assert_true(sglang("compressed-tensors", &l));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_kind),
        cmocka_unit_test(compressed_tensors),
        cmocka_unit_test(rounded_inputs_and_towers),
        cmocka_unit_test(awq_and_v2),
        cmocka_unit_test(kinds),
        cmocka_unit_test(untried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
