/* SPDX-License-Identifier: Apache-2.0 */
/* link_memory - both ends are processes of one host: tensors stay where the sender has them, and a
 * handle travels (share.h). On the link's own thread.
 *
 * Nobody is asked where he is: a sender that has connected or bound by ipc names in its hello a
 * block that holds its instance, and a receiver that can read just that says so with its credit.
 * Another host, another namespace of processes, another user or a program that knows nothing of
 * this cannot, and is sent bytes. So is, from then on, who found a message damaged. A message is
 * kept until it has arrived with all who read it where it lies: its memory may be used again after
 * that. */
#include <string.h>
#include <unistd.h>
#include "link_impl.h"

#define IPC "ipc://"

static int is_ipc(const struct sock *s)
{
    const char *at = s->l.endpoint;

    return strncmp(at + (*at == '@'), IPC, sizeof IPC - 1) == 0;
}

/* The block to try it with; 0: there is none. */
static int probe_make(struct sock *s, unsigned char handle[SHARE_HANDLE])
{
    if (!s->probe.data) {
        if (!(s->probe.data = s->probe.owner = share_probe(sizeof s->instance)))
            return 0;
        s->probe.bytes = sizeof s->instance;
        s->probe.release = share_free;
        memcpy(s->probe.data, s->instance, sizeof s->instance);
    }
    return share_find(s->probe.data, s->probe.bytes, handle);
}

int memory_say(struct sock *s, struct json *meta)
{
    unsigned char handle[SHARE_HANDLE];
    struct json *block;
    int64_t x[3];
    int bad;

    if (s->l.dir != LINK_OUT || !is_ipc(s) || !probe_make(s, handle))
        return 0;
    memcpy(x, handle, sizeof x);
    block = json_new_array();
    bad = !block;
    for (int i = 0; i < 3 && !bad; i++)
        bad = json_push(block, json_new_int(x[i]));
    if (bad) {
        json_destroy(&block);
        return -1;
    }
    return json_set(meta, "memory", block) || json_set_int(meta, "process", (int64_t)getpid()) ? -1
                                                                                               : 0;
}

int memory_read(const struct json *meta, struct memory_offer *m, struct err *e)
{
    const struct json *block = json_get(meta, "memory");
    int64_t x[3], pid;

    *m = (struct memory_offer){0};
    if (!block)
        return 0;
    if (json_need_int(meta, "process", 1, INT32_MAX, &pid, "hello", e) < 0)
        return -1;
    for (size_t i = 0; i < 3; i++)
        if (json_count(block) != 3 || json_as_int(json_at(block, i), &x[i]) < 0 || x[i] < 0)
            return err_set(e, ERR_USE, "hello: field 'memory' must be three numbers");
    memcpy(m->handle, x, sizeof x);
    m->pid = (pid_t)pid;
    return 0;
}

void memory_take(struct sock *s, struct peer *p, const struct memory_offer *m)
{
    struct part part;

    p->by_memory = 0;
    p->memory_of = 0;
    if (s->l.dir != LINK_IN || !m->pid || !is_ipc(s) || p->memory_bad ||
        share_open(m->pid, m->handle, sizeof p->instance, SHARE_TO_WRITE, &part, NULL) < 0)
        return;
    if (memcmp(part.data, p->instance, sizeof p->instance) == 0) {
        p->memory_of = m->pid;
        p->told_received = UINT64_MAX; /* says so before the first message */
    }
    part_release(&part);
}

void memory_agreed(struct peer *p, const struct json *credit)
{
    int yes;

    p->by_memory = json_opt_bool(credit, "memory", 0, &yes, "credit", NULL) == 0 && yes;
    if (p->by_memory)
        share_begin();
}
