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
#include <unistd.h>
#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/base/json.h"
#include "../../common/text/charsmap.h"
#include "../../common/text/tokenizer.h"
#include "../../common/text/tokenizer_parts.h"
#include "shared.h"

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

/* Each step would make hundreds of characters of one: no memory is enough for a few of them. */
static void growth(void **state)
{
    static const char step[] = "{'type':'Replace','pattern':{'String':'a'},'content':'%s'}";
    char put[401], one[512], json[2048];

    (void)state;
    memset(put, 'a', sizeof put - 1);
    put[sizeof put - 1] = '\0';
    snprintf(one, sizeof one, step, put);
    snprintf(json, sizeof json, "{'normalizer':%s," UNI "}", one);
    expect(json, "b", 1, 0, "2 ");
    snprintf(json, sizeof json,
             "{'normalizer':{'type':'Sequence','normalizers':[%s,%s,%s]}," UNI "}", one, one, one);
    expect(json, "b", 1, 0, "2 ");
    expect(json, "a", 1, 0, "!normalizer makes more than");
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

static char *model_read(const char *name, size_t *n)
{
    char path[96];
    struct err e = {0};
    char *data;

    snprintf(path, sizeof path, "tests/golden/tokenizer/%s", name);
    data = fs_read(path, 1 << 20, n, &e);
    assert_non_null(data);
    return data;
}

/* Each byte gone or another: refused, or a tokenizer that tokenizes. */
static void bad_models(void **state)
{
    static const struct {
        const char *data, *word;
        size_t n;
    } bad[] = {
        {"", "not a SentencePiece model", 0},
        {"{}", "not a SentencePiece model", 2},
        {"\x0A\x7F", "not a SentencePiece model", 2},
        {"\x0A\x03\x0A\x01\xFF", "piece 0 is not UTF-8", 5},
        {"\x0A\x05\x0A\x01"
         "a\x18\x09",
         "of a type that is not known", 7},
        {"\x0A\x03\x0A\x01"
         "a\x12\x02\x18\x03",
         "words or characters", 9},
        {"\x0A\x03\x0A\x01"
         "a\x12\x03\xC0\x01\x01",
         "suffixes", 10},
        {"\x0A\x03\x0A\x01"
         "a\x0A\x03\x0A\x01"
         "a",
         "twice", 10},
        {"\x0A\x03\x0A\x01"
         "a\x1A\x03\x12\x01x",
         "no such table", 10},
    };
    struct err e = {0};
    size_t n, count;
    char *data = model_read("unigram.model", &n);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(tokenizer_spm_parse(bad[i].data, bad[i].n, "m", &e));
        assert_int_equal(e.kind, ERR_USE);
        if (!strstr(e.text, bad[i].word))
            fail_msg("%zu: '%s' not in '%s'", i, bad[i].word, e.text);
    }
    for (size_t i = 0; i < n; i += 3) {
        const char was = data[i];
        struct tokenizer *t;
        int32_t *ids;

        tokenizer_close(&(struct tokenizer *){tokenizer_spm_parse(data, i, "cut", &e)});
        data[i] = (char)(was ^ (1 << i % 8));
        t = tokenizer_spm_parse(data, n, "flipped", &e);
        if (t && tokenizer_encode(t, "ab <s>\xC3\xA9", 8, 1, 1, &ids, &count, &e) == 0)
            free(ids);
        tokenizer_close(&t);
        data[i] = was;
    }
    free(data);
}

static void folders(void **state)
{
    char dir[] = "/tmp/ptq-tokenizer-XXXXXX", path[64];
    struct err e = {0};
    struct tokenizer *t;
    size_t n;
    char *data = model_read("bpe.model", &n);

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/tokenizer.model", dir);
    assert_int_equal(tokenizer_is_there(dir), 0);
    assert_int_equal(fs_publish(path, "IQ== 0\nIg== 1\n", 14, &e), 0);
    assert_int_equal(tokenizer_is_there(dir), 1);
    assert_null(tokenizer_open(dir, &e));
    assert_non_null(strstr(e.text, "a tiktoken file of 2 ranks"));
    assert_int_equal(fs_publish(path, data, n, &e), 0);
    assert_non_null(t = tokenizer_open(dir, &e));
    assert_int_equal(tokenizer_bos(t), tokenizer_id(t, "<s>"));
    tokenizer_close(&t);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    assert_int_equal(fs_publish(path, "{\"add_bos_token\":false}", 23, &e), 0);
    assert_non_null(t = tokenizer_open(dir, &e));
    assert_int_equal(tokenizer_bos(t), -1);
    tokenizer_close(&t);
    assert_int_equal(fs_remove_tree(dir, &e), 0);
    free(data);
}

