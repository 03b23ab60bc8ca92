/* SPDX-License-Identifier: Apache-2.0 */
/* leases.pml - who counts what while processes die: leases with epochs, replay, commits, resume.
 *
 * A lane is in the hands of one forward process, under a lease of some epoch. It makes the rows of a
 * site from its tokens and the commits before the site, sends them within its credit, and keeps them
 * until the site's commit. One reducer counts rows by name and makes a problem of them, one solver,
 * one writer with a journal that outlives it. A fault kills any of them between any two steps, or all
 * at once (the run is resumed), or takes a lease away from a process that lives on: the zombie, which
 * may send at any later time. What a killed process had received is gone, what it had sent arrives.
 * Who is started anew is there at once; that it takes time is the same as that it is slow.
 *
 * Left out: connections (link.pml); several lanes of one process (each is replayed by itself); the
 * weights of a site (one more name among its rows); numbers: what rows are made of is the number of
 * commits that they went through.
 *
 * Broken on purpose, to see that the model can fail, by the environment variable BROKEN. 1: the reducer counts messages, not names.
 * 2: it takes rows of an earlier lease. 3: a writer that is started anew
 * goes by its journal alone. 4: the
 * reducer waits for the end mark of each lane, not for the commits of all sites. 5: nobody sends again
 * what a lost reducer had. 6: who waits for credit looks for no commit. 7: a solver forgets a solution
 * that it has sent. */
#ifndef LANES
#define LANES 2
#endif
#ifndef CHUNKS
#define CHUNKS 2 /* of a lane */
#endif
#ifndef SITES
#define SITES 2
#endif
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef CREDIT
#define CREDIT 1 /* messages */
#endif
#define NAME(lane, chunk) (1 << ((lane) * CHUNKS + (chunk)))
#define ALL_NAMES ((1 << (LANES * CHUNKS)) - 1)
#define ALL_LANES ((1 << LANES) - 1)
#define END 15 /* in place of a chunk */

byte broken;
byte faults;

/* The writer's, of which the journal outlives every process. */
byte parts;     /* sites whose parts have their names: a killed process does no harm to them, */
byte announced; /* sites of which it has said so */
byte journal;   /* sites that are durable: nor does a power cut */
bit published;
byte taken; /* 0: nothing; else it has the solution of site taken - 1 in hand */

/* lane, epoch, site, chunk, commits that the rows went through */
chan acts = [8] of { byte, byte, byte, byte, byte };
chan problems = [1] of { byte };
chan solutions = [1] of { byte };

/* Who has a lane: the holder, and perhaps one who had it. */
typedef worker {
    byte have;      /* commits that it has applied, and so its site */
    byte chunk;     /* the next to send */
    byte under_way; /* of its credit */
    bit asked;      /* a new reducer wants the rows of the site again */
    bit left;
};
worker holder[LANES];
byte epoch[LANES];
worker zombie;
byte zombie_lane, zombie_epoch;
bit zombie_lives;

typedef sums {
    byte have; /* commits that it has seen */
    byte counted[SITES];
    byte number[SITES];
    bit given; /* the problem of site `have` went to a solver */
    byte fence[LANES];
    byte ended;
    bit left;
};
sums reducer;
bit solver_lost, writer_lost; /* and who depends on it has not seen that yet */
byte solving;                 /* 0: nothing; else the solver has the problem of site solving - 1, */
bit solved;                   /* and has sent the solution */

#define MAY_SEND(w) (w.have < SITES && w.chunk < CHUNKS && w.under_way < CREDIT)

inline send_rows(w, lane, e)
{
    w.under_way++;
    acts!lane, e, w.have, w.chunk, w.have;
    w.chunk++
}

inline take_commit(w)
{
    w.have++; /* the quantized weights are applied */
    w.chunk = 0;
    w.asked = 0
}

inline leave(w, lane, e)
{
    w.left = 1;
    if
    :: broken == 4 -> acts!lane, e, 0, END, 0
    :: else
    fi
}

