/* SPDX-License-Identifier: Apache-2.0 */
/* law_opts - see law_opts.h. */
#include "law_opts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct opt_choice measures[] = {
    {"ppl", LAW_PERPLEXITY}, {"nll", LAW_NLL}, {"kl", LAW_KL}, {NULL, 0}};
static const struct opt_choice verbs[] = {{"fit", LAW_FIT},
                                          {"predict", LAW_PREDICT},
                                          {"advise", LAW_ADVISE},
                                          {"points", LAW_POINTS},
                                          {NULL, 0}};

#define AT(field) offsetof(struct law_command, field)
static const struct opt rows[] = {
    {"json", OPT_FLAG, AT(json), .help = "one JSON object"},
    {"page", OPT_TEXT, AT(page), "FILE",
     .help = "fit: also an HTML page: the surface of the law with the points, and the residuals"},
    {"measure", OPT_CHOICE, AT(measure), "WHAT", .choices = measures, .def = "ppl",
     .help = "the loss of a run: relative increase of its perplexity, increase of its mean "
             "negative log likelihood, or its mean KL divergence"},
    {"data", OPT_TEXT, AT(data), "NAME",
     .help = "which evaluation of a run counts, where it has several: as ptq-eval's --data was "
             "given"},
    {"params", OPT_TEXT, AT(params), "N",
     .help = "predict, advise: parameters of the linears of the model's blocks: 7e9, 7B, 135M"},
    {"qr", OPT_REAL, AT(qr), "SHARE",
     .help = "predict: the share of them that is quantized (1: all)", .def = "1", .max = 1},
    {"qb", OPT_REAL, AT(qb), "VALUES", .help = "predict: values that share a scale: the group size",
     .def = "128", .min = 1, .max = 1e6},
    {"max-loss", OPT_TEXT, AT(max_loss), "LOSS",
     .help = "advise: the most that may be lost: 0.01, 1%"},
    {"bits", OPT_INT, AT(bits), "N",
     .help = "advise: of a quantized weight, for the bits a weight takes on average", .def = "4",
     .min = 1, .max = 8},
    {.name = NULL},
};

/* A number with an ending out of `endings`, each worth its value. */
static int number(const char *text, const char *endings, const double *worth, double *v)
{
    char *end;
    const char *ending;

    *v = strtod(text, &end);
    if (end == text || !isfinite(*v) || !(*v > 0.0))
        return -1;
    if (!*end)
        return 0;
    ending = strchr(endings, *end);
    if (!ending || end[1])
        return -1;
    *v *= worth[ending - endings];
    return 0;
}

static int check(const struct stage *s, struct err *e)
{
    static const double sizes[] = {1e3, 1e6, 1e9, 1e12}, percent[] = {.01};
    struct law_command *c = s->own;
    size_t v = 0;

    while (verbs[v].name && strcmp(verbs[v].name, s->args.arg[0]) != 0)
        v++;
    if (!verbs[v].name)
        return err_set(e, ERR_USE, "'%s': say fit, predict, advise or points, then the runs",
                       s->args.arg[0]);
    c->verb = (enum law_verb)verbs[v].value;
    if (c->params && number(c->params, "KMBT", sizes, &c->parameters) < 0)
        return err_set(e, ERR_USE, "option '--params': '%s' is no number of parameters: 7e9, 7B",
                       c->params);
    if (c->max_loss && number(c->max_loss, "%", percent, &c->most) < 0)
        return err_set(e, ERR_USE, "option '--max-loss': '%s' is no loss above 0: 0.01, 1%%",
                       c->max_loss);
    if (c->page && c->verb != LAW_FIT)
        return err_set(e, ERR_USE, "--page is of ptq law fit");
    if (c->verb == LAW_ADVISE && !c->max_loss)
        return err_set(e, ERR_USE, "advise needs --max-loss: how much may be lost?");
    return 0;
}

const struct stage_spec law_spec = {
    .name = "law",
    .about = "fit the scaling law of mixed quantization to finished runs; predict and advise by it",
    .usage = "[options] fit|predict|advise|points RUN...",
    .notes = "RUN is the folder of a finished run with kept figures (ptq eval --ref MODEL "
             "--keep-figures), or a file of\n"
             "points, a JSON object a line: {\"model\": \"m\", \"params\": 1.06e8, \"qr\": 0.9, "
             "\"qb\": 64, \"delta\": 0.03}.\n"
             "Example: ptq-law predict --params 7B --qr .95 --qb 128 points.jsonl\n",
    .args_min = 2,
    .args_max = OPT_ARGS_MAX,
    .shared = STAGE_ENDS,
    .rows = rows,
    .size = sizeof(struct law_command),
    .check = check,
};
