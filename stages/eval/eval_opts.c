/* SPDX-License-Identifier: Apache-2.0 */
/* eval_opts - see eval_opts.h. */
#include "eval_opts.h"

#include "../../common/jinja/chat.h"
#include "../../common/tensor/blas.h"
#include "../../common/model/model.h"
#include "../../common/model/program.h"
#include "../../common/run/evals.h"
#include "../../common/text/docs.h"

#define AT(field) offsetof(struct eval_command, field)
static const struct opt rows[] = {
    {"model", OPT_TEXT, AT(model), "DIR",
     .help = "checkpoint to measure, in any format of ptq-write, or a GGUF file", .must = 1,
     .file = OPT_READS},
    {"data", OPT_TEXT, AT(data), "FILE",
     .help = ".txt, or .jsonl with {\"text\"}, {\"input_ids\"} or {\"messages\"}", .must = 1,
     .file = OPT_READS},
    {"ref", OPT_TEXT, AT(ref), "DIR",
     .help = "checkpoint to compare with: KL divergence, top-1 agreement, increase of NLL",
     .file = OPT_READS},
    {"ref-states", OPT_TEXT, AT(ref_states), "FILE",
     .help = "keep the reference's last hidden states there, or read them when they are there: a "
             "second "
             "model is compared in half the time",
     .file = OPT_READS},
    {"window", OPT_INT, AT(window), "N",
     .help = "tokens of a window of text (0: 2048, or the model's context if that is less)", "0", 0,
     1 << 24},
    PRODUCTS_OPT(AT(products), "f32"),
    {"act-bits", OPT_INT, AT(act_bits), "N",
     .help = "round the inputs of the model's linears to so many bits, each token by its own scale "
             "(0: not; -1: as the checkpoint says)",
     "-1", ACT_BITS_SAID, ACT_BITS_MAX},
    {"qkv-bits", OPT_INT, AT(qkv_bits), "N",
     .help =
         "round q, k and v to so many bits before attention reads them, each head of a token by "
         "its own scale; 0: not",
     "0", 0, ACT_BITS_MAX},
    {"max-windows", OPT_INT, AT(max_windows), "N", .help = "stop after N windows (0: all)", "0", 0,
     1 << 30},
    {"chat-template", OPT_TEXT, AT(chat_template), "FILE",
     .help = "Jinja template of \"messages\" instead of the model's own", .file = OPT_READS},
    {"date", OPT_TEXT, AT(date), "YYYY-MM-DD",
     .help = "today's date, for chat templates that ask for it"},
    {"text-column", OPT_TEXT, AT(docs.text_column), "NAME",
     .help = "the member of a line that is its text, instead of \"text\"; no other is read"},
    {"bad-lines", OPT_CHOICE, AT(docs.bad_lines), "HOW",
     .help = "a line of a .jsonl, or an element of a .json, that is no document\n"
             "refuse: an error, with file and line\nskip: leave it out, and count it",
     "refuse", .choices = docs_bad_choices},
    {"bad-chats", OPT_CHOICE, AT(docs.bad_chats), "HOW",
     .help = "a chat that its template refuses\nstop: an error, with file and line\n"
             "skip: leave it out, and count it",
     "stop", .choices = docs_chat_choices},
    {"answers", OPT_FLAG, AT(answers),
     .help =
         "the data are lines {\"question\", \"answer\"} and perhaps \"image\": score the answers "
         "alone, exact match and log-likelihood"},
    {"json", OPT_FLAG, AT(json), .help = "one JSON object on stdout instead of a table"},
    {"keep-figures", OPT_FLAG, AT(keep),
     .help = "keep the figures beside the run that made the model, in DIR/.ptqflow: ptq report "
             "shows them"},
    {"logits", OPT_TEXT, AT(logits), "FILE",
     .help = "keep the logits: a safetensors file with logits.i [tokens, vocabulary] of window i",
     .file = OPT_WRITES},
    {.name = NULL},
};

static int check(const struct stage *s, struct err *e)
{
    const struct eval_command *c = s->own;

    if (c->act_bits > 0 && c->act_bits < ACT_BITS_MIN)
        return err_set(e, ERR_USE, "--act-bits %d: activations have %d to %d bits",
                       (int)c->act_bits, ACT_BITS_MIN, ACT_BITS_MAX);
    if (c->qkv_bits && c->qkv_bits < ACT_BITS_MIN)
        return err_set(e, ERR_USE, "--qkv-bits %d: activations have %d to %d bits",
                       (int)c->qkv_bits, ACT_BITS_MIN, ACT_BITS_MAX);
    if (c->ref_states && !c->ref)
        return err_set(e, ERR_USE, "--ref-states needs --ref");
    if (c->date && chat_check_date(c->date, e) < 0)
        return err_prefix(e, "--date");
    return c->keep && evals_check(c->model, e) < 0 ? err_prefix(e, "--keep-figures") : 0;
}

const struct stage_spec eval_spec = {
    .name = "eval",
    .about = "perplexity of a checkpoint, and its distance from a reference",
    .usage = "--model DIR --data FILE [options]",
    .notes = "Text is tokenized without special tokens, joined and cut into windows that do not "
             "overlap.\nRows of input_ids are windows as they are, and need no "
             "tokenizer.\nEnvironment: OPENBLAS_CORETYPE, the kernels of OpenBLAS; chosen from the "
             "CPU when it is not set.",
    .mem = "512M",
    .mem_for = "for the hidden states of windows that go through a block together",
    .shared = STAGE_THREADS | STAGE_STATUS | STAGE_PRINTS,
    .rows = rows,
    .size = sizeof(struct eval_command),
    .check = check,
    .start = blas_start,
};
