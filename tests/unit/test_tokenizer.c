/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer against llama.cpp's conformance vectors, the reference's rows of real texts, and
 * small files of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "../../common/base/json.h"
#include "../../common/tensor/safetensors.h"
#include "../../common/text/tokenizer.h"
#include "shared.h"
#include "vocab_json.h"

/* ---- a small tokenizer of our own, spelled in single quotes ---- */

static struct tokenizer *small_open(const char *text, struct err *e)
{
    char buffer[8192];
    size_t n = strlen(text), i;

    assert_true(n < sizeof buffer);
    for (i = 0; i <= n; i++)
        buffer[i] = text[i] == '\'' ? '"' : text[i];
    return tokenizer_parse(buffer, n, "small", e);
}

static void expect_refused(const char *text, const char *word)
{
    struct err e = {0};
    struct tokenizer *t = small_open(text, &e);

    if (t)
        print_message("not refused: %s\n", text);
    assert_null(t);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word))
        print_message("'%s' not in '%s'\n", word, e.text);
    assert_non_null(strstr(e.text, word));
}

#define MODEL "'model':{'type':'BPE','vocab':{'a':0,'b':1,'ab':2},'merges':['a b']}"

static void bad_files(void **state)
{
    (void)state;
    expect_refused("", "small");
    expect_refused("[]", "model");
    expect_refused("{}", "model");
    expect_refused("{'model':{'type':'WordPiece','vocab':{'a':0}}}", "WordPiece");
    expect_refused("{'model':{'type':'BPE','vocab':{},'merges':[]}}", "vocab");
    expect_refused("{'model':{'type':'BPE','vocab':{'a':0},'merges':['a b']}}",
                   "'b' is not in the vocabulary");
    expect_refused("{'model':{'type':'BPE','vocab':{'a':0,'b':1},'merges':['a b']}}",
                   "'ab' is not in the vocabulary");
    expect_refused("{'model':{'type':'BPE','vocab':{'a':0},'merges':['a']}}", "pair");
    expect_refused("{'model':{'type':'BPE','vocab':{'a':0},'merges':[['a']]}}", "merge");
    expect_refused("{'model':{'type':'BPE','vocab':{'a':0,'b':0},'merges':[]}}", "taken");
    expect_refused("{'model':{'type':'BPE','vocab':{'a':-1},'merges':[]}}", "range");
    expect_refused("{'model':{'type':'BPE','vocab':{'a':99999999},'merges':[]}}", "range");
    expect_refused("{'model':{'type':'BPE','vocab':{'a':'x'},'merges':[]}}", "no id");
    expect_refused("{'model':{'type':'BPE','dropout':0.1,'vocab':{'a':0},'merges':[]}}", "dropout");
    expect_refused(
        "{'model':{'type':'BPE','end_of_word_suffix':'</w>','vocab':{'a':0},'merges':[]}}",
        "end_of_word_suffix");
    expect_refused("{'model':{'type':'BPE','unk_token':'?','vocab':{'a':0},'merges':[]}}",
                   "unk_token");
    expect_refused("{'normalizer':{'type':'BertNormalizer'}," MODEL "}", "BertNormalizer");
    expect_refused("{'normalizer':{'type':'Replace','pattern':{},'content':''}," MODEL "}",
                   "pattern");
    expect_refused("{'normalizer':{'type':'Sequence'}," MODEL "}", "normalizers");
    expect_refused("{'pre_tokenizer':{'type':'UnicodeScripts'}," MODEL "}", "UnicodeScripts");
    expect_refused(
        "{'pre_tokenizer':{'type':'Split','pattern':{'Regex':'(a'},'behavior':'Isolated'}," MODEL
        "}",
        "compile");
    expect_refused(
        "{'pre_tokenizer':{'type':'Split','pattern':{'Regex':'a'},'behavior':'Odd'}," MODEL "}",
        "Odd");
    expect_refused("{'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'ByteLevel'},{'"
                   "type':'ByteLevel'}]}," MODEL "}",
                   "ByteLevel twice");
    expect_refused("{'post_processor':{'type':'RobertaProcessing'}," MODEL "}",
                   "RobertaProcessing: 'cls'");
    expect_refused("{'post_processor':{'type':'Sequence'}," MODEL "}", "processors");
    expect_refused("{'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':"
                   "'x'}}]}," MODEL "}",
                   "'x'");
    expect_refused("{'decoder':{'type':'CTC'}," MODEL "}", "CTC");
    expect_refused("{'added_tokens':[{'id':5,'content':'ab'}]," MODEL "}",
                   "in the vocabulary it is 2");
    expect_refused("{'added_tokens':[{'content':'x'}]," MODEL "}", "id");
}

