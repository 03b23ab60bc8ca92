/* SPDX-License-Identifier: Apache-2.0 */
/* parts.pml - lanes on other hosts: a part of the run is leased as a whole, again alone, or with all.
 *
 * A part is what a worker does of the forward pass: its forward processes and the reducer beside them,
 * which sums a lane up and sends that sum, under the epoch of the part's lease. When any of them is
 * lost all of it is leased again, with a higher epoch, to a worker, or to a process of the head, which
 * sends the rows of the lane in place of its sum. It takes the way through the commits so far once more;
 * what the root reducer has counted of open sites stays. When the root reducer is lost all begins again
 * behind what is committed. A worker that was cut off lives on, and sends at any later time.
 *
 * Left out: what leases.pml has (one process, its credit and its commits; the solver, the writer and the
 * journal: here a problem is committed at some later step); processes and chunks within a part: any of
 * them stands for it; connections (link.pml).
 *
 * Broken on purpose, by the environment variable BROKEN. 1: the root reducer takes what comes of an earlier lease. 2: it counts
 * rows of a lane whose sum it has. 3: when all begins again leases begin at epoch 0 again. 4: a lease that is given
 * again keeps its epoch. 5: what the head has may go to a worker again. */
#ifndef PARTS
#define PARTS 2 /* of a lane each */
#endif
#ifndef CHUNKS
#define CHUNKS 2 /* of a lane */
#endif
#ifndef SITES
#define SITES 2
#endif
#ifndef FAULTS
#define FAULTS 3
#endif
#define SUM 15 /* in place of a chunk */
#define ALL_ROWS ((1 << CHUNKS) - 1)

byte broken;
byte faults;
byte announced; /* sites that are committed */

/* part, epoch, site, chunk or SUM, commits that the rows went through */
chan sums = [2] of { byte, byte, byte, byte, byte };

typedef share {
    byte have;  /* commits that it has applied, and so its site */
    byte chunk; /* the next */
    bit rows;   /* it is the head's, and sends rows */
    bit sent;   /* the sum of the site */
};
share holder[PARTS];
byte epoch[PARTS];
byte least; /* epoch of leases given when all began */
share zombie;
byte zombie_part, zombie_epoch;
bit zombie_lives;

typedef root_sums {
    byte have; /* commits that it has seen */
    byte rows[PARTS];  /* of the site at work: which chunks are counted, */
    bit whole[PARTS];  /* and whether the sum of all is */
    byte fence[PARTS]; /* the epoch that was heard last */
    bit given;         /* the problem went to a solver */
};
root_sums root;

inline step(w, part, e)
{
    if
    :: w.rows && w.chunk < CHUNKS && nfull(sums) ->
        sums!part, e, w.have, w.chunk, w.have;
        w.chunk++
    :: !w.rows && w.chunk < CHUNKS -> w.chunk++
    :: !w.rows && w.chunk == CHUNKS && !w.sent && nfull(sums) ->
        sums!part, e, w.have, SUM, w.have;
        w.sent = 1
    fi
}

#define MAY_STEP(w) (w.have < SITES && ((w.chunk < CHUNKS && (!w.rows || nfull(sums))) || \
                     (!w.rows && w.chunk == CHUNKS && !w.sent && nfull(sums))))

inline take_commit(w)
{
    w.have++;
    w.chunk = 0;
    w.sent = 0
}

/* What the head has it keeps, until all begins again. */
inline start(p, fresh)
{
    holder[p].have = announced;
    holder[p].chunk = 0;
    holder[p].sent = 0;
    if
    :: fresh || !holder[p].rows || broken == 5 -> holder[p].rows = 0
    :: holder[p].rows = 1
    fi
}

inline zombie_end()
{
    zombie_lives = 0;
    zombie_part = 0;
    zombie_epoch = 0;
    zombie.have = 0;
    zombie.chunk = 0;
    zombie.sent = 0
}

