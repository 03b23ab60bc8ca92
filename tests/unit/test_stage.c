/* SPDX-License-Identifier: Apache-2.0 */
/* Options of every stage: each default is one that its row takes, no name stands twice, all shared
 * rows together fit, and the text of each is there. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include <sys/resource.h>

#include "../../ops/tools/look/cat_opts.h"
#include "../../stages/importance/importance_opts.h"
#include "../../stages/eval/eval_opts.h"
#include "../../stages/forward/forward_opts.h"
#include "../../stages/generate/generate_opts.h"
#include "../../stages/reduce/reduce_opts.h"
#include "../../stages/sample/sample_opts.h"
#include "../../stages/solve/solve_opts.h"
#include "../../stages/slide/slide_opts.h"
#include "../../stages/write/write_opts.h"

static const struct stage_spec everything = {
    .name = "everything",
    .in = "bits",
    .out = "bits",
    .mem = "1K",
    .mem_for = "all",
    .shared = STAGE_STATUS | STAGE_THREADS | STAGE_TMP | STAGE_INSECURE | STAGE_ZSTD | STAGE_FAULT,
};
static const struct stage_spec wrong_default = {
    .name = "wrong", .mem = "lots", .mem_for = "nothing"};

static const struct stage_spec *const all[] = {
    &sample_spec, &importance_spec, &forward_spec, &reduce_spec, &solve_spec, &write_spec,
    &eval_spec,   &generate_spec,   &cat_spec,     &slide_spec,  &everything};

static void bad_defaults(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(stage_open(&wrong_default, &e));
    assert_non_null(strstr(e.text, "--mem: 'lots'"));
}

static void rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct err e = {0};
        struct stage *s = stage_open(all[i], &e);

        if (!s)
            fail_msg("%s: %s", all[i]->name, e.text);
        for (size_t g = 0; g < s->ngroups; g++)
            for (const struct opt *o = s->group[g].rows; o->name; o++) {
                if (opt_find(s->group, s->ngroups, o->name, strlen(o->name), NULL) != o)
                    fail_msg("%s: --%s stands twice", all[i]->name, o->name);
                if (!o->help || (o->type != OPT_FLAG && !o->arg))
                    fail_msg("%s: --%s says nothing", all[i]->name, o->name);
                if (o->type == OPT_CHOICE && !o->choices == !o->nth)
                    fail_msg("%s: --%s has no choices, or two lists of them", all[i]->name,
                             o->name);
            }
        stage_close(&s);
        assert_null(s);
    }
}

static void shared(void **state)
{
    char *argv[] = {(char *)(uintptr_t) "x",         (char *)(uintptr_t) "--mem=2K",
                    (char *)(uintptr_t) "--in",      (char *)(uintptr_t) "there",
                    (char *)(uintptr_t) "--verbose", NULL};
    struct err e = {0};
    struct stage *s = stage_open(&everything, &e);

    (void)state;
    assert_non_null(s);
    assert_int_equal(s->mem, 1024);
    assert_int_equal(s->status_fd, -1);
    assert_true(s->threads >= 1);
    assert_int_equal(stage_parse(s, 5, argv, &e), 0);
    assert_int_equal(s->mem, 2048);
    assert_string_equal(s->in, "there");
    assert_string_equal(s->out, "-");
    assert_true(s->verbose && !s->quiet);
    assert_int_equal(stage_check(s, &e), 0);
    stage_close(&s);
}

static void checked(void **state)
{
    static const struct {
        const struct stage_spec *spec;
        const char *a, *b, *c, *d, *says;
    } bad[] = {
        {&sample_spec, "--model=m", NULL, NULL, NULL, "--data FILE is missing"},
        {&sample_spec, "--model=m", "--data=d", "--length=2", "--lengths=2,4", "only one of them"},
        {&sample_spec, "--model=m", "--data=d", "--lengths=2,x", NULL, "--lengths '2,x'"},
        {&sample_spec, "--model=m", "--data=d", "--weight-file-clip=1,2", NULL, "--weight-file"},
        {&forward_spec, "--model=m", NULL, NULL, NULL, "--commits EP or --follow DIR"},
        {&forward_spec, "--model=m", "--inputs=full", "--dual", NULL, "one stream only"},
        {&forward_spec, "--model=m", "--inputs=full", "--weight-clip=1,2", NULL, "--weight-clip"},
        {&importance_spec, "--clip=1,2", NULL, NULL, NULL, "--model DIR is missing"},
        {&importance_spec, "--model=m", "--clip=2,1", NULL, NULL, "--clip: '2,1'"},
        {&importance_spec, "--model=m", "--power=2", NULL, NULL, "--power is of --method vlmq"},
        {&importance_spec, "--model=m", "--method=vlmq", "--loss-on=all", NULL, "--loss-on"},
        {&importance_spec, "--model=m", "--method=vlmq", "--group=0", NULL, "0 is no group"},
        {&importance_spec, "--model=m", "--method=mbq", "--select=0.5", NULL, "--select"},
        {&slide_spec, "--bits=2", NULL, NULL, NULL, "--model DIR is missing"},
        {&slide_spec, "--model=m", "--group=0", NULL, NULL, "--group must be -1"},
        {&slide_spec, "--model=m", "--window=2", "--stride=3", NULL, "--stride 3 is longer"},
        {&slide_spec, "--model=m", "--grid=exact-asym", "--bits=2", NULL, "--bits 2 is not of"},
        {&solve_spec, "--solver=magic", NULL, NULL, NULL, "no solver 'magic'"},
        {&solve_spec, "--override=mlp.down: bits=5", NULL, NULL, NULL, "bits"},
        {&solve_spec, "--group=0", NULL, NULL, NULL, "--group"},
        {&solve_spec, "--alpha=0.5", NULL, NULL, NULL, "--alpha means nothing to solver gptq"},
        {&write_spec, "--model=m", "--format=gptq,zip", "out", NULL, "'zip'"},
        {&eval_spec, "--model=m", "--data=d", "--ref-states=f", NULL, "--ref-states needs --ref"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *argv[] = {(char *)(uintptr_t) "x", (char *)(uintptr_t)bad[i].a,
                        (char *)(uintptr_t)bad[i].b, (char *)(uintptr_t)bad[i].c,
                        (char *)(uintptr_t)bad[i].d};
        struct err e = {0};
        struct stage *s = stage_open(bad[i].spec, &e);
        int argc = 1;

        assert_non_null(s);
        while (argc < 5 && argv[argc])
            argc++;
        assert_int_equal(stage_parse(s, argc, argv, &e), 0);
        assert_int_equal(stage_check(s, &e), -1);
        if (!strstr(e.text, bad[i].says))
            fail_msg("'%s' does not say '%s'", e.text, bad[i].says);
        stage_close(&s);
    }
}

static int look(struct stage *s, struct err *e)
{
    struct rlimit files;

    (void)s;
    (void)e;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    return files.rlim_cur == files.rlim_max ? 7 : 8;
}

/* A stage takes all the file descriptors that it may have. */
static void files(void **state)
{
    static const struct stage_spec spec = {.name = "x", .about = "x"};
    char *argv[] = {(char *)(uintptr_t) "x", NULL};
    struct rlimit few;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &few), 0);
    few.rlim_cur = few.rlim_max < 64 ? few.rlim_max : 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(stage_main(&spec, look, 1, argv), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bad_defaults), cmocka_unit_test(rows),
                                       cmocka_unit_test(shared), cmocka_unit_test(checked),
                                       cmocka_unit_test(files)};

    return cmocka_run_group_tests_name("stage", tests, NULL, NULL);
}
