/* SPDX-License-Identifier: Apache-2.0 */
/* link - one end of a stream of messages: a socket, a pipe or a file; the stage does not see
 * which.
 *
 * Endpoints: "@URL" binds, "URL" connects (ipc://, tcp://), "-" is stdin or stdout, anything
 * else is the path of a file; "@URL,tcp://..." binds at two places, with opts.keys by tcp only for
 * those whose keys are listed. The only files that include ZeroMQ are link_zmq*.c and curve.c.
 * Sockets are ROUTER (binder) / DEALER (connector). A socket link has one thread of
 * its own that owns the socket: handshake, heartbeats, credit, encoding and decoding go on while
 * the stage computes. Of the stage's own threads only one at a time may use a link.
 *
 * Either end may bind; the one that sends data is LINK_OUT, the other LINK_IN. After connect the
 * two sides exchange hello (version, kinds of messages sent or taken, run) and welcome or fail: a
 * mismatch is refused with a reason that both sides print. An end knows messages, not neighbours:
 * who takes and sends the same kinds can stand in for another, or between two. Credit: the
 * receiver gives each sender a number of messages and bytes (opts.credit_*); a sender sends only
 * within both (one message may always go when nothing is outstanding, however large). link_recv
 * and link_poll return credit for the message that link_recv returned *before*, i.e. when the
 * stage has come back for more. High-water marks are only a fuse. Heartbeats: ping when idle; a
 * peer silent for opts.timeout_s is dead: error on a fixed link, forgotten (with its reason in the
 * log) on an elastic one. A ping says how much work the stage behind it has done: one that stands
 * still for opts.stall_s although its link answers is said, unless a supervisor watches.
 *
 * Elastic links: peers come and go, so completeness is a matter of the data, never of who has
 * ended.
 * - Sender (LINK_OUT, LINK_ANY): a message that a lost peer had not taken (hold: that link_done
 *   has not covered) is given to another.
 * - Receiver (LINK_IN): link_recv returns 0 only after link_enough; peers that fail or vanish
 *   are forgotten, what they sent stays.
 * - A receiver that wants to go says link_leave: what it took is done with, what it did not take
 *   is given to another. */
#ifndef PTQ_LINK_H
#define PTQ_LINK_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "frame.h"
#include "msg.h"
#include "run_id.h"

enum link_dir { LINK_IN, LINK_OUT };

enum link_route {
    LINK_ANY, /* to whichever peer has credit; waits for a peer */
    /* to every peer that has said hello (commits); peers that come later get what was sent
     * before, in order, from the link's replay function if one was set; never waits on a peer
     * without credit: the message is kept for it */
    LINK_ALL
};

/* Whose place in a stage this end has, and how many had it before: see link_lease.c. */
#define LINK_PLACE 48
struct link_lease {
    char place[LINK_PLACE]; /* "": none */
    int64_t epoch;
};