#define MARK "\n__ggml_vocab_test__\n"

/* A line of ids for each text. */
static void expect_vectors(const struct tokenizer *t, const char *texts, const char *ids)
{
    const char *end;
    size_t cases = 0;

    for (; (end = strstr(texts, MARK)); texts = end + strlen(MARK), cases++) {
        struct err e = {0};
        int32_t *got;
        size_t n;

        assert_int_equal(tokenizer_encode(t, texts, (size_t)(end - texts), 0, 0, &got, &n, &e), 0);
        for (size_t i = 0; i < n; i++) {
            char *next;

            assert_int_equal(strtol(ids, &next, 10), got[i]);
            ids = next;
        }
        ids += strspn(ids, " ");
        assert_int_equal(*ids++, '\n');
        free(got);
    }
    assert_int_equal(cases, 46);
}

/* Llama 3's file, whose cut is known by its length. */
static void ranks(void **state)
{
    static const char config[] =
        "{\"bos_token\":\"<|begin|>\",\"added_tokens_decoder\":{\"128000\":"
        "{\"content\":\"<|begin|>\",\"special\":true}}}";
    char dir[] = "/tmp/ptq-tokenizer-XXXXXX", path[64], *text, *want, *whole;
    struct err e = {0};
    struct tokenizer *t;
    size_t n;

    shared_or_skip(file, "data/tok-llama3/tokenizer_llama3.tiktoken");
    shared_or_skip(inp, "data/tok-vectors/ggml-vocab-llama-bpe.gguf.inp");
    shared_or_skip(out, "data/tok-vectors/ggml-vocab-llama-bpe.gguf.out");
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/tokenizer.model", dir);
    assert_non_null(whole = realpath(file, NULL));
    assert_int_equal(symlink(whole, path), 0);
    free(whole);
    assert_null(tokenizer_open(dir, &e));
    assert_non_null(strstr(e.text, "added_tokens_decoder"));
    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    assert_int_equal(fs_publish(path, config, sizeof config - 1, &e), 0);
    if (!(t = tokenizer_open(dir, &e)))
        fail_msg("%s", e.text);
    assert_int_equal(tokenizer_bos(t), 128000);
    assert_int_equal(tokenizer_vocab(t), 128001);
    assert_non_null(text = fs_read(inp, 1 << 20, &n, &e));
    assert_non_null(want = fs_read(out, 1 << 20, &n, &e));
    expect_vectors(t, text, want);
    tokenizer_close(&t);
    free(want);
    free(text);
    assert_int_equal(fs_remove_tree(dir, &e), 0);
}

/* An empty added token stands in no text, and its id for nothing. */
static void empty_added(void **state)
{
    static const char text[] =
        "{\"added_tokens\":[{\"id\":9,\"content\":\"\"},{\"id\":6,\"content\":\"<e>\"}],"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}";
    struct err e = {0};
    struct tokenizer *t = tokenizer_parse(text, sizeof text - 1, "t", &e);
    int32_t *ids;
    size_t n;

    (void)state;
    if (!t)
        fail_msg("%s", e.text);
    assert_int_equal(tokenizer_vocab(t), 7);
    assert_int_equal(tokenizer_encode(t, "a<e>b", 5, 0, 1, &ids, &n, &e), 0);
    assert_int_equal(n, 3);
    assert_int_equal(ids[1], 6);
    free(ids);
    tokenizer_close(&t);
}

static void bad_ranks(void **state)
{
    const size_t lines = 128000, room = lines * 16;
    char *text = malloc(room);
    struct err e = {0};
    size_t n = 0;

    (void)state;
    assert_non_null(text);
    assert_int_equal(tokenizer_is_ranks("IQ== 0\nIg== 1\n", 14), 1);
    assert_int_equal(tokenizer_is_ranks("IQ== 0\r\nIg== 1\r\n", 16), 1);
    assert_int_equal(tokenizer_is_ranks("IQ== 0\r", 7), 0);
    assert_int_equal(tokenizer_is_ranks("IQ== 1\n", 7), 0);
    assert_int_equal(tokenizer_is_ranks(" 0\n", 3), 0);
    for (size_t i = 0; i < lines; i++)
        n += (size_t)snprintf(text + n, room - n, "%c%c%c%c %zu\n", "ABCDEFGH"[i >> 15 & 7],
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[i >> 10 & 31],
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[i >> 5 & 31],
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[i & 31], i);
    for (size_t i = 0; i < 4; i++) {
        static const char *const bad[] = {"*AAA 0", "AAAA x", "AAAA-1", "AAAA 1"};
        struct tokenizer *t;
        int bos;

        memcpy(text, bad[i], 6);
        if ((t = tokenizer_ranks_parse(text, n, "r", &bos, &e)))
            fail_msg("'%s' is taken", bad[i]);
        assert_non_null(strstr(e.text, i < 3 ? "r:1: not a token" : "r:2: "));
    }
    free(text);
}

