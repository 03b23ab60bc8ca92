/* SPDX-License-Identifier: Apache-2.0 */
/* cat_opts - see cat_opts.h. */
#include "cat_opts.h"

static const struct opt_choice routes[] = {{"any", LINK_ANY}, {"all", LINK_ALL}, {NULL, 0}};

#define AT(field) offsetof(struct cat_command, field)
static const struct opt rows[] = {
    {"make", OPT_INT, AT(make), "N",
     .help = "send N messages made here instead of reading any, to measure a link", "-1", -1, 1e12},
    {"size", OPT_SIZE, AT(size), "BYTES", .help = "bytes of each of them", "1M"},
    {"run", OPT_TEXT, AT(run), "ID",
     .help = "run that the other processes must belong to;\nwithout it that of the senders is "
             "handed on"},
    {"route", OPT_CHOICE, AT(route), "ROUTE", .help = "each message to any one peer or to all",
     "any", .choices = routes},
    {"peers-in", OPT_INT, AT(peers_in), "N",
     .help = "senders that must have come and ended before the stream has ended", "1", 1, 4096,
     .wiring = 1},
    {"peers-out", OPT_INT, AT(peers_out), "N", .help = "receivers to wait for", "1", 1, 4096,
     .wiring = 1},
    {"credit-messages", OPT_INT, AT(credit), "N",
     .help = "messages that a sender may have on its way", "4", 1, 1e6},
    {"timeout", OPT_REAL, AT(timeout), "SECONDS", .help = "a peer silent for so long is dead", "30",
     0.1, 86400},
    {"lease", OPT_TEXT, AT(lease_text), "PLACE/EPOCH",
     .help = "should this process be lost, another is started at its place, with a higher epoch "
             "(ptq run gives it)",
     .wiring = 1},
    {.name = NULL},
};

static int check(const struct stage *s, struct err *e)
{
    struct cat_command *c = s->own;

    return c->lease_text && link_lease_parse(c->lease_text, &c->lease, e) < 0
               ? err_prefix(e, "--lease")
               : 0;
}

const struct stage_spec cat_spec = {
    .name = "cat",
    .about = "copies a stream of messages from one endpoint to another",
    .in = "messages",
    .out = "they",
    .shared = STAGE_ZSTD | STAGE_STATUS | STAGE_INSECURE | STAGE_FAULT,
    .rows = rows,
    .size = sizeof(struct cat_command),
    .check = check,
};