static void expect_ids(struct tokenizer *t, const char *text, size_t n, int special, int added,
                       size_t count, ...)
{
    struct err e = {0};
    int32_t *ids;
    size_t got, i;
    va_list ap;

    assert_int_equal(tokenizer_encode(t, text, n, special, added, &ids, &got, &e), 0);
    va_start(ap, count);
    for (i = 0; i < count && i < got; i++) {
        int want = va_arg(ap, int);

        if (ids[i] != want)
            print_message("'%s': id %zu is %d, not %d\n", text, i, ids[i], want);
        assert_int_equal(ids[i], want);
    }
    va_end(ap);
    assert_int_equal(got, count);
    free(ids);
}

static void expect_text(struct tokenizer *t, const char *want, size_t count, const int32_t *ids)
{
    struct err e = {0};
    size_t n;
    char *text = tokenizer_decode(t, ids, count, &n, &e);

    assert_non_null(text);
    assert_string_equal(text, want);
    assert_int_equal(n, strlen(want));
    free(text);
}

static void merges_go_by_rank_then_place(void **state)
{
    struct err e = {0};
    struct tokenizer *t =
        small_open("{'model':{'type':'BPE','vocab':{'a':0,'b':1,'ab':2,'ba':3,'aba':4},"
                   "'merges':[['b','a'],'a b','ab a']}}",
                   &e);

    (void)state;
    assert_non_null(t);
    expect_ids(t, "ab", 2, 0, 1, 1, 2);
    expect_ids(t, "aba", 3, 0, 1, 2, 0, 3); /* ba before ab, and then a+ba is no merge */
    expect_ids(t, "babab", 5, 0, 1, 3, 3, 3, 1);
    expect_ids(t, "axb", 3, 0, 1, 1, 2); /* no unknown token: dropped before merging */
    expect_ids(t, "", 0, 1, 1, 0);
    assert_int_equal(tokenizer_vocab(t), 5);
    assert_int_equal(tokenizer_bos(t), -1);
    assert_int_equal(tokenizer_id(t, "aba"), 4);
    assert_int_equal(tokenizer_id(t, "x"), -1);
    assert_int_equal(tokenizer_id(t, ""), -1);
    /* without a decoder tokens are joined with spaces */
    expect_text(t, "ab a", 2, (int32_t[]){2, 0});
    assert_null(tokenizer_decode(t, (int32_t[]){5}, 1, &(size_t){0}, &e));
    tokenizer_close(&t);
    tokenizer_close(&t);
    tokenizer_close(NULL);
}

static void unknown_characters(void **state)
{
    struct err e = {0};
    struct tokenizer *t = small_open("{'model':{'type':'BPE','unk_token':'?','fuse_unk':true,'"
                                     "vocab':{'a':0,'?':1},'merges':[]}}",
                                     &e);

    (void)state;
    assert_non_null(t);
    expect_ids(t, "axya\xC3\xA9", 6, 0, 1, 4, 0, 1, 0, 1);
    tokenizer_close(&t);
    t = small_open("{'model':{'type':'BPE','unk_token':'?','vocab':{'a':0,'?':1},'merges':[]}}",
                   &e);
    expect_ids(t, "axya", 4, 0, 1, 4, 0, 1, 1, 0);
    tokenizer_close(&t);
}

#define ADDED(flags)                                                \
    "'added_tokens':[{'id':7,'content':'<s>','special':true," flags \
    "},{'id':8,'content':'<s>x'},{'id':9,'content':'yo','single_word':true}],"
#define WITH_SPACE \
    "'model':{'type':'BPE','vocab':{'a':0,'b':1,'ab':2,' ':3,'o':4,'y':5},'merges':['a b']}"

