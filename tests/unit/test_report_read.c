/* SPDX-License-Identifier: Apache-2.0 */
/* Journals that are broken, old, unfinished or strange; problems with and without diagonals, cut
 * off, of another run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/wire/link.h"
#include "../../common/wire/msg_problem.h"
#include "../../ops/tools/report/report_page.h"
#include "../../ops/tools/report/report_read.h"

#define START                                                     \
    "{\"record\":\"start\",\"format\":1,\"model\":\"/m/<b>tiny</" \
    "b>\",\"formats\":\"gptq\",\"version\":\"x\",\"time\":\"t\"}\n"
#define SITE(order, block, name, more)                                                            \
    "{\"record\":\"site\",\"order\":" #order ",\"sites\":4,\"block\":" #block ",\"site\":\"" name \
    "\",\"run\":\"r1\",\"loss\":0.5" more "}\n"

static char dir[] = "/tmp/ptq-report-XXXXXX";
static char path[128], problems[128];

static int start(void **state)
{
    struct err e = {0};

    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/.ptqflow", dir);
    snprintf(problems, sizeof problems, "%s/problems.ptq", dir);
    return fs_mkdir(path, &e);
}

static int end(void **state)
{
    struct err e = {0};

    (void)state;
    return fs_remove_tree(dir, &e);
}

static void put(const char *name, const char *text)
{
    struct err e = {0};

    snprintf(path, sizeof path, "%s/.ptqflow/%s", dir, name);
    if (fs_publish(path, text, strlen(text), &e) < 0)
        fail_msg("%s", e.text);
}

static void refused(const char *journal, const char *says)
{
    struct err e = {0};
    struct report *r;

    put("journal.jsonl", journal);
    r = report_open(dir, &e);
    assert_null(r);
    if (e.kind != ERR_USE || !strstr(e.text, says))
        fail_msg("'%s' does not say '%s'", e.text, says);
}

/* What a page says, of whatever OUT holds. */
static char *page_of(void)
{
    struct err e = {0};
    struct report *r = report_open(dir, &e);
    char *text = NULL, *copy;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    if (!r || report_page_write(f, r, &e) < 0)
        fail_msg("%s", e.text);
    fclose(f);
    report_close(&r);
    assert_null(strstr(text, "nan"));
    copy = strdup(text);
    free(text);
    return copy;
}

static void says(const char *what)
{
    char *text = page_of();

    if (!strstr(text, what))
        fail_msg("the page does not say '%s'", what);
    free(text);
}

static void broken_lines_are_named(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(report_open("/no/such/folder", &e));
    assert_non_null(strstr(e.text, "/no/such/folder/.ptqflow/journal.jsonl"));
    refused("rubbish\n", "journal.jsonl line 1");
    refused(START "\n", "line 2");
    refused(START "[1]\n", "line 2: not a record");
    refused(START "{\"record\":1}\n", "line 2: not a record");
    refused(START SITE(0, 0, "a", "") "{\"record\":\"site\"}\n", "line 3");
    refused(START SITE(4, 0, "a", ""), "'order'");
    refused(START SITE(0, -1, "a", ""), "'block'");
    refused(START SITE(0, 0, "a", ",\"tokens\":\"many\""), "'tokens'");
    refused(START SITE(0, 0, "a", ",\"lengths\":[[1]]"), "'lengths'");
    refused(START SITE(0, 0, "a", ",\"contenders\":[{\"loss\":1}]"), "'solver'");
    refused(START SITE(0, 0, "a", ",\"classes\":[{\"name\":\"64\"}]"), "'kind'");
    refused(START SITE(0, 0, "a",
                       ",\"classes\":[{\"kind\":\"length\",\"name\":\"64\",\"loss\":\"much\"}]"),
            "'loss'");
    refused(START SITE(0, 0, "a", ",\"linears\":[{\"rows\":0}]"), "'rows'");
    put("journal.jsonl", START);
    put("run.json", "[]"); /* left out, with a warning: the page is one without it too */
    says("there is no run.json");
    unlink(path);
    put("waits.json", "{");
    says("there is no run.json");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    says("there is no run.json");
    unlink(path);
    put("waits.json", "{\"processes\":[{\"name\":\"<p>\",\"to\":4,\"width\":1,\"waited\":[{\"for\":"
                      "\"until q takes\",\"seconds\":2,\"each\":[1,1,null,\"x\"]},7]},3]}");
    says("&lt;p&gt;");
    says("waits for q");
    says("<td>50 %<");
    unlink(path);
}