static void golden_line(const char *line, size_t n, size_t *cases)
{
    struct err e = {0};
    struct json *j = json_parse(line, n, "expected.jsonl", &e);
    const struct json *all = json_get(j, "cases");
    const char *name = json_text_or(j, "name", "?");
    const char *model = json_as_text(json_get(j, "model"));
    char *text = model ? model_read(model, &n) : json_print(json_get(j, "tokenizer"), 0, &e);
    struct tokenizer *t = model ? tokenizer_spm_parse(text, n, name, &e)
                                : tokenizer_parse(text, strlen(text), name, &e);

    if (!t)
        fail_msg("%s: %s", name, e.text);
    for (size_t i = 0; i < json_count(all); i++, (*cases)++) {
        const struct json *said = json_at(json_at(all, i), 0), *want = json_at(json_at(all, i), 1);
        int32_t *ids;
        size_t count;

        assert_int_equal(tokenizer_encode(t, json_as_text(said), json_text_length(said), !model, 1,
                                          &ids, &count, &e),
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
    assert_int_equal(cases, 540);
    free(line);
    fclose(f);
}

/* Texts of SentencePiece and tiktoken files end where their length says, not in a NUL. */
static void tokens_are_named_by_their_length(void **state)
{
    struct err e = {0};
    struct bpe *b = bpe_create(4, 0, &e);

    (void)state;
    assert_non_null(b);
    assert_int_equal(bpe_add_token(b, "ab...", 2, BPE_ID_MAX, &e), -1);
    assert_string_equal(e.text, "token 'ab': id 4194304 is out of range");
    assert_int_equal(bpe_add_token(b, "ab...", 2, 0, &e), 0);
    assert_int_equal(bpe_add_token(b, "ab...", 2, 1, &e), -1);
    assert_string_equal(e.text, "token 'ab' stands there twice");
    assert_int_equal(bpe_add_token(b, "cd...", 2, 0, &e), -1);
    assert_string_equal(e.text, "token 'cd': id 0 is taken by another");
    bpe_destroy(&b);
}

static void comes_back(const struct tokenizer *t, const char *text, size_t count,
                       const int32_t *want)
{
    struct err e = {0};
    int32_t *ids;
    size_t got, n;
    char *back;

    assert_int_equal(tokenizer_encode(t, text, strlen(text), 0, 1, &ids, &got, &e), 0);
    assert_int_equal(got, count);
    assert_memory_equal(ids, want, count * sizeof *ids);
    assert_non_null(back = tokenizer_decode(t, ids, got, &n, &e));
    assert_string_equal(back, text);
    free(back);
    free(ids);
}

/* Expected: tokenizers 0.23.3. */
static void added_tokens_come_back(void **state)
{
    struct tokenizer *t = small_open(
        "{'normalizer':{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':'_'},{'type':"
        "'Replace','pattern':{'String':' '},'content':'_'}]},'decoder':{'type':'Sequence',"
        "'decoders':[{'type':'Replace','pattern':{'String':'_'},'content':' '},{'type':'Fuse'},"
        "{'type':'Strip','content':' ','start':1,'stop':0}]},'added_tokens':[{'id':3,'content':"
        "'<s>','normalized':true}],'model':{'type':"
        "'BPE','vocab':{'_':0,'a':1,'_a':2},'merges':['_ a']}}",
        &(struct err){0});

    (void)state;
    assert_non_null(t);
    comes_back(t, "a <s> a", 3, (int32_t[]){2, 3, 2});
    comes_back(t, "<s> a", 2, (int32_t[]){3, 2});
    tokenizer_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(added_tokens_come_back),
        cmocka_unit_test(tokens_are_named_by_their_length),
        cmocka_unit_test(growth),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(one_piece),
        cmocka_unit_test(bad_tables),
        cmocka_unit_test(bad_models),
        cmocka_unit_test(folders),
        cmocka_unit_test(ranks),
        cmocka_unit_test(bad_ranks),
        cmocka_unit_test(empty_added),
        cmocka_unit_test(golden),
    };

    return cmocka_run_group_tests_name("tokenizer_models", tests, NULL, NULL);
}
