/* SPDX-License-Identifier: Apache-2.0 */
/* msg - one message: a kind, a name, a tree of metadata, tensors. The same on sockets, pipes and
 * in files (frame.h). INTERFACES.md lists every kind and field. */
#ifndef PTQ_MSG_H
#define PTQ_MSG_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/json.h"
#include "../tensor/tensor.h"

#define MSG_VERSION 1
#define MSG_ID 128

enum msg_kind {
    /* data */
    MSG_CHUNK,
    MSG_ACTS,
    MSG_PARTIAL,
    MSG_WEIGHTS,
    MSG_PROBLEM,
    MSG_SOLUTION,
    MSG_COMMIT,
    /* control */
    MSG_HELLO,
    MSG_WELCOME,
    MSG_CREDIT,
    MSG_PING,
    MSG_ACK,
    MSG_END,
    MSG_FAIL,
    MSG_LEAVE,
    MSG_JOIN, /* between a head and its workers */
    MSG_WORK,
    MSG_FILE,
    MSG_KIND_COUNT
};

struct msg {
    enum msg_kind kind;
    /* the name of the message, the same for ever: "b3.attn.qkv/c12"; empty for control */
    char id[MSG_ID];
    char stage[32];    /* who wrote it: "forward" */
    char run[40];      /* run id: the fingerprint of data, seed and recipe; "" when not known */
    uint64_t seq;      /* set by the link: number of this message on its link */
    struct json *meta; /* an object, never NULL in a valid message */
    size_t ntensors;
    struct tensor *tensors;
};

const char *msg_kind_name(enum msg_kind k);
int msg_kind_parse(const char *name, enum msg_kind *k);
int msg_kind_is_data(enum msg_kind k);

/* empty meta object, no tensors */
struct msg *msg_create(enum msg_kind k, const char *stage, struct err *e);
void msg_destroy(struct msg **m);
int msg_set_id(struct msg *m, struct err *e, const char *fmt, ...) ERR_PRINTF(3, 4);
/* Adds a tensor; ownership of t's data moves into the message, *t is zeroed. */
int msg_add(struct msg *m, struct tensor *t, struct err *e);
/* A new tensor to fill in place (reserve/commit): its data is malloc'd, returned; NULL on error. */
void *msg_add_new(struct msg *m, const char *name, enum dtype dtype, int ndim,
                  const uint64_t *shape, struct err *e);
/* A tensor over somebody else's memory, which must outlive the message. */
int msg_add_over(struct msg *m, const char *name, enum dtype dtype, int ndim, const uint64_t *shape,
                 void *data, struct err *e);
void msg_drop(struct msg *m, const char *name);                         /* if it is there */
const struct tensor *msg_tensor(const struct msg *m, const char *name); /* NULL when absent */
/* The same, but it must be there with this dtype (or any float type when dtype is DT_COUNT) and
 * dimensions. */
const struct tensor *msg_need(const struct msg *m, const char *name, enum dtype dtype, int ndim,
                              struct err *e);
/* Name of a site's message: "b3.attn.qkv" with suffix at the end ("/c12" for a chunk, "/l2" for a
 * lane, "/w" for weights, "" for problem, solution and commit). */
int msg_set_site_id(struct msg *m, uint64_t block, const char *site, const char *suffix,
                    struct err *e);
/* The same message over m's tensors, which it borrows: m must outlive it. */
struct msg *msg_borrow(const struct msg *m, struct err *e);
/* The same message with its own memory. */
struct msg *msg_copy(const struct msg *m, struct err *e);
/* What a stage does not know it hands on: to gets the fields of from that are not among known (NULL
 * ends the list) and that it does not have, and, with tensors 1, copies of the tensors that are not
 * among known; ERR_USE when it has one of that name. */
int msg_hand_on(struct msg *to, const struct msg *from, const char *const *known, int tensors,
                struct err *e);
/* raw bytes of all tensors + a little: what credit counts */
size_t msg_bytes(const struct msg *m);
/* Order-free checksum of a data message: 64-bit hash over kind, id and the CRC32C of each
 * tensor. The end mark carries their sum. */
uint64_t msg_checksum(const struct msg *m);

#endif