static void unfinished_runs_are_reported(void **state)
{
    struct err e = {0};
    struct report *r;

    (void)state;
    put("journal.jsonl", "");
    says("not done");
    put("journal.jsonl", START "{\"record\":\"si");
    says("last line is not whole");
    says("&lt;b&gt;tiny&lt;/b&gt;");
    put("journal.jsonl",
        START SITE(2, 1, "a", "") SITE(1, 0, "b", "") SITE(0, 0, "a", "")
            SITE(2, 1, "a", ",\"solver\":\"late\"") "{\"record\":\"moon\"}\n" SITE(3, 1, "b", ""));
    r = report_open(dir, &e);
    if (!r)
        fail_msg("%s", e.text);
    assert_int_equal(r->nsites, 4);
    assert_int_equal(r->nkinds, 2);
    assert_string_equal(r->kind[0], "a");
    assert_int_equal(r->site[2].j.order, 2);
    assert_string_equal(r->site[2].j.solver, "late");
    assert_int_equal(r->other, 1);
    assert_int_equal(report_blocks(r), 2);
    assert_true(r->site[0].j.bytes_in == -1 && isnan(r->site[0].j.coverage) &&
                !r->site[0].j.lengths);
    report_close(&r);
    report_close(&r);
    says("kinds that this version does not know");
    says("no run.json");
    says("lengths of the sequences are not in this journal");
    says("--record FILE");
    put("failed", "no <space> left\n");
    says("The run failed: no &lt;space&gt; left");
    unlink(path);
}

static void linears_are_added_up(void **state)
{
    struct err e = {0};
    struct report *r;

    (void)state;
    put("journal.jsonl",
        SITE(0, 0, "a",
             ",\"inputs\":100,\"linears\":[{\"rows\":10,\"bits\":4,\"group\":64,\"asym_loss\":1},"
             "{\"rows\":30,\"bits\":2,\"group\":-1,\"asym_loss\":2},{\"name\":\"k\",\"rows\":7,"
             "\"kept\":true}]")
            SITE(1, 0, "b", ",\"inputs\":8,\"linears\":[{\"rows\":7,\"kept\":true}]"));
    r = report_open(dir, &e);
    if (!r)
        fail_msg("%s", e.text);
    assert_true(r->site[0].weights == 4000);
    assert_true(r->site[0].stored_bits == 10 * (400 + 2 * 20) + 30 * (200 + 18));
    assert_true(r->site[0].asym_loss == 3);
    assert_true(r->site[0].kept == 1 && r->site[0].j.loss == 0.5);
    assert_true(r->site[1].kept == 1 && isnan(r->site[1].j.loss) && r->site[1].weights == 0);
    report_close(&r);
    says("Left at full precision, and not in the charts: 1 of 2 sites");
    says("left at full precision: 2 of 4 linears");
}

/* Two lengths of 200 channels: the first has one large channel (7), the second another (9). */
static struct msg *problem(const char *run, int with_diag)
{
    struct tensor w = {.name = "w", .ndim = 2, .shape = {1, 200}};
    struct json *rows = json_parse("[[5,2,10.0],[10,1,10.0]]", 24, "rows", NULL);
    struct problem_view v = {.sites = 4,
                             .site = "a",
                             .K = 200,
                             .tokens = 20,
                             .sequences = 3,
                             .sum_w = 20,
                             .sum_w2 = 20,
                             .nlinears = 1,
                             .linear = {&w},
                             .lengths = rows};
    const uint64_t s[1] = {20100}, diag[2] = {2, 200};
    struct err e = {0};
    struct msg *m = problem_create(&v, "reduce", &e);
    double *d;