static void added_tokens(void **state)
{
    struct err e = {0};
    struct tokenizer *t = small_open("{" ADDED("'lstrip':false") WITH_SPACE "}", &e);

    (void)state;
    assert_non_null(t);
    assert_int_equal(tokenizer_vocab(t), 10);
    expect_ids(t, "a<s>b", 5, 0, 1, 3, 0, 7, 1);
    /* not looked for, and its characters are unknown */
    expect_ids(t, "a<s>b", 5, 0, 0, 1, 2);
    expect_ids(t, "a <s> b", 7, 0, 1, 5, 0, 3, 7, 3, 1);
    expect_ids(t, "yo ayo yo", 9, 0, 1, 7, 9, 3, 0, 5, 4, 3, 9);
    assert_int_equal(tokenizer_id(t, "<s>x"), 8);
    tokenizer_close(&t);
    t = small_open("{" ADDED("'lstrip':true,'rstrip':true") WITH_SPACE "}", &e);
    expect_ids(t, "a  <s> \nb", 9, 0, 1, 3, 0, 7, 1);
    tokenizer_close(&t);
    t = small_open("{'post_processor':{'type':'Sequence','processors':[{'type':'ByteLevel'},{'type'"
                   ":'TemplateProcessing','single':["
                   "{'SpecialToken':{'id':'<s>','type_id':0}},{'Sequence':{'id':'A','type_id':0}},{"
                   "'SpecialToken':{'id':'e','type_id':0}}],"
                   "'special_tokens':{'<s>':{'ids':[7]},'e':{'ids':[2]}}}]}," ADDED(
                       "'lstrip':false") WITH_SPACE "}",
                   &e);
    assert_non_null(t);
    assert_int_equal(tokenizer_bos(t), 7);
    expect_ids(t, "a", 1, 1, 1, 3, 7, 0, 2);
    expect_ids(t, "", 0, 1, 1, 2, 7, 2);
    expect_ids(t, "a", 1, 0, 1, 1, 0);
    tokenizer_close(&t);
}

#define LETTERS                                                                                    \
    "'model':{'type':'BPE','ignore_merges':true,'vocab':{'a':0,'b':1,'-':2,'a-':3,'-b':4,'a-b':5," \
    "'--':6,'-a':7},'merges':[]}"

static void split_behaviors(void **state)
{
    static const struct {
        const char *name;
        size_t count;
        int ids[5];
    } cases[] = {
        {"Removed", 2, {0, 1}},
        {"Isolated", 4, {0, 2, 2, 1}},
        {"MergedWithPrevious", 3, {3, 2, 1}},
        {"MergedWithNext", 3, {0, 2, 4}},
        {"Contiguous", 3, {0, 6, 1}},
    };
    size_t i;

    (void)state;
    for (i = 0; i < 5; i++) {
        struct err e = {0};
        char text[1024];
        struct tokenizer *t;
        const int *x = cases[i].ids;

        snprintf(
            text, sizeof text,
            "{'pre_tokenizer':{'type':'Split','pattern':{'String':'-'},'behavior':'%s'}," LETTERS
            "}",
            cases[i].name);
        t = small_open(text, &e);
        assert_non_null(t);
        expect_ids(t, "a--b", 4, 0, 1, cases[i].count, x[0], x[1], x[2], x[3], x[4]);
        tokenizer_close(&t);
    }
}

static void split_invert(void **state)
{
    struct err e = {0};
    struct tokenizer *t = small_open("{'pre_tokenizer':{'type':'Split','pattern':{'Regex':'[ab]'},'"
                                     "behavior':'Removed','invert':true}," LETTERS "}",
                                     &e);

    (void)state;
    assert_non_null(t);
    expect_ids(t, "a--b", 4, 0, 1, 2, 0, 1);
    tokenizer_close(&t);
}

#define META                                              \
    "'vocab':{'\xE2\x96\x81':0,'a':1,'b':2,'\xE2\x96\x81" \
    "a':3,'\xE2\x96\x81"                                  \
    "b':4,'<s>':5},'merges':['\xE2\x96\x81 a','\xE2\x96\x81 b']}"

