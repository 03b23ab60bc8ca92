/* SPDX-License-Identifier: Apache-2.0 */
/* Models that are no BPE, and the steps around them: what is refused, small ones by hand, then
 * texts in many scripts as the reference library tokenizes them (tests/golden/tokenizer). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../common/base/json.h"
#include "../../common/text/charsmap.h"
#include "../../common/text/tokenizer.h"

/* A tokenizer.json spelled in single quotes. */
static struct tokenizer *small_open(const char *text, struct err *e)
{
    char buffer[2048];
    size_t n = strlen(text);

    assert_true(n < sizeof buffer);
    for (size_t i = 0; i <= n; i++)
        buffer[i] = text[i] == '\'' ? '"' : text[i];
    return tokenizer_parse(buffer, n, "small", e);
}

static void refused(const char *text, const char *word)
{
    struct err e = {0};

    if (small_open(text, &e))
        fail_msg("not refused: %s", text);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word))
        fail_msg("'%s' not in '%s'", word, e.text);
}

#define UNI "'model':{'type':'Unigram','unk_id':0,'vocab':[['?',0],['a',-1],['b',-1.5],['ab',-2]]}"
#define WORDS "'model':{'type':'WordLevel','vocab':{'a':0,'b':1,'?':2},'unk_token':'?'}"

static void bad_files(void **state)
{
    (void)state;
    refused("{'model':{'type':'Unigram'}}", "vocab");
    refused("{'model':{'type':'Unigram','vocab':[]}}", "vocab");
    refused("{'model':{'type':'Unigram','vocab':{'a':1}}}", "vocab");
    refused("{'model':{'type':'Unigram','vocab':[['a']]}}", "token 0 is not a text and its score");
    refused("{'model':{'type':'Unigram','vocab':[['a',1],[2,1]]}}", "token 1");
    refused("{'model':{'type':'Unigram','vocab':[['a',1],['a',1]]}}", "twice");
    refused("{'model':{'type':'Unigram','unk_id':1,'vocab':[['a',1]]}}", "unk_id");
    refused("{'model':{'type':'WordLevel','vocab':{}}}", "vocab");
    refused("{'model':{'type':'WordLevel','vocab':{'a':0},'unk_token':'?'}}", "unk_token");
    refused("{'pre_tokenizer':{'type':'ByteLevel'}," UNI "}", "ByteLevel before a model");
    refused("{'normalizer':{'type':'Precompiled'}," UNI "}", "precompiled_charsmap");
    refused("{'normalizer':{'type':'Precompiled','precompiled_charsmap':'A*=='}," UNI "}",
            "base64");
    refused("{'normalizer':{'type':'Precompiled','precompiled_charsmap':'AAAA'}," UNI "}",
            "no such table");
    refused("{'normalizer':{'type':'Strip','strip_left':3}," UNI "}", "strip_left");
    refused("{'pre_tokenizer':{'type':'Punctuation','behavior':'odd'}," UNI "}", "Punctuation");
    refused("{'pre_tokenizer':{'type':'CharDelimiterSplit'}," UNI "}", "delimiter");
    refused("{'post_processor':{'type':'BertProcessing','cls':['a',1],'sep':['b',9]}," UNI "}",
            "BertProcessing: 'sep'");
    refused("{'post_processor':{'type':'Sequence','processors':[{'type':'BertProcessing','cls':['a'"
            ",1],'sep':['b',2]},{'type':'RobertaProcessing','cls':['a',1],'sep':['b',2]}]}," UNI
            "}",
            "two post-processors");
}