struct link_opts {
    const char *name; /* of this process, for people who read messages and logs: "forward" */
    /* kinds of data messages (LINK_KIND). A LINK_OUT: those it is known to send, 0: not known, then
     * each message is checked by itself. A LINK_IN: those it takes, 0: all; others are refused. */
    unsigned sends, takes;
    /* LINK_IN: kinds whose tensors this end only reads (SHARE_TO_READ in share.h) */
    unsigned reads;
    /* the run that this end works for, where that is known before the first message; "" or NULL:
     * not yet */
    const char *run;
    /* one for all links of a stage, which must outlive them; NULL: the link has its own. Every
     * hello and message bears it, those of another run are refused (run_id.h). */
    struct run_id *run_id;
    enum link_route route; /* LINK_OUT */
    /* binder: wait for this many peers before the first message goes out (LINK_OUT) or before
     * the end of all present counts as the end (LINK_IN); 0: 1 */
    size_t peers;
    size_t credit_messages; /* LINK_IN: 0: 4 */
    size_t credit_bytes;    /* LINK_IN: 0: 256 MiB */
    /* LINK_IN: so many messages instead, as long as they are no more bytes than credit_messages
     * like the largest that was sent; 0: never more */
    size_t credit_small;
    /* LINK_IN: credit is given back when the sender is short of it, with that of several messages,
     * or when nothing comes for a while. For links on which nobody is chosen by his credit: each
     * word of it wakes threads at both ends. */
    int credit_late;
    /* LINK_OUT, LINK_ANY: a message may wait for a few more, so that they go and arrive together:
     * until they are many, or large, or there is no credit for another, or the stage waits for
     * anything (link_flush); a second at most. */
    int send_late;
    enum frame_compress compress; /* LINK_OUT */
    double timeout_s;             /* 0: 30 */
    double stall_s;               /* of a stage behind a peer that answers; 0: 60 */
    int elastic;                  /* peers may come and go, see above */
    /* elastic LINK_OUT, LINK_ANY: each message is kept until link_done names it */
    int hold;
    /* LINK_IN: patterns of the keys that this end takes, of every kind (fnmatch, on the whole key
     * and on what follows its first '.'; "2/3": the second of three shares of all keys). The key
     * of a message is its id up to the first '/': its site. They must outlive the link. */
    const char *const *accepts;
    size_t naccepts; /* 0: takes all */
    /* LINK_OUT: when the other end is lost and another comes to its place, the stage sends all that
     * is needed again: link_again */
    int remakes;
    /* this end may be lost: whoever gave it this place starts another; must outlive the link. NULL:
     * nobody does */
    const struct link_lease *lease;
    const char *keys;           /* folder of keys for tcp (curve.h); NULL: none */
    int insecure;               /* allow binding tcp beyond loopback without keys */
    struct frame_limits limits; /* all 0: default */
};

/* Of "PLACE/EPOCH". */
int link_lease_parse(const char *text, struct link_lease *lease, struct err *e);

/* Sets of kinds. */
#define LINK_KIND(kind) (1u << (kind))
#define LINK_EVERY_KIND (LINK_KIND(MSG_COMMIT + 1) - 1) /* of data: they come first in the enum */

struct link;

/* NULL: wrong use, or the system refused. Whoever opens a link closes it. */
struct link *link_open(const char *endpoint, enum link_dir dir, const struct link_opts *o,
                       struct err *e);

/* Where a socket link can be reached or connects to ("tcp://127.0.0.1:40123" after binding
 * "@tcp://127.0.0.1:*"); else the endpoint. */
const char *link_address(const struct link *l);

/* LINK_ALL: where message number i (from 0, in the order of link_send) can be made again for a
 * peer that comes late, so that the link need not keep everything it sent. Called on the link's
 * own thread, only for messages that link_send has accepted; it must read nothing that the stage
 * may still be changing. Without it the link keeps all messages. Set it before the first
 * link_send. */
void link_set_replay(struct link *l,
                     int (*fn)(void *ctx, uint64_t i, struct msg **m, struct err *e), void *ctx);

/* Takes the next message. 1: *m is the caller's; 0: the stream ended properly (every peer sent
 * its end mark, counts and checksums agree); -1: error (incl. a stream cut off without end mark:
 * ERR_DATA "incomplete"); 2: nothing within timeout_ms (-1: wait for ever). Returns 2 early when
 * sig_draining() becomes true, even if messages are waiting. What arrived before an error is
 * still given out first. */
int link_recv(struct link *l, struct msg **m, int timeout_ms, struct err *e);

/* Sends; *m is NULL after success. Blocks for credit (serving heartbeats meanwhile). 0/-1; when
 * draining it gives up with an error after 5 seconds without credit, so that the piece of work
 * in hand can still leave. LINK_ANY: to a peer that accepts the message's key (pipes and files
 * accept every key); waits for one, and says so after 5 seconds. ERR_USE when peers are there, but
 * none takes this kind. */
int link_send(struct link *l, struct msg **m, struct err *e);
/* send_late: what waits for more goes now. pump_run does so before it waits. */
void link_flush(struct link *l);
/* hold: messages of this id are covered; nobody needs them any more. */
int link_done(struct link *l, const char *id, struct err *e);
/* hold: what a peer has had in hand for so many seconds, and nobody has covered, goes to another
 * too, once; the first that is covered counts. 0 (from the start): never. */
