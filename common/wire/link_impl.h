/* SPDX-License-Identifier: Apache-2.0 */
/* link_impl - what the files of a link share: link.c (dispatch), link_file.c (pipes and files),
 * link_sock.c (sockets, the stage's side), link_peer.c and link_hello.c (sockets, the link's own
 * thread). Nobody else includes it. */
#ifndef PTQ_LINK_IMPL_H
#define PTQ_LINK_IMPL_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include "link.h"
#include "link_url.h"
#include "link_zmq.h"
#include "share.h"

#define LINK_PEER_ANY SIZE_MAX
#define LINK_VERSION 2      /* of what links say to each other: hello and what follows from it */
#define PATIENCE_S 5.0      /* of a sender; then it says on whom it waits */
#define ACCEPTS_BYTES 49152 /* of all patterns: a hello is small */
#define GIVEN_UP "it was given up as lost; start it again"

struct link;
struct link_ops {
    int (*recv)(struct link *l, struct msg **m, int timeout_ms, struct err *e);
    int (*send)(struct link *l, size_t peer, struct msg **m, struct err *e);
    int (*peers)(struct link *l, size_t least, struct err *e);
    /* 1: recv would return, or a small send would not block; 0, -1 */
    int (*ready)(struct link *l, struct err *e);
    int (*end)(struct link *l, int complete, const char *why, struct err *e);
    void (*close)(struct link *l);
    void (*stats)(const struct link *l, struct link_stats *s);
    void (*known)(const struct link *l, struct link_known *k);
    struct pollfd (*poll)(const struct link *l); /* what to poll before asking ready() again */
};

struct link {
    const struct link_ops *ops;
    enum link_dir dir;
    int opened;     /* all of it: link_open has returned it */
    char *endpoint; /* as given */
    char *address;  /* resolved */
    char *name;
    struct run_id own, *run; /* run: own, or that of the options */
    struct link_opts o;      /* defaults filled in, its name is the copy above */
    double wait_s, came;     /* came: when it was last found ready */
    double waits, said; /* since when the stage waits for it, when that was last said; 0: not */
    int ended;          /* link_end was called */
};

struct link *file_open(const char *endpoint, enum link_dir dir, const struct link_opts *o,
                       struct err *e);
struct link *sock_open(const char *endpoint, enum link_dir dir, const struct link_opts *o,
                       struct err *e);
int link_is_sock(const struct link *l);
/* to wait with; -1 where standard output is no link */
struct pollfd link_output_poll(void);
/* after the wait: as link_output_check */
int link_output_read(const struct pollfd *p, struct err *e);
int link_init(struct link *l, const struct link_ops *ops, const char *endpoint, enum link_dir dir,
              const struct link_opts *o, struct err *e);

/* The end mark: count, sum of msg_checksum, complete, why. */
struct msg *end_mark_create(const char *name, uint64_t count, uint64_t sum, int complete,
                            const char *why, struct err *e);
/* 0 when complete and both agree; else ERR_DATA. */
int end_mark_check(const struct msg *m, uint64_t count, uint64_t sum, const char *from,
                   struct err *e);

/* link_kinds.c: "acts, weights", and "nothing" for none. */
#define KINDS_TEXT 96
const char *kinds_text(unsigned kinds, char out[KINDS_TEXT]);
struct json *kinds_list(unsigned kinds); /* NULL when memory is out */
/* Of a field of hello. Unknown names: refused when they are sent, passed over when they are
 * taken. */
int kinds_read(const struct json *list, const char *field, int sent, unsigned *kinds,
               struct err *e);
/* LINK_IN: is this a kind that the end takes, and of its run? ERR_USE says what it takes, or names
 * both. The first run that a message names is that of the link. */
int message_check(const struct link *l, const struct msg *m, const char *from, struct err *e);

/* Deadlines in clock_wall seconds, < 0: none; and what is left of them for poll. */
double wait_until(int timeout_ms);
int wait_ms(double until);
int wait_alive_ms(double until); /* STATUS_ALIVE_MS at most */

/* ---- sockets ---- */

/* A message with its owners counted: history, queue, parts still in ZeroMQ's hands. */
struct box {
    atomic_size_t refs;
    struct msg *m;
    size_t bytes;  /* what it costs in credit */
    size_t peer;   /* whom it came from, */
    unsigned from; /* and in which of its streams: peer.stream */
    uint64_t seq;  /* its number on the connection, once it has one */
    int done;      /* hold: covered (under mu) */
    /* the same message as base, for another than peer `but`, who is overdue with it */
    struct box *base;
    size_t but; /* SIZE_MAX: anybody */
    int twice;  /* such a one was made */
};
/* link_queue.c */
struct box *box_create(struct msg *m, struct err *e); /* owns m on success */
void box_ref(struct box *b);
void box_unref(struct box **b);