static void metaspace(void **state)
{
    static const char *const prefixes[] = {"always", "first", "never"};
    static const int ids[3][4] = {{3, 4, 5, 3}, {3, 4, 5, 1}, {1, 4, 5, 1}};
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        struct err e = {0};
        char text[1024];
        struct tokenizer *t;

        snprintf(
            text, sizeof text,
            "{'pre_tokenizer':{'type':'Metaspace','replacement':'\xE2\x96\x81','prepend_scheme':'%"
            "s'},"
            "'decoder':{'type':'Metaspace','replacement':'\xE2\x96\x81','prepend_scheme':'%s'},"
            "'added_tokens':[{'id':5,'content':'<s>','special':true}],'model':{'type':'BPE'," META
            "}",
            prefixes[i], prefixes[i]);
        t = small_open(text, &e);
        assert_non_null(t);
        expect_ids(t, "a b<s>a", 7, 0, 1, 4, ids[i][0], ids[i][1], ids[i][2], ids[i][3]);
        expect_text(t, i == 2 ? " a b" : "a b", 2, (int32_t[]){3, 4});
        tokenizer_close(&t);
    }
}

static void byte_fallback(void **state)
{
    struct vocab_text v = {0};
    struct err e = {0};
    struct tokenizer *t;
    char token[64];
    int i;

    (void)state;
    vocab_puts(&v, "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{"
                   "\"type\":\"Fuse\"},"
                   "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"
                   "\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"merges\":[],\"vocab\":{"
                   "\"a\":0,\" \":300");
    for (i = 0; i < 256; i++) {
        snprintf(token, sizeof token, ",\"<0x%02X>\":%d", (unsigned)i, i + 1);
        vocab_puts(&v, token);
    }
    vocab_puts(&v, "}}}");
    t = tokenizer_parse(v.p, v.n, "bytes", &e);
    assert_non_null(t);
    expect_ids(t, "a\xC3\xA9", 3, 0, 1, 3, 0, 0xC4, 0xAA);
    expect_ids(t, "a\0a", 3, 0, 1, 3, 0, 1, 0);
    expect_ids(t, "a\xFFz", 3, 0, 1, 5, 0, 0xF0, 0xC0, 0xBE, 'z' + 1); /* broken UTF-8 is U+FFFD */
    expect_text(t, "a\xC3\xA9", 3, (int32_t[]){0, 0xC4, 0xAA});
    expect_text(t, "a\xEF\xBF\xBD", 2, (int32_t[]){0, 0xC4});
    expect_text(t, " a", 3, (int32_t[]){300, 300, 0});
    tokenizer_close(&t);
    free(v.p);
}

/* ---- vectors ---- */

#define MARK "\n__ggml_vocab_test__\n"

static int same_line(const char *line, const int32_t *ids, size_t n)
{
    char *end;
    size_t i;

    for (i = 0; i < n; i++, line = end)
        if (strtol(line, &end, 10) != ids[i] || end == line)
            return 0;
    return line[strspn(line, " ")] == '\n';
}

static void check_vectors(struct tokenizer *t, const char *inp, const char *out, int lossless)
{
    size_t n, m, cases = 0;
    char *text = vocab_file(inp, &n), *want = vocab_file(out, &m), *line = want, *p = text, *end;

    for (; (end = strstr(p, MARK)); p = end + strlen(MARK), cases++) {
        struct err e = {0};
        size_t count, length = (size_t)(end - p), got;
        int32_t *ids;
        char *back;

        assert_int_equal(tokenizer_encode(t, p, length, 0, 0, &ids, &count, &e), 0);
        if (!same_line(line, ids, count))
            print_message("case %zu: '%.*s'\n", cases, (int)length, p);
        assert_true(same_line(line, ids, count));
        line = strchr(line, '\n') + 1;
        if (lossless) {
            back = tokenizer_decode(t, ids, count, &got, &e);
            assert_non_null(back);
            if (got != length || memcmp(back, p, got))
                print_message("case %zu: '%s'\n", cases, back);
            assert_int_equal(got, length);
            assert_memory_equal(back, p, got);
            free(back);
        }
        free(ids);
    }
    assert_int_equal(cases, 46);
    free(text);
    free(want);
}

