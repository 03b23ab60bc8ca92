/* SPDX-License-Identifier: Apache-2.0 */
/* test_override - lines of overrides: refusals first, then what they mean for a linear. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "../../common/format/grid.h"
#include "../../common/model/config_read.h"
#include "../../common/run/override.h"

extern const struct grid grid_asym;

static const char model[] =
    "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 64, "
    "\"num_hidden_layers\": 12, "
    "\"num_attention_heads\": 4, \"intermediate_size\": 160, \"vocab_size\": 320}";

static int add(struct overrides *o, const char *text, struct err *e)
{
    memset(e, 0, sizeof *e);
    return overrides_add(o, text, strlen(text), "--override", e);
}

static void test_bad_lines(void **state)
{
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"mlp.down", "expected 'PATTERN: key=value"},
        {"mlp.down:", "expected"},
        {"mlp.down:bits=8", "expected"},
        {": bits=8", "expected"},
        {"mlp. down: bits=8", "expected"},
        {"mlp.down: bits", "bits needs a value"},
        {"mlp.down: bits=", "bits must be"},
        {"mlp.down: bits=5", "bits must be 2, 3, 4 or 8, not '5'"},
        {"mlp.down: bits=44", "bits must be"},
        {"mlp.down: bits=8 bits=4", "bits is there twice"},
        {"mlp.down: group=0", "group must be -1 or at least 1"},
        {"mlp.down: group=32x", "group must be"},
        {"mlp.down: group=99999999999999999999", "group must be"},
        {"mlp.down: grid=round", "grid must be"},
        {"mlp.down: damp=-1", "damp must be"},
        {"mlp.down: damp=nan", "damp must be"},
        {"mlp.down: solver=", "solver needs a name"},
        {"mlp.down: skip=maybe", "skip must be yes or no"},
        {"mlp.down: skip bits=4", "no other key"},
        {"mlp.down: bit=4", "'bit' is none of bits"},
        {"mlp.down: bits=4 # fine\n", NULL},
        {"*a*b*c*d*e*f*g*h*: skip", "8 stars"},
    };
    struct overrides o = OVERRIDES_NONE;
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const int rc = add(&o, bad[i].text, &e);

        assert_int_equal(rc, bad[i].word ? -1 : 0);
        if (bad[i].word && (!strstr(e.text, bad[i].word) ||
                            strncmp(e.text, "--override: '", 13) != 0 || e.kind != ERR_USE))
            fail_msg("'%s': '%s'", bad[i].text, e.text);
    }
    assert_int_equal(o.count, 1);
    memset(&e, 0, sizeof e);
    assert_int_equal(overrides_add(&o, "a\0: skip", 8, "f:1", &e), -1);
    assert_non_null(strstr(e.text, "NUL"));
    overrides_release(&o);
}

static void test_file(void **state)
{
    static const char good[] =
        "# all of it\n\n  mlp.down:   bits=8\tgroup=32   # why\nnone\nb0.*: skip";
    static const char bad[] = "mlp.down: bits=8\n\nmlp.up: bits=9\n";
    struct overrides o = OVERRIDES_NONE;
    struct err e = {0};

    (void)state;
    assert_int_equal(overrides_parse(&o, bad, sizeof bad - 1, "file.txt", &e), -1);
    assert_string_equal(e.text, "file.txt:3: 'mlp.up: bits=9': bits must be 2, 3, 4 or 8, not '9'");
    overrides_release(&o);
    memset(&e, 0, sizeof e);
    assert_int_equal(overrides_load(&o, "no/such/file", NULL, 0, &e), -1);
    assert_non_null(strstr(e.text, "no/such/file"));
    assert_int_equal(overrides_load(&o, "none", NULL, 0, &e), 0);
    assert_int_equal(o.count, 0);
    assert_int_equal(overrides_parse(&o, good, sizeof good - 1, "file.txt", &e), 0);
    assert_int_equal(o.count, 2);
    assert_string_equal(o.at[0].text, "mlp.down: bits=8 group=32");
    assert_string_equal(o.at[1].from, "file.txt:5");
    overrides_release(&o);
}

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern;
        int hits;
    } cases[] = {
        {"mlp.down", 1},
        {"b3.mlp.down", 1},
        {"b30.mlp.down", 0},
        {"b3.*", 1},
        {"b?.mlp.*", 1},
        {"b[0-2].*", 0},
        {"mlp.up", 0},
        {"down", 0},
        {"*down_proj", 1},
        {"model.layers.*.mlp.down_proj", 1},
        {"model.layers.3.mlp.down_proj", 1},
        {"model.layers.3", 0},
        {"*.3.mlp.*", 1},
        {"*", 1},
    };
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct overrides o = OVERRIDES_NONE;
        char line[80];

        snprintf(line, sizeof line, "%s: skip", cases[i].pattern);
        assert_int_equal(add(&o, line, &e), 0);
        if (override_hits(&o.at[0], 3, "mlp.down", "model.layers.3.mlp.down_proj") != cases[i].hits)
            fail_msg("%s", line);
        overrides_release(&o);
    }
}

static void test_later_lines_win(void **state)
{
    struct overrides o = OVERRIDES_NONE;
    struct override_values v;
    struct err e;

    (void)state;
    assert_int_equal(overrides_of(&o, 0, "mlp.up", "x", &v), 0);
    assert_int_equal(overrides_of(NULL, 0, "mlp.up", "x", &v), 0);
    assert_int_equal(v.skip, -1);
    assert_int_equal(add(&o, "*: skip", &e), 0);
    assert_int_equal(add(&o, "mlp.*: bits=8 group=32 solver=rtn fit=mse", &e), 0);
    assert_int_equal(add(&o, "mlp.down: bits=3 skip=no grid=asym damp=0", &e), 0);
    assert_int_equal(overrides_of(&o, 0, "mlp.down", "x.down_proj", &v), 1);
    assert_int_equal(v.skip, 0);
    assert_int_equal(v.bits, 3);
    assert_int_equal(v.group, 32);
    assert_ptr_equal(v.grid, &grid_asym);
    assert_true(v.damp >= 0.0);
    assert_string_equal(v.solver, "rtn");
    assert_string_equal(v.fit, "mse");
    assert_int_equal(overrides_of(&o, 0, "mlp.up", "x.up_proj", &v), 1);
    assert_int_equal(v.skip, 1);
    overrides_release(&o);
}

static void test_model(void **state)
{
    struct overrides o = OVERRIDES_NONE;
    struct config c;
    struct sites s;
    struct err e = {0};

    (void)state;
    assert_int_equal(config_parse(model, strlen(model), "config.json", &c, &e), 0);
    assert_int_equal(sites_make(&s, &c, &e), 0);
    assert_int_equal(add(&o, "b11.mlp.down: skip", &e), 0);
    assert_int_equal(add(&o, "*.2.self_attn.q_proj: bits=8", &e), 0);
    assert_int_equal(add(&o, "*.3.self_attn.?_proj: bits=8", &e), 0);
    assert_int_equal(add(&o, "*.4.mlp.gate_proj: solver=rtn", &e), 0);
    assert_int_equal(overrides_check(&o, &s, &e), 0);
    assert_int_equal(overrides_split(&o, sites_find(&s, 2, "attn.qkv")), 1);
    assert_int_equal(overrides_split(&o, sites_find(&s, 3, "attn.qkv")), 0);
    assert_int_equal(overrides_split(&o, sites_find(&s, 4, "mlp.up")), 0);
    assert_int_equal(add(&o, "b12.mlp.down: skip", &e), 0);
    assert_int_equal(overrides_check(&o, &s, &e), -1);
    assert_non_null(strstr(e.text, "'b12.mlp.down' hits no linear"));
    overrides_release(&o);
    sites_release(&s);
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_lines), cmocka_unit_test(test_file),
        cmocka_unit_test(test_patterns),  cmocka_unit_test(test_later_lines_win),
        cmocka_unit_test(test_model),
    };

    return cmocka_run_group_tests_name("override", tests, NULL, NULL);
}