struct queue {
    struct box **at;
    size_t head, count, room;
}; /* at[head .. head+count) */
int queue_push(struct queue *q, struct box *b, struct err *e);
struct box *queue_pop(struct queue *q);            /* NULL when empty */
void queue_unpop(struct queue *q, struct box *b);  /* right after its queue_pop */
struct box *queue_take(struct queue *q, size_t i); /* the i-th of them */
void queue_clear(struct queue *q);

enum peer_state {
    PEER_HELLO, /* of a connector: no welcome yet */
    PEER_READY,
    PEER_ENDED, /* end mark verified (LINK_IN) or acknowledged (LINK_OUT) */
    PEER_GONE
};

struct peer {
    size_t number;
    struct zid id;
    char name[32], run[40], instance[40];
    unsigned stream;         /* how often it began anew: lease_restart (under mu) */
    int awaited;             /* another is, at its place, and that was told (under mu) */
    struct link_lease lease; /* as it said; none: place is empty */
    int spare;      /* LINK_IN: another had its place to the end; what it sends is not needed. Of a
                       connector the stream stays at its end (written under mu) */
    unsigned kinds; /* that it sends or takes, under mu */
    int elastic;    /* it goes on when we leave early, under mu */
    char **accepts; /* patterns, under mu */
    size_t naccepts;
    enum peer_state state; /* written under mu */
    /* of the link's thread alone */
    double heard, sent, down; /* down: since when the connection is gone; 0: it stands */
    uint64_t hand;            /* hold: number + 1 of what it has in hand; 0: nothing */
    double hand_since;        /* hold: for how long */
    int64_t work;             /* of its stage, as its pings count it; -1: they do not */
    double worked;            /* since when that, or what its stage sends, stands still */
    int stalled;              /* that was said */
    double gap;               /* LINK_IN: since when numbers are missing; 0: none are */
    uint64_t count, sum;      /* data messages sent or received, sum of their checksums */
    int64_t connection;       /* binder: number of the peer's connection */
    int fd;                   /* of its connection; -1: not known */
    int by_memory;            /* LINK_OUT: it reads our memory */
    pid_t memory_of;          /* LINK_IN: whose memory its tensors may lie in; 0: they come */
    int memory_bad;           /* and that went wrong: never again */
    int cuts;                 /* how often it was cut off */
    uint64_t cut_count;       /* for message number so much */
    double cut_at;            /* the last time */
    struct box *held;         /* taken from the queue, not yet sent */
    size_t next;              /* LINK_ALL: next of the history */
    int end_sent, end_again, ack_due;
    int given_up;           /* and it does not know yet */
    uint64_t told_received; /* LINK_IN: in the last credit */
    /* under mu. Credit: on the sending end what the peer gave, on the receiving end what we
     * gave. out_*: used up of it. */
    size_t win_messages, win_bytes, out_messages, out_bytes;
    size_t win_small;                   /* credit_small; 0: none */
    size_t largest;                     /* message that came or was sent, in bytes */
    uint64_t told_messages, told_bytes; /* LINK_IN: in the last credit */
    struct queue queue;                 /* LINK_ANY: chosen for this peer, credit taken */
    struct queue kept;   /* LINK_ANY: sent; may have to be sent again, see kept_trim */
    struct queue resend; /* LINK_ANY: lost with a connection; these go first, with their numbers */
    /* of the connection from its first message on. LINK_OUT: as the peer said, LINK_IN: to say */
    uint64_t received, back_messages, back_bytes;
    uint64_t taken; /* LINK_IN: messages that link_recv has returned */
    char *refused;  /* by link_refuse, for this reason; the link's thread is to tell it */
};

struct sock {
    struct link l;
    struct zsock *z;
    int bound;
    char instance[40];
    int wake, event; /* eventfds: to the link's thread, to the stage */
    atomic_int told; /* the stage has not looked since it was told by the latter */
    pthread_t thread;
    int started;
    clockid_t clock;
    /* of the link's thread alone */
    double now, probe_until;
    double hello_at;            /* connector: when to say hello (again); 0: answered */
    int64_t connection;         /* connector: number of its connection, from 1 */
    struct part probe;          /* what a receiver must read before memory is shared */
    unsigned long long strange; /* messages and connections of strangers that were refused */
    double strange_at;          /* since when what is said of them is counted */
    int strange_lines;
    double full_at;   /* since when no connections are taken; 0: they are */
    struct box *late; /* --fault swap: goes out to late_to as late_seq behind the next one */
    struct peer *late_to;
    uint64_t late_seq;
    struct queue again; /* elastic: left over by a lost peer (under mu) */
    /* since when some of it waits for a peer that accepts it; 0: none, < 0: that was said */
    double again_at;