static void check_text(struct vocab_text v, const char *inp, const char *out, int lossless)
{
    struct err e = {0};
    struct tokenizer *t = tokenizer_parse(v.p, v.n, "vectors", &e);

    if (!t)
        print_message("%s\n", e.text);
    assert_non_null(t);
    check_vectors(t, inp, out, lossless);
    tokenizer_close(&t);
    free(v.p);
}

#define VECTORS "data/tok-vectors/ggml-vocab-"

static void vectors_gpt2(void **state)
{
    shared_or_skip(vocab, "data/tok-gpt2/vocab.json");
    shared_or_skip(merges, "data/tok-gpt2/merges.txt");
    shared_or_skip(inp, VECTORS "gpt-2.gguf.inp");
    shared_or_skip(out, VECTORS "gpt-2.gguf.out");
    (void)state;
    check_text(vocab_from_merges(vocab, merges, VOCAB_GPT2_PARTS), inp, out, 1);
}

static void vectors_qwen2(void **state)
{
    shared_or_skip(vocab, "data/tok-qwen2/vocab.json");
    shared_or_skip(merges, "data/tok-qwen2/merges.txt");
    shared_or_skip(inp, VECTORS "qwen2.gguf.inp");
    shared_or_skip(out, VECTORS "qwen2.gguf.out");
    (void)state;
    /* NFC is not undone */
    check_text(vocab_from_merges(vocab, merges, VOCAB_QWEN2_PARTS), inp, out, 0);
}

static void vectors_llama3(void **state)
{
    shared_or_skip(ranks, "data/tok-llama3/tokenizer_llama3.tiktoken");
    shared_or_skip(inp, VECTORS "llama-bpe.gguf.inp");
    shared_or_skip(out, VECTORS "llama-bpe.gguf.out");
    (void)state;
    check_text(vocab_from_tiktoken(ranks, VOCAB_LLAMA3_PARTS), inp, out, 1);
}

static void vectors_llama2(void **state)
{
    shared_or_skip(file, "data/tok-llama2/tokenizer.json");
    shared_or_skip(inp, VECTORS "llama-spm.gguf.inp");
    shared_or_skip(out, VECTORS "llama-spm.gguf.out");
    struct vocab_text v = {0};

    (void)state;
    v.p = vocab_file(file, &v.n);
    check_text(v, inp, out, 1);
}

static void vectors_phi3(void **state)
{
    shared_or_skip(file, "data/tok-vectors/phi-3.tokenizer.json");
    shared_or_skip(inp, VECTORS "phi-3.gguf.inp");
    shared_or_skip(out, VECTORS "phi-3.gguf.out");
    struct vocab_text v = {0};

    (void)state;
    v.p = vocab_file(file, &v.n);
    check_text(v, inp, out, 1);
}

/* ---- real folders ---- */

static void tinystories_has_a_beginning(void **state)
{
    shared_or_skip(dir, "data/tinystories-656k");
    struct err e = {0};
    struct tokenizer *t = tokenizer_open(dir, &e);
    int32_t *ids;
    size_t n;

    (void)state;
    assert_non_null(t);
    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_vocab(t), 2048);
    assert_int_equal(tokenizer_encode(t, "Once", 4, 1, 1, &ids, &n, &e), 0);
    assert_true(n > 1);
    assert_int_equal(ids[0], 1);
    expect_text(t, "Once", n - 1, ids + 1);
    free(ids);
    tokenizer_close(&t);
}

/* Text number `line` of a .jsonl. */
static char *text_of_line(const char *path, size_t line, size_t *n)
{
    size_t length;
    char *all = vocab_file(path, &length), *p = all, *end, *copy;
    struct err e = {0};
    struct json *j;

    for (; line; line--)
        p = strchr(p, '\n') + 1;
    end = strchr(p, '\n');
    j = json_parse(p, (size_t)(end - p), path, &e);
    assert_non_null(j);
    *n = json_text_length(json_get(j, "text"));
    copy = malloc(*n + 1);
    memcpy(copy, json_as_text(json_get(j, "text")), *n + 1);
    json_destroy(&j);
    free(all);
    return copy;
}