    snprintf(m->run, sizeof m->run, "%s", run);
    memset(msg_add_new(m, "S", DT_F64, 1, s, &e), 0, 20100 * 8);
    memset(msg_add_new(m, "w", DT_F32, 2, w.shape, &e), 0, 800);
    if (with_diag) {
        d = msg_add_new(m, "diag", DT_F64, 2, diag, &e);
        for (size_t k = 0; k < 400; k++)
            d[k] = 10;
        d[7] = d[8] = 1000;
        d[200 + 9] = d[200 + 7] = 2000;
    }
    json_destroy(&rows);
    return m;
}

static int every(const void *ctx, uint64_t block)
{
    (void)ctx;
    return block == 0;
}

static struct report *with_problems(const char *run, int with_diag, int whole, struct err *e)
{
    struct link *out;
    struct msg *m = problem(run, with_diag);
    struct report *r;

    unlink(problems); /* an incomplete stream takes nothing's place */
    out = link_open(problems, LINK_OUT, &(struct link_opts){.name = "reduce"}, e);
    assert_non_null(out);
    assert_int_equal(link_send(out, &m, e), 0);
    assert_int_equal(link_end(out, whole, whole ? NULL : "the test says so", e), 0);
    link_close(&out);
    put("journal.jsonl", START SITE(0, 0, "a", ""));
    r = report_open(dir, e);
    assert_non_null(r);
    if (report_problems(r, problems, every, NULL, e) < 0)
        report_close(&r);
    return r;
}

static void problems_are_read(void **state)
{
    struct err e = {0};
    struct report *r = with_problems("r2", 1, 1, &e);
    const struct report_class *c;

    (void)state;
    assert_null(r);
    assert_non_null(strstr(e.text, "run r2"));
    r = with_problems("r1", 0, 1, &e);
    assert_non_null(r);
    assert_true(r->nspectra == 0 && r->nproblems == 1);
    report_close(&r);
    r = with_problems("r1", 1, 0, &e);
    assert_non_null(r);
    assert_non_null(r->problems_why);
    report_close(&r);
    r = with_problems("r1", 1, 1, &e);
    assert_non_null(r);
    assert_null(r->problems_why);
    assert_int_equal(r->nspectra, 1);
    assert_int_equal(r->spectrum[0].count, 2);
    c = r->spectrum[0].class;
    assert_int_equal(c[1].length, 10);
    assert_true(c[0].tokens == 10 && c[0].median == 1 && c[0].largest == 100 &&
                c[0].sorted[2] == 1 && c[0].sorted[199] == 1);
    assert_true(fabs(c[0].mean - 1.99) < 1e-12 && c[0].above == 0.01);
    assert_true(fabs(c[0].top - 200.0 / 398) < 1e-12);     /* 1 % of 200 channels are 2 */
    assert_true(c[0].overlap == 0.5 && c[1].overlap == 1); /* of all: 7 and 9 */
    report_close(&r);
}

static void numbers_that_cannot_be_are_refused(void **state)
{
    const double bad[3] = {1, NAN, 2}, below[3] = {1, 2, -3}, none[3] = {0, 0, 0};
    struct report_class c = {.tokens = 4};
    struct err e = {0};

    (void)state;
    assert_int_equal(report_measure(&c, bad, 3, &e), -1);
    assert_non_null(strstr(e.text, "channel 1"));
    assert_null(c.sorted);
    assert_int_equal(report_measure(&c, below, 3, &e), -1);
    assert_int_equal(report_measure(&c, none, 3, &e), 0);
    assert_true(c.top == 0 && c.above == 0 && c.median == 0);
    free(c.sorted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_lines_are_named),
        cmocka_unit_test(numbers_that_cannot_be_are_refused),
        cmocka_unit_test(unfinished_runs_are_reported),
        cmocka_unit_test(linears_are_added_up),
        cmocka_unit_test(problems_are_read),
    };
    return cmocka_run_group_tests_name("report_read", tests, start, end);
}