    pthread_mutex_t mu; /* all below */
    struct peer **peer;
    size_t npeers, room;
    size_t turn;      /* LINK_ANY: where the search for credit starts */
    double gathering; /* send_late: since when messages wait for more; 0: they do not */
    struct queue inbox;
    struct queue history; /* LINK_ALL: head stays 0; NULL: dropped, ask replay */
    size_t history_low;   /* all below are dropped */
    int (*replay)(void *ctx, uint64_t i, struct msg **m, struct err *e);
    void *replay_ctx;
    int failed;
    struct err err; /* the first error */
    int ending, complete, stop;
    unsigned again_due;   /* remakes: not told to the stage yet */
    int leaving, enough;  /* link_leave, link_enough */
    double overdue_s;     /* link_overdue */
    char (*done)[MSG_ID]; /* hold: ids that are covered */
    size_t ndone, done_room;
    char why[256];
    struct link_stats st;
    /* of the stage alone */
    size_t taken_peer, taken_bytes;
    unsigned taken_stream;
    char taken_from[256]; /* its name */
    int taken;            /* credit of the last received message is still to give back */
};

/* link_wait.c, on the stage's thread: on whom it waits. Says so after PATIENCE_S where somebody
 * has not come or does not take the message m (may be NULL), and then, unless a supervisor
 * watches, each minute. */
void wait_explain(struct link *l, const struct msg *m);
void wait_over(struct link *l); /* it has got what it waited for */
/* The stage stood still at l since *from, which is now from here on. */
void wait_count(struct link *l, double *from);
size_t peers_present(const struct sock *s, enum peer_state least); /* under mu; the lost: not */

/* link_serve.c: the link's thread. */
void *sock_serve(void *sock);
/* p broke a rule, as e says: it is told, and dropped or the link fails. */
void peer_refuse(struct sock *s, struct peer *p, const struct err *e);

/* link_peer.c: what goes out, on the link's thread. */
void sock_notify(struct sock *s);                           /* tells the stage to look again */
void sock_fail(struct sock *s, const struct err *e);        /* keeps the first error */
struct peer *peer_of(struct sock *s, const struct zid *id); /* link_hello.c; NULL: unknown */
/* It broke a rule or was lost: an elastic link forgets it and says so, another one fails. */
void peer_drop(struct sock *s, struct peer *p, const struct err *e);
void peer_lost(struct sock *s, struct peer *p, enum err_kind kind, const char *why);
int peer_control(struct sock *s, const struct zid *to, struct msg **m); /* ZS_*; m is consumed */
struct msg *peer_control_new(struct sock *s, enum msg_kind kind);
/* ZS_*; keeps note of the connection; consumes m */
int peer_say(struct sock *s, struct peer *p, struct msg *m);
void peer_pump(struct sock *s, struct peer *p); /* sends what is due and allowed */
void history_trim(struct sock *s);
void peer_say_fail(struct sock *s, const struct zid *to, const char *text);
void peer_say_lost(struct sock *s, const struct zid *to); /* that it was given up as lost */
const char *peer_name(const struct sock *s, const struct peer *p, char out[256]);

/* link_elastic.c: who may have which message, and what becomes of a lost peer's share. */
int peer_accepts(const struct peer *p, const struct msg *m); /* under mu: its kind and its key */
const char *msg_key(const struct msg *m, char out[MSG_ID]);
int accepts_check(const struct json *list, struct err *e);
int accepts_take(struct peer *p, const struct json *list, struct err *e); /* under mu */
void accepts_release(struct peer *p);
/* under mu: its share goes back to be dealt out again */
void peer_empty(struct sock *s, struct peer *p);
void again_deal(struct sock *s);
/* What is overdue with one peer is dealt out again. */
void overdue_tick(struct sock *s);
int box_done(const struct sock *s, const struct box *b); /* under mu: link_done has named it */
/* Those whose messages the stage refused are told, and dropped. */
void refused_drop(struct sock *s);
void leave_take(struct sock *s, struct peer *p, const struct msg *m);
void leave_send(struct sock *s, struct peer *p);

/* link_lease.c: ends whose place can be taken by another. On the link's thread. */
int lease_say(const struct link *l, struct json *meta); /* 0, -1 no memory */
int lease_read(const struct json *meta, struct link_lease *lease, struct err *e);
/* Somebody new says this lease: who had the place before is given up. ERR_USE: it is another's. */
int lease_claim(struct sock *s, const struct link_lease *lease, struct err *e);
/* 1: who had the place before has ended its stream here. */
int lease_is_spare(const struct sock *s, const struct link_lease *lease);
/* 1: what a connector has reached is gone, and another is awaited at its place. */
int lease_awaits(struct sock *s, struct peer *p);
size_t lease_awaited(const struct sock *s); /* under mu: how many of those present are gone so */
/* Is this another, of the same place as the one before? */
int lease_is_next(const struct peer *p, const struct link_lease *lease);
/* It is there: the stream begins anew, and what counts as taken by neither is sent again. */
void lease_restart(struct sock *s, struct peer *p);
/* A binder at a place that others had before: who comes may know a stream that it does not. */
int lease_knows_less(const struct sock *s);
/* 1: another is awaited at the place of p, which is lost as e says; 0: nobody is, it had none. */
int lease_lost(struct sock *s, struct peer *p, const struct err *e);

