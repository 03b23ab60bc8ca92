/* SPDX-License-Identifier: Apache-2.0 */
/* link.pml - one stream over connections that break: numbers, credit in totals, hello and welcome
 * that say how far it is, end mark and acknowledgement.
 *
 * The sender connects (DEALER), the receiver binds (ROUTER). When a connection breaks some of what
 * is on its way is lost: ZeroMQ delivers what had arrived, loses what was in the network, and sends
 * by the next connection what it had not sent, before our next hello.
 *
 * Left out: peers that do not come back, several peers, a receiver that leaves as soon as it has
 * acknowledged (when that acknowledgement is lost its sender cannot know: the supervisor does).
 *
 * Broken on purpose, by the environment variable BROKEN. 1: an end mark behind a gap is an error. 2: what
 * comes twice is taken twice, and a sender goes by the welcome of an earlier connection. 3: the end
 * mark is not said again. 4: nor is data. 5: credit is said in steps, not in totals. */
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef WINDOW
#define WINDOW 2 /* messages of credit */
#endif
#ifndef CUTS
#define CUTS 2
#endif
#define ROOM 4 /* of a direction */

mtype = { data, end, hello, welcome, credit, ack };
chan out = [ROOM] of { mtype, byte, byte };      /* number of the message, or connection and sent */
chan back = [ROOM] of { mtype, byte, byte, bit }; /* connection; received; messages dealt with; ended */
byte broken;
byte cuts;

/* Of the sender. */
byte next;       /* number of what it sends next; below sent: again */
byte sent;
byte credited;   /* messages of which it has the credit back */
byte connection; /* counted by it */
bit hello_due, end_sent, sender_ended;
bit waits = 1; /* for the welcome */

/* Of the receiver. */
byte received, dealt, told_received, told_dealt;
byte known; /* connection of the last hello */
bit welcome_due, ack_due, receiver_ended;

inline go_back(number)
{
    next = (broken == 4 -> next : number);
    end_sent = (broken == 3 -> end_sent : 0)
}

proctype sender()
{
    byte a, b;
    bit c;
    mtype kind;

    do
    :: atomic { hello_due && nfull(out) -> out!hello(connection, sent); hello_due = 0 }
    :: atomic { !waits && next < sent && nfull(out) -> out!data(next, 0); next++ }
    :: atomic {
           !waits && next == sent && sent < MESSAGES && sent - credited < WINDOW && nfull(out) ->
           out!data(sent, 0);
           sent++;
           next = sent
       }
    :: atomic { !waits && next == MESSAGES && !end_sent && nfull(out) -> out!end(MESSAGES, 0); end_sent = 1 }
    :: atomic {
           back?kind(a, b, c) ->
           if
           :: kind == welcome && (a == connection || broken == 2) ->
               assert(b <= sent);
               waits = 0;
               go_back(b);
               if
               :: c -> sender_ended = 1
               :: else
               fi
           :: kind == credit ->
               assert(a <= sent && b <= a || broken == 5);
               if
               :: broken == 5 -> credited = credited + b
               :: broken != 5 && b > credited -> credited = b
               :: else
               fi
           :: kind == ack && end_sent -> sender_ended = 1
           :: else
           fi;
           a = 0; b = 0; c = 0; kind = 0
       }
    :: sender_ended && receiver_ended -> break
    od
}

inline data_take()
{
    if
    :: a > received -> skip /* behind a gap: it comes again */
    :: a < received && broken != 2 -> skip
    :: else ->
        assert(a == received);
        assert(received - dealt < WINDOW);
        received++
    fi
}

inline end_take()
{
    if
    :: receiver_ended -> ack_due = 1
    :: !receiver_ended && a > received && broken != 1 -> skip
    :: else ->
        assert(a == received);
        receiver_ended = 1;
        ack_due = 1
    fi
}

proctype receiver()
{
    byte a, b;
    mtype kind;

    do
    :: atomic {
           out?kind(a, b) ->
           if
           :: kind == data && !receiver_ended -> data_take()
           :: kind == end -> end_take()
           :: kind == hello ->
               if
               :: a > known ->
                   assert(b >= received);
                   known = a;
                   told_received = MESSAGES + 1 /* all of it is said again */
               :: else
               fi;
               welcome_due = 1
           :: else
           fi;
           a = 0; b = 0; kind = 0
       }
    :: atomic { welcome_due && nfull(back) -> back!welcome(known, received, receiver_ended); welcome_due = 0 }
    :: atomic { dealt < received -> dealt++ }
    :: atomic {
           !receiver_ended && nfull(back) && (told_received != received || told_dealt != dealt) ->
           back!credit(received, (broken == 5 -> dealt - told_dealt : dealt), 0);
           told_received = received;
           told_dealt = dealt
       }
    :: atomic { ack_due && nfull(back) -> back!ack(received, 0, 0); ack_due = 0 }
    :: sender_ended && receiver_ended -> break
    od;
    assert(received == MESSAGES)
}

/* Of what is on its way a part in the middle is lost, towards the sender all behind some point. */
proctype network()
{
    byte a, b, n;
    bit c, losing, lost;
    mtype kind;

    do
    :: atomic {
           cuts < CUTS ->
           cuts++;
           n = len(out);
           do
           :: n > 0 ->
               n--;
               out?kind(a, b);
               if
               :: !losing && !lost -> losing = 1
               :: losing -> losing = 0; lost = 1
               :: skip
               fi;
               if
               :: !losing -> out!kind(a, b)
               :: else
               fi
           :: n == 0 -> break
           od;
           losing = 0; lost = 0;
           n = len(back);
           do
           :: n > 0 ->
               n--;
               back?kind(a, b, c);
               if
               :: losing = 1
               :: skip
               fi;
               if
               :: !losing -> back!kind(a, b, c)
               :: else
               fi
           :: n == 0 -> break
           od;
           losing = 0; a = 0; b = 0; c = 0; kind = 0;
           connection++;
           hello_due = 1;
           waits = 1
       }
    :: sender_ended && receiver_ended -> break
    od
}

init
{
    atomic {
        c_code { now.broken = getenv("BROKEN") ? atoi(getenv("BROKEN")) : 0; };
        connection = 1;
        hello_due = 1;
        run sender();
        run receiver();
        run network()
    }
}