void link_overdue(struct link *l, double seconds);
/* LINK_IN: link_close will tell the senders that all that link_recv returned is done with and
 * the rest must go to another; a sender that is not elastic takes it for a failure. Call it only
 * when what became of them has been delivered. */
void link_leave(struct link *l);
/* LINK_IN: the message that link_recv returned last is at fault, for the reason in e, which gets
 * the sender's name in front. Elastic: its sender is told, and forgotten with all it sent and
 * nobody took yet; the log says so; 0. Else -1: whoever uses the link is to fail with e. */
int link_refuse(struct link *l, struct err *e);
/* Elastic LINK_IN: the data is complete; from now on link_recv returns 0 when those present have
 * ended, even if nobody is there. */
void link_enough(struct link *l);
/* To one peer of a LINK_OUT: peers are numbered from 0 in the order of their hello (a pipe or
 * file has just peer 0). Used by the sampler, which gives whole lanes to one worker. link_peers
 * waits (serving the socket) until at least so many have come (0: opts.peers) and returns how many
 * came so far, -1 on error, which being asked to stop is too. */
int link_peers(struct link *l, size_t least, struct err *e);
/* The place that a peer said with its hello (opts.lease), "" for none, into out. */
void link_place(struct link *l, size_t peer, char out[LINK_PLACE]);
int link_send_to(struct link *l, size_t peer, struct msg **m, struct err *e);
/* 1: link_send of a small message would not block now, 0: it would, -1 error */
int link_can_send(struct link *l, struct err *e);

/* End mark to every peer (count + checksum); complete 0 = "cut short", the receiver gets
 * ERR_DATA. Waits, as long as the peers live, until each has everything and has acknowledged the
 * end; a complete end also waits for opts.peers to come. Nothing may be sent after it. why:
 * reason for an incomplete end, may be NULL. */
int link_end(struct link *l, int complete, const char *why, struct err *e);
void link_close(struct link **l);

/* -1 when standard output is a link and nobody reads it any more: waiting for anything else has
 * become useless. link_poll, and link_recv on a pipe or file, notice by themselves, so a
 * pipeline falls back to front as soon as its last stage is gone. */
int link_output_check(struct err *e);

/* -1 when what this end is connected to has failed: the error that the next use would bring. A
 * stage that waits for something else asks now and then. */
int link_check(struct link *l, struct err *e);

/* remakes: 1, once for each time: another is at the place of the other end, and what was sent, its
 * end too, counts as never sent. What waits in link_end comes back then with 0. */
int link_again(struct link *l);

int link_is_socket(const struct link *l);
int link_names_socket(const char *endpoint); /* before it is opened */

/* What the peers that are there have said of themselves; all 0 and empty for pipes and files. */
struct link_known {
    unsigned kinds; /* LINK_IN: all that they send; LINK_OUT: all that they take */
    int elastic;    /* each of them goes on when this end leaves early */
    char run[40];   /* the run of the first that named one */
};
void link_known(const struct link *l, struct link_known *k);

/* Waits until one of the links has something to receive (or, for LINK_OUT, can send); which[]
 * flags set. Other links' heartbeats are served. Returns number ready, 0 on timeout or draining,
 * -1 error. */
int link_poll(struct link **l, size_t n, int *ready, int timeout_ms, struct err *e);

/* bytes_raw: tensors as they are; bytes_memory: LINK_OUT, what of them the other end read where it
 * lay; bytes_wire: what travelled; wait_s: the stage stood still in
 * link_* calls; cpu_s: encoding, decoding, checksums and copying, on whichever thread; peers:
 * those present (ended ones included). */
struct link_stats {
    uint64_t messages, bytes_raw, bytes_memory, bytes_wire;
    double wait_s, cpu_s;
    size_t peers;
};
void link_stats(const struct link *l, struct link_stats *s);

/* Does a pattern fit the key, as link_opts.accepts says? No patterns: yes. */
int link_accepts(const char *const *patterns, size_t n, const char *key);

#endif