/* Of a worker: a process of the head is known to be gone. */
inline may_live_on(p)
{
    if
    :: !zombie_lives && !holder[p].rows ->
        zombie_lives = 1;
        zombie_part = p;
        zombie_epoch = epoch[p];
        zombie.have = holder[p].have;
        zombie.chunk = holder[p].chunk;
        zombie.sent = holder[p].sent
    :: skip
    fi
}

proctype part(byte p)
{
    do
    :: atomic { MAY_STEP(holder[p]) -> step(holder[p], p, epoch[p]) }
    :: atomic { holder[p].have < announced -> take_commit(holder[p]) }
    :: atomic {
           faults < FAULTS && announced < SITES ->
           faults++;
           may_live_on(p);
           epoch[p] = (broken == 4 -> epoch[p] : epoch[p] + 1);
           start(p, 0)
       }
    :: announced == SITES -> break
    od
}

proctype late()
{
    do
    :: atomic { zombie_lives && MAY_STEP(zombie) -> step(zombie, zombie_part, zombie_epoch) }
    :: atomic { zombie_lives && zombie.have < announced -> take_commit(zombie) }
    :: atomic { zombie_lives -> zombie_end() }
    :: announced == SITES -> break
    od
}

/* What another has that came later is refused: a place has one holder, who must never be refused
 * itself. */
inline count(p, e)
{
    if
    :: e < root.fence[p] && broken != 1 -> assert(e < epoch[p])
    :: else ->
        root.fence[p] = e;
        if
        :: site < root.have -> skip
        :: site >= root.have && what == SUM ->
            assert(prefix == site && site == root.have);
            assert(!root.rows[p]); /* a lane is never both: the rows would count twice */
            root.whole[p] = 1      /* it may come again: it has a name */
        :: site >= root.have && what != SUM && root.whole[p] && broken != 2 -> skip
        :: else ->
            assert(prefix == site && site == root.have);
            assert(!root.whole[p]);
            root.rows[p] = root.rows[p] | (1 << what)
        fi
    fi
}

inline site_end()
{
    for (p : 0 .. PARTS - 1) {
        root.rows[p] = 0;
        root.whole[p] = 0
    }
    p = 0;
    root.given = 0
}

inline complete(yes)
{
    yes = 1;
    for (p : 0 .. PARTS - 1) {
        yes = yes && (root.whole[p] || root.rows[p] == ALL_ROWS)
    }
    p = 0
}

proctype reduce()
{
    byte p, e, site, what, prefix;
    bit yes;

    do
    :: atomic {
           nempty(sums) && root.have == announced ->
           sums?p, e, site, what, prefix;
           count(p, e);
           p = 0; e = 0; site = 0; what = 0; prefix = 0
       }
    :: atomic { root.have < announced -> root.have++; site_end() }
    :: atomic {
           root.have < SITES && root.have == announced && !root.given ->
           complete(yes);
           root.given = yes;
           yes = 0
       }
    :: atomic { root.given && root.have == announced -> announced++ }
    :: atomic { /* all begins again */
           faults < FAULTS && announced < SITES ->
           faults++;
           do
           :: sums?_, _, _, _, _
           :: empty(sums) -> break
           od;
           root.have = announced;
           site_end();
           for (p : 0 .. PARTS - 1) {
               may_live_on(p);
               least = (epoch[p] >= least -> epoch[p] + 1 : least)
           }
           least = (broken == 3 -> 0 : least);
           for (p : 0 .. PARTS - 1) {
               root.fence[p] = 0;
               epoch[p] = least;
               start(p, 1)
           }
           p = 0
       }
    :: announced == SITES -> break
    od
}

init
{
    byte p;

    atomic {
        c_code { now.broken = getenv("BROKEN") ? atoi(getenv("BROKEN")) : 0; };
        for (p : 0 .. PARTS - 1) {
            start(p, 1);
            run part(p)
        }
        p = 0;
        run late();
        run reduce()
    }
}