static void expect(const char *json, const char *text, size_t n, int special, const char *want)
{
    struct err e = {0};
    struct tokenizer *t = small_open(json, &e);
    char got[128] = "";
    int32_t *ids = NULL;
    size_t count = 0;

    if (!t)
        fail_msg("%s", e.text);
    if (tokenizer_encode(t, text, n, special, 1, &ids, &count, &e) < 0)
        snprintf(got, sizeof got, "!%.120s", e.text);
    for (size_t i = 0; i < count; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%d ", ids[i]);
    if (*want == '!' ? !strstr(got, want + 1) : strcmp(got, want))
        fail_msg("'%s': %s, not %s", text, got, want);
    free(ids);
    tokenizer_close(&t);
}

static void by_hand(void **state)
{
    static const char better[] = "{'model':{'type':'Unigram','unk_id':0,'vocab':[['?',0],['a',-1],"
                                 "['b',-1],['ab',-1.5],['ba',-2.5]]}}",
                      bytes[] = "{'model':{'type':'Unigram','unk_id':0,'byte_fallback':true,"
                                "'vocab':[['?',0],['a',-1],['<0x41>',-9]]}}";

    (void)state;
    expect("{" UNI "}", "", 0, 0, "");
    expect("{" UNI "}", "ab", 2, 0, "3 ");
    expect("{" UNI "}", "aab", 3, 0, "1 3 ");
    expect("{" UNI "}", "axyb", 4, 0, "1 0 2 "); /* unknown ones beside each other are one */
    expect("{" UNI "}", "a\0b", 3, 0, "1 0 2 ");
    expect(better, "aba", 3, 0, "3 1 "); /* -2.5; 1 4 would be -3.5 */
    expect("{'model':{'type':'Unigram','vocab':[['a',0]]}}", "ab", 2, 0,
           "!'b' is not in the tokenizer's vocabulary");
    expect(bytes, "aA", 2, 0, "1 0 "); /* without all of the bytes there is no fallback */
    expect("{" WORDS "}", "a", 1, 0, "0 ");
    expect("{" WORDS "}", "ab", 2, 0, "2 ");
    expect("{'pre_tokenizer':{'type':'Whitespace'}," WORDS "}", " a b-a", 6, 0, "0 1 2 0 ");
    expect("{'model':{'type':'WordLevel','vocab':{'a':0}}}", "b", 1, 0, "!no unknown token");
    expect("{'post_processor':{'type':'RobertaProcessing','cls':['a',1],'sep':['b',2]}," UNI "}",
           "ab", 2, 1, "1 3 2 ");
    expect("{'normalizer':{'type':'Lowercase'}," UNI "}",
           "\xC4\xB0"
           "A",
           3, 0, "0 1 ");
    expect("{'normalizer':{'type':'Strip'}," UNI "}",
           " \xE3\x80\x80"
           "a b ",
           8, 0, "1 0 2 ");
    expect("{'normalizer':{'type':'Strip'}," UNI "}", "  ", 2, 0, "");
}

/* A document that is one piece is cut where no token reaches over, which must change nothing. */
static void one_piece(void **state)
{
    static const char over[] = "{'model':{'type':'BPE','unk_token':'?','vocab':{'a':0,'b':1,'_':2,"
                               "'ab':3,'b_':4,'?':5},'merges':['a b','b _']}}",
                      fuse[] = "{'model':{'type':'BPE','unk_token':'?','fuse_unk':true,'vocab':{'a'"
                               ":0,'?':1},'merges':[]}}",
                      drop[] = "{'model':{'type':'BPE','vocab':{'a':0,'b':1,'ab':2},'merges':['a "
                               "b']}}",
                      unk[] = "{'model':{'type':'BPE','unk_token':'?','vocab':{'a':0,'?':1,'?a':2},"
                              "'merges':['? a']}}",
                      whole[] = "{'model':{'type':'BPE','unk_token':'?','ignore_merges':true,"
                                "'vocab':{'a':0,'b':1,'c':2,'ab':3,'?':4},'merges':[]}}";

    (void)state;
    expect(over, "ab_ab", 5, 0, "3 2 3 ");
    expect(over, "b_abx_", 6, 0, "4 3 5 2 ");
    expect(fuse, "aXYa", 4, 0, "0 1 0 ");
    expect(drop, "aXba", 4, 0, "2 0 ");
    expect(unk, "aXa", 3, 0, "0 2 ");
    expect(whole, "abc", 3, 0, "0 1 2 ");
}

/* Every unit of a table may lie: places outside of it are no entries. */
static void bad_tables(void **state)
{
    unsigned char table[4 + 16 + 3] = {16};
    struct err e = {0};
    size_t n;

    (void)state;
    assert_null(charsmap_open(table, 7, "t", &e));
    table[0] = 255;
    assert_null(charsmap_open(table, sizeof table, "t", &e));
    assert_int_equal(e.kind, ERR_USE);
    table[0] = 16;
    table[20] = 0xFF; /* no UTF-8 */
    assert_null(charsmap_open(table, sizeof table, "t", &e));
    table[20] = 'x';
    for (unsigned seed = 1; seed < 2000; seed++) {
        struct charsmap *m;
        unsigned r = seed * 2654435761u;
        char *out;

        for (size_t i = 4; i < 20; i++, r = r * 1664525u + 1013904223u)
            table[i] = (unsigned char)(r >> 24);
        assert_non_null(m = charsmap_open(table, sizeof table, "t", &e));
        out = charsmap_apply(m, "ab\xC3\xA9 \x01", 6, &n, &e);
        assert_non_null(out);
        assert_int_equal(strlen(out), n);
        free(out);
        charsmap_close(&m);
    }
}

static void golden_line(const char *line, size_t n, size_t *cases)
{
    struct err e = {0};
    struct json *j = json_parse(line, n, "expected.jsonl", &e);
    const struct json *all = json_get(j, "cases");
    const char *name = json_text_or(j, "name", "?");
    char *text = j ? json_print(json_get(j, "tokenizer"), 0, &e) : NULL;
    struct tokenizer *t = text ? tokenizer_parse(text, strlen(text), name, &e) : NULL;

    if (!t)
        fail_msg("%s: %s", name, e.text);
    for (size_t i = 0; i < json_count(all); i++, (*cases)++) {
        const struct json *said = json_at(json_at(all, i), 0), *want = json_at(json_at(all, i), 1);
        int32_t *ids;
        size_t count;

        assert_int_equal(
            tokenizer_encode(t, json_as_text(said), json_text_length(said), 1, 1, &ids, &count, &e),
            0);
        for (size_t k = 0; k < count || k < json_count(want); k++) {
            int64_t id = -1;

            json_as_int(json_at(want, k), &id);
            if (k >= count || k >= json_count(want) || ids[k] != id)
                fail_msg("%s, case %zu: token %zu is %d, not %d", name, i, k,
                         k < count ? (int)ids[k] : -1, (int)id);
        }
        free(ids);
    }
    tokenizer_close(&t);
    free(text);
    json_destroy(&j);
}

static void golden(void **state)
{
    FILE *f = fopen("tests/golden/tokenizer/expected.jsonl", "rb");
    char *line = NULL;
    size_t room = 0, cases = 0;
    ssize_t n;

    (void)state;
    assert_non_null(f);
    while ((n = getline(&line, &room, f)) > 0)
        golden_line(line, (size_t)n, &cases);
    assert_int_equal(cases, 420);
    free(line);
    fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files),  cmocka_unit_test(by_hand), cmocka_unit_test(one_piece),
        cmocka_unit_test(bad_tables), cmocka_unit_test(golden),
    };

    return cmocka_run_group_tests_name("tokenizer_models", tests, NULL, NULL);
}