/* From the parts in the output folder. */
inline start(w)
{
    w.have = journal;
    w.chunk = 0;
    w.under_way = 0;
    w.asked = 0;
    w.left = 0
}

inline lease_again(l)
{
    epoch[l]++;
    start(holder[l])
}

inline zombie_make(l)
{
    zombie_lives = 1;
    zombie_lane = l;
    zombie_epoch = epoch[l];
    zombie.have = holder[l].have;
    zombie.chunk = holder[l].chunk;
    zombie.under_way = holder[l].under_way;
    zombie.asked = holder[l].asked
}

inline zombie_end()
{
    zombie_lives = 0;
    zombie_lane = 0;
    zombie_epoch = 0;
    zombie.have = 0;
    zombie.chunk = 0;
    zombie.under_way = 0;
    zombie.asked = 0
}

proctype forward(byte lane)
{
    do
    :: atomic { MAY_SEND(holder[lane]) -> send_rows(holder[lane], lane, epoch[lane]) }
    :: atomic {
           holder[lane].have < announced && (broken != 6 || holder[lane].chunk == CHUNKS) ->
           take_commit(holder[lane])
       }
    :: atomic {
           broken != 5 && holder[lane].asked && holder[lane].chunk == CHUNKS ->
           holder[lane].asked = 0;
           holder[lane].chunk = 0
       }
    :: atomic { holder[lane].have == SITES && !holder[lane].left -> leave(holder[lane], lane, epoch[lane]) }
    :: atomic { faults < FAULTS && !holder[lane].left -> faults++; lease_again(lane) }
    :: atomic {
           faults < FAULTS && !holder[lane].left && !zombie_lives ->
           faults++;
           zombie_make(lane);
           lease_again(lane)
       }
    :: published -> break
    od
}

/* It does as before: nobody has told it. */
proctype late()
{
    do
    :: atomic { zombie_lives && MAY_SEND(zombie) -> send_rows(zombie, zombie_lane, zombie_epoch) }
    :: atomic { zombie_lives && zombie.have < announced -> take_commit(zombie) }
    :: atomic { zombie_lives && zombie.asked && zombie.chunk == CHUNKS -> zombie.asked = 0; zombie.chunk = 0 }
    :: atomic { zombie_lives -> zombie_end() }
    :: published -> break
    od
}

inline credit_give(lane, e)
{
    if
    :: e == epoch[lane] && chunk != END -> holder[lane].under_way--
    :: zombie_lives && lane == zombie_lane && e == zombie_epoch -> zombie.under_way--
    :: else
    fi
}

inline count(lane, e)
{
    if
    :: e < reducer.fence[lane] && broken != 2 -> skip
    :: else ->
        assert(e >= reducer.fence[lane]);
        reducer.fence[lane] = e;
        if
        :: chunk == END -> reducer.ended = reducer.ended | (1 << lane)
        :: chunk != END && site < reducer.have -> skip
        :: chunk != END && site >= reducer.have && broken != 1 && (reducer.counted[site] & NAME(lane, chunk)) -> skip
        :: else ->
            assert(prefix == site);
            assert(!(reducer.counted[site] & NAME(lane, chunk)));
            reducer.counted[site] = reducer.counted[site] | NAME(lane, chunk);
            reducer.number[site]++
        fi
    fi
}

/* A fresh one knows the leases from who starts it, and asks. */
inline reducer_start()
{
    do
    :: acts?lane, e, site, chunk, prefix -> credit_give(lane, e)
    :: empty(acts) -> break
    od;
    for (lane : 0 .. SITES - 1) {
        reducer.counted[lane] = 0;
        reducer.number[lane] = 0
    }
    for (lane : 0 .. LANES - 1) {
        reducer.fence[lane] = epoch[lane];
        holder[lane].asked = !holder[lane].left && holder[lane].have < SITES && holder[lane].chunk > 0
    }
    zombie.asked = zombie_lives;
    reducer.given = 0;
    reducer.ended = 0;
    reducer.left = 0;
    reducer.have = journal;
    solver_lost = 0;
    lane = 0; e = 0; site = 0; chunk = 0; prefix = 0
}