/* The golden's ids, decoded and encoded again, must come back: its authors tokenized real text. */
static void tale_golden(void **state)
{
    shared_or_skip(dir, "data/tale-qwen3");
    shared_or_skip(golden, "data/tale-qwen3/golden.safetensors");
    struct err e = {0};
    struct tokenizer *t = tokenizer_open(dir, &e);
    struct st_set *s = st_open(golden, &e);
    int i;

    (void)state;
    assert_non_null(t);
    assert_non_null(s);
    assert_int_equal(tokenizer_bos(t), -1);
    for (i = 0; i < 3; i++) {
        char name[32];
        struct tensor x = {0};
        const struct st_entry *entry;
        int32_t *want, *ids;
        size_t n, count, length, k;
        char *text;

        snprintf(name, sizeof name, "input_ids.%d", i);
        assert_non_null(entry = st_find(s, name));
        assert_int_equal(st_load(s, entry, &x, &e), 0);
        n = (size_t)entry->shape[0];
        want = malloc(n * sizeof *want);
        for (k = 0; k < n; k++)
            want[k] = x.dtype == DT_I64 ? (int32_t)((const int64_t *)x.data)[k]
                                        : ((const int32_t *)x.data)[k];
        assert_non_null(text = tokenizer_decode(t, want, n - 1, &length, &e));
        assert_int_equal(tokenizer_encode(t, text, length, 0, 1, &ids, &count, &e), 0);
        /* the cut may fall into a word */
        for (k = 0; k < count && k + 3 < n; k++)
            assert_int_equal(ids[k], want[k]);
        free(text);
        free(ids);
        free(want);
        tensor_release(&x);
    }
    st_close(&s);
    tokenizer_close(&t);
}

static void real_text_comes_back(void **state)
{
    shared_or_skip(dir, "data/tale-qwen3");
    shared_or_skip(c4, "data/text-c4/c4-validation.jsonl");
    struct err e = {0};
    struct tokenizer *t = tokenizer_open(dir, &e);
    size_t line;

    (void)state;
    assert_non_null(t);
    for (line = 0; line < 20; line++) {
        size_t n, count, got;
        char *text = text_of_line(c4, line, &n), *back;
        int32_t *ids;

        assert_int_equal(tokenizer_encode(t, text, n, 0, 1, &ids, &count, &e), 0);
        assert_non_null(back = tokenizer_decode(t, ids, count, &got, &e));
        assert_int_equal(got, n);
        assert_memory_equal(back, text, n);
        free(back);
        free(text);
        free(ids);
    }
    tokenizer_close(&t);
}

static void same_ids(void **state)
{
    static const char *const other[] = {
        "{'version':'1.0'," MODEL ",'added_tokens':[{'id':9,'content':'<more>'}]}", /* same */
        "{'model':{'type':'BPE','vocab':{'a':0,'c':1,'ac':2},'merges':['a c']}}"};
    struct tokenizer *t = small_open("{" MODEL "}", &(struct err){0}), *u;
    int32_t id;

    (void)state;
    for (int i = 0; i < 2; i++) {
        u = small_open(other[i], &(struct err){0});
        assert_int_equal(tokenizer_same_ids(t, u, &id), i == 0);
        tokenizer_close(&u);
    }
    assert_int_equal(id, 1);
    tokenizer_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_ids),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(merges_go_by_rank_then_place),
        cmocka_unit_test(unknown_characters),
        cmocka_unit_test(added_tokens),
        cmocka_unit_test(split_behaviors),
        cmocka_unit_test(split_invert),
        cmocka_unit_test(metaspace),
        cmocka_unit_test(byte_fallback),
        cmocka_unit_test(vectors_gpt2),
        cmocka_unit_test(vectors_qwen2),
        cmocka_unit_test(vectors_llama3),
        cmocka_unit_test(vectors_llama2),
        cmocka_unit_test(vectors_phi3),
        cmocka_unit_test(tinystories_has_a_beginning),
        cmocka_unit_test(tale_golden),
        cmocka_unit_test(real_text_comes_back),
    };

    return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