/* link_resume.c: connections break; the stream goes on with the next one. On the link's thread. */
struct resume {
    int64_t connection;     /* its number, from 1 */
    int64_t received, sent; /* data messages; a receiver says the first, a sender the second */
    int ended;              /* of a receiver: it has the end mark, and it was right */
};
int resume_say(const struct sock *s, const struct peer *p, struct json *meta); /* 0, -1 no memory */
int resume_read(const struct json *meta, struct resume *r, struct err *e);
/* What p says of the stream so far: what did not arrive will be sent again. -1: that is not the
 * stream known here. */
int resume_take(struct sock *s, struct peer *p, const struct resume *r, struct err *e);
/* under mu: b has been sent to p; takes over b */
int kept_push(struct sock *s, struct peer *p, struct box *b, struct err *e);
void kept_trim(const struct sock *s, struct peer *p); /* under mu: drops what is kept in vain */
/* What p sent is damaged or missing, as `what` says: its connection is cut off, so that by the next
 * one it comes again. 0: it has been so too often for one message, or p cannot go on. */
int resume_cut(struct sock *s, struct peer *p, const char *what);
int resume_can(const struct sock *s, const struct peer *p); /* go on by a new connection */
/* A sender: messages that it has sent, all of which are on their way; -1: some will be again. */
int64_t resume_sent(struct sock *s, const struct peer *p);
void ack_take(struct sock *s, struct peer *p, const struct msg *m);
void state_set(struct sock *s, struct peer *p, enum peer_state state); /* link_serve.c */

/* link_data.c: data messages and credit. */
/* under mu: may a message of this size go? */
int peer_credit(const struct peer *p, size_t bytes);
/* LINK_OUT, under mu: may what was placed for p wait for more? */
int send_can_wait(const struct sock *s, const struct peer *p);
/* under mu, on the link's thread: messages wait for more, and not for long */
int send_gathers(const struct sock *s);
/* LINK_IN: of a data message in its turn, that p may send: 1, before anything of it is unpacked. 0:
 * it comes twice or behind a gap, and is dropped; -1: p may not send it. */
int data_wanted(struct sock *s, struct peer *p, const struct msg *m, size_t bytes, struct err *e);
void data_take(struct sock *s, struct peer *p, struct msg *m); /* of that; m is consumed */
/* The stage has come back for more: credit of the message that it took last. 1: the link's thread
 * is to tell it. */
int credit_back(struct sock *s);
/* LINK_IN, under mu: may what is to be given back to p wait for more? While p has credit for
 * another message like the largest; without it, until half of its window is done: the stage has the
 * other half in hand. */
int credit_can_wait(const struct sock *s, const struct peer *p);
#define CREDIT_LATE_S 0.1 /* and not for longer, where nothing comes */
void credit_send(struct sock *s, struct peer *p);
void credit_take(struct sock *s, struct peer *p, const struct msg *m); /* LINK_OUT */

/* link_memory.c: tensors that stay in the sender's memory. */
struct memory_offer {
    pid_t pid; /* 0: none */
    unsigned char handle[SHARE_HANDLE];
};
int memory_say(struct sock *s, struct json *meta); /* 0, -1 no memory */
int memory_read(const struct json *meta, struct memory_offer *m, struct err *e);
/* What p offers with its hello, whose instance is known: a receiver tries it, a sender waits for
 * its credit. */
void memory_take(struct sock *s, struct peer *p, const struct memory_offer *m);
void memory_agreed(struct peer *p, const struct json *credit);

/* link_hello.c: the handshake, on the link's thread. */
/* Something came from nobody we know: what, and why it is refused; the log counts repeats. */
void stranger_say(struct sock *s, const char *what, const char *why);
struct peer *peer_add(struct sock *s, const struct zid *id, enum peer_state state, struct err *e);
int hello_send(struct sock *s, const struct peer *p, enum msg_kind kind);   /* ZS_* */
void hello_take(struct sock *s, const struct zid *id, const struct msg *m); /* binder: HELLO */
/* connector: WELCOME */
void welcome_take(struct sock *s, struct peer *p, const struct msg *m);

#endif