proctype reduce()
{
    byte lane, e, site, chunk, prefix;

    do
    :: atomic { reducer.have < announced -> /* and forgets what made it */
           reducer.counted[reducer.have] = 0;
           reducer.number[reducer.have] = 0;
           reducer.given = 0;
           reducer.have++
       }
    :: atomic {
           !reducer.left && nempty(acts) ->
           acts?lane, e, site, chunk, prefix;
           credit_give(lane, e);
           count(lane, e);
           lane = 0; e = 0; site = 0; chunk = 0; prefix = 0
       }
    :: atomic {
           reducer.have < SITES && !reducer.given && nfull(problems) && reducer.number[reducer.have] == LANES * CHUNKS ->
           assert(reducer.counted[reducer.have] == ALL_NAMES);
           problems!reducer.have;
           reducer.given = 1
       }
    :: atomic { solver_lost -> solver_lost = 0; reducer.given = 0 } /* another gets what it had */
    :: atomic { !reducer.left && reducer.have == SITES && (broken != 4 || reducer.ended == ALL_LANES) -> reducer.left = 1 }
    :: atomic { faults < FAULTS && !reducer.left -> faults++; reducer_start() }
    :: published -> break
    od
}

inline solver_start()
{
    do
    :: problems?_
    :: empty(problems) -> break
    od;
    solving = 0;
    solved = 0;
    solver_lost = 1;
    writer_lost = 0
}

/* Keeps a solution until its commit, which comes before the disk has it. */
proctype solve()
{
    do
    :: atomic { !solving && nempty(problems) -> problems?solving; solving++ }
    :: atomic { solving && !solved && nfull(solutions) -> solutions!solving - 1; solved = 1 }
    :: atomic { solving && (announced >= solving || (broken == 7 && solved)) -> solving = 0; solved = 0 }
    :: atomic { writer_lost -> writer_lost = 0; solved = 0 }
    :: atomic { faults < FAULTS && journal < SITES -> faults++; solver_start() }
    :: published -> break
    od
}

inline writer_start()
{
    do
    :: solutions?_
    :: empty(solutions) -> break
    od;
    taken = 0;
    parts = (broken == 3 -> journal : parts);
    announced = parts;
    writer_lost = 1
}

proctype write()
{
    do
    :: atomic {
           !taken && nempty(solutions) ->
           solutions?taken;
           taken = (taken < parts -> 0 : taken + 1); /* two solvers made it, or it came again */
           assert(!taken || taken == parts + 1);
           parts = (taken -> taken : parts)
       }
    :: atomic { announced < parts -> announced++ }
    :: atomic { journal < announced -> journal++; taken = 0 }
    :: atomic {
           journal == SITES && reducer.left && holder[0].left && holder[LANES - 1].left -> published = 1
       }
    :: published -> break
    od
}

/* What may befall the writer between any two steps, and everybody at once: a power cut. */
proctype misfortune()
{
    byte lane, e, site, chunk, prefix;

    do
    :: atomic { faults < FAULTS && !published -> faults++; writer_start() }
    :: atomic {
           faults < FAULTS && journal < SITES ->
           faults++;
           parts = journal;
           writer_start();
           solver_start();
           reducer_start();
           for (lane : 0 .. LANES - 1) {
               lease_again(lane)
           }
           zombie_end();
           lane = 0;
           solver_lost = 0
       }
    :: published -> break
    od;
    assert(journal == SITES)
}

init
{
    byte lane;

    atomic {
        c_code { now.broken = getenv("BROKEN") ? atoi(getenv("BROKEN")) : 0; };
        for (lane : 0 .. LANES - 1) {
            run forward(lane)
        }
        lane = 0;
        run late();
        run reduce();
        run solve();
        run write();
        run misfortune()
    }
}
