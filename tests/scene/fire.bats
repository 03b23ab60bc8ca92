#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# fire.bats - what a peer with right checksums can send that is not so: each is refused where it arrives, by name. A peer that may
# come and go is forgotten, and the run goes on; any other ends it with 100.
bats_require_minimum_version 1.5.0
# bats file_tags=fire
load bounds
load model.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH" PYTHONPATH=$ROOT/ops/python PYTHONDONTWRITEBYTECODE=1
    export M=$BATS_FILE_TMPDIR/model D=$BATS_FILE_TMPDIR PY=
    narrow_model "$M" 2
    for p in python3 /usr/bin/python3; do
        [ "$PY" ] || ! $p -c 'import msgpack, zstandard, numpy, zmq' 2>/dev/null || PY=$p
    done
    ptq-sample --model "$M" --data "$M/calib.jsonl" --tokens 512 --length 64 --chunk-tokens 128 --quiet >"$D/chunks"
    ptq-forward --model "$M" --inputs full --threads 1 --quiet <"$D/chunks" >"$D/acts"
    ptq-reduce --quiet <"$D/acts" >"$D/problems"
    ptq-solve --solver rtn --group 32 --quiet <"$D/problems" >"$D/solutions"
    cat >"$D/bad.py" <<'END'
import itertools, sys
import numpy as np, ptqwire as w

def first(name, n):
    return list(itertools.islice(w.read_stream(open(sys.argv[1] + "/" + name, "rb")), n))

def change(m, name, at, value):
    dtype, a = m.tensors[name]
    a = a.copy()
    a.flat[at] = value
    m.tensors[name] = (dtype, a)

def bad(name, *messages):
    w.write_stream(open(name, "wb"), messages)
END
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    [ "$PY" ] || skip "no Python with msgpack, zstandard, numpy and zmq here"
    export XDG_RUNTIME_DIR=$(mktemp -d /tmp/ptq-fire-XXXXXX)
    at=ipc://$XDG_RUNTIME_DIR
}

teardown() {
    end_left
    rm -rf "${XDG_RUNTIME_DIR:?}"
}

all_said() {
    [ "$(grep -c 'it is refused; going on without it' said)" = 6 ]
}

listens() { # PORT
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

make_bad() { # Python that makes the files, on standard input
    { cat "$D/bad.py"; cat; } | $PY - "$D"
}

refused() { # FILE WORDS COMMAND...: reads the file as its input
    local file=$1 words=$2
    shift 2
    run -100 --separate-stderr timeout 20 "$@" <"$file"
    [[ $stderr == *"$words"* ]] || { echo "$file: '$stderr' does not say '$words'"; return 1; }
}

@test "what a reducer is sent: weights, names, lanes, contents" {
    make_bad <<'END'
take = lambda kind: next(m for m in w.read_stream(open(sys.argv[1] + "/acts", "rb")) if m.kind == kind)
m = take("weights"); name = m.meta["linears"][0]["name"]; change(m, name, 5, 0x7fc0); bad("nan", m)
m = take("weights"); change(m, name, 5, 0xff80); bad("inf", m)
m = take("weights"); m.meta["block"] = 1; bad("block", m)
m = take("acts"); m.meta.update(lanes=10**8, chunks=10**8, lane=0, chunk=0, lane_first=0, lane_count=1); bad("lanes", m)
m = take("acts"); n = take("acts"); change(n, "x", 5, 0x3f80); bad("twice", m, n)
m = take("acts"); n = take("weights"); n.meta["sites"] = 99; bad("sites", m, n)
m = take("acts"); m.tensors["w"] = ("F32", np.full(m.tensors["x"][1].shape[0], np.nan, "f4")); bad("w", m)
END
    refused nan "weights 'b0.attn.qkv/w': tensor 'model.layers.0.self_attn.q_proj' holds 1 NaN" ptq-reduce
    refused inf "holds 1 NaN or infinite values" ptq-reduce
    refused block "field 'id' must be 'b1.attn.qkv/w'" ptq-reduce
    refused lanes "field 'lanes'" ptq-reduce
    refused twice "'b0.attn.qkv/c0' came before with other contents" ptq-reduce
    refused sites "site 0 of 99" ptq-reduce
    refused w "tensor 'w': weight 0 is negative or not finite" ptq-reduce
    [[ $stderr == *"standard input: "* ]]
}

@test "what a solver is sent: sums that cannot be, sites that differ, another problem of a name" {
    make_bad <<'END'
for name, key, value in (("huge", "sum_w", 1e308), ("below", "sum_w", -1.0), ("none", "sum_w", None), ("zero", "sum_w", 0.0),
                         ("squares", "sum_w2", 1e300), ("block", "block", 1), ("site", "site", "attn.o")):
    m = first("problems", 1)[0]; m.meta[key] = value; bad(name, m)
a, b = first("problems", 2); b.meta["sites"] += 1; bad("sites", a, b)
a, b = first("problems", 1) + first("problems", 1); change(b, "S", 0, 7.0); bad("twice", a, b)
m = first("problems", 1)[0]; change(m, "S", 2, -1.0); bad("diagonal", m)
m = first("problems", 1)[0]; change(m, "S", 4, np.inf); bad("infinite", m)
END
    for name in huge below none zero squares; do
        refused $name "'sum_w" ptq-solve --group 32 --out s
    done
    refused block "field 'id' must be 'b1.attn.qkv'" ptq-solve --group 32 --out s
    refused site "field 'id' must be 'b0.attn.o'" ptq-solve --group 32 --out s
    refused sites "field 'sites' is 9, but earlier problems said 8" ptq-solve --solver rtn --group 32 --out s
    refused twice "another problem of this number came before" ptq-solve --solver rtn --group 32 --out s
    refused diagonal "tensor 'S'[1,1] is negative" ptq-solve --group 32 --out s
    refused infinite "tensor 'S' holds 1 NaN or infinite" ptq-solve --group 32 --out s
}

@test "what a forward stage is sent: a chunk that comes twice with other tokens, a chunk under another name" {
    make_bad <<'END'
a, b = first("chunks", 1) + first("chunks", 1); change(b, "ids", 3, 7); bad("twice", a, b)
m = first("chunks", 1)[0]; m.id = "c1"; bad("name", m)
END
    refused twice "chunk 0 came before with other contents" ptq-forward --model "$M" --inputs full --threads 1 --out a
    refused name "field 'id' must be 'c0'" ptq-forward --model "$M" --inputs full --threads 1 --out a
}

@test "solutions that are none: the writer at the end of a pipe stops, on a socket it forgets who sent them and goes on" {
    make_bad <<'END'
import json
codes = [k for k in first("solutions", 1)[0].tensors if k.endswith("q_proj.scales")][0]
for name, value in (("zero", 0), ("below", -1), ("huge", 6e4), ("nan", np.nan)):
    m = first("solutions", 1)[0]; change(m, codes, 3, value); bad(name, m)
m = first("solutions", 1)[0]; m.meta["sum_w"] = 1e308; bad("sums", m)
m = first("solutions", 1)[0]; m.meta["block"] = 1; bad("block", m)
END
    refused zero "self_attn.q_proj.scales': that of row 1, group 1 is 0, must be above 0" ptq-write --model "$M" pipe
    refused below "group 1 is -1, must be above 0" ptq-write --model "$M" --overwrite pipe
    refused huge "no engine can hold them" ptq-write --model "$M" --overwrite pipe
    refused nan "scales that are not finite" ptq-write --model "$M" --overwrite pipe
    ptq-write --model "$M" --in "@$at/s" out 2>said &
    writer=$!
    for name in zero below huge nan sums block; do
        timeout 20 ptq-cat --quiet --in $name --out "$at/s" 2>>told || true # whether its end is taken first is chance
    done
    until_true all_said
    grep -q "warning: cat (peer 0 at $at/s): .*q_proj.scales.*row 1, group 1 is 0" said
    ptq-cat --quiet --in "$D/solutions" --out "$at/s"
    wait_code $writer 0
    ptq-write --model "$M" --quiet plain <"$D/solutions"
    cmp out/model.safetensors plain/model.safetensors
}

said_it() { # WORDS
    grep -q "$1" said
}

@test "a solution that nobody asked for: its site's turn has not come, so who sent it is refused, and the run goes on" {
    make_bad <<'END'
a, b = first("solutions", 2)
for m in a, b:
    next(r for r in m.meta["prov"] if r["stage"] == "forward")["order"] = "site"
bad("early", b); bad("turn", a, b)
END
    ptq-write --verbose --model "$M" --in "@$at/s" --commits "@$at/c" out 2>said &
    timeout 20 ptq-cat --quiet --in early --out "$at/s" 2>>told || true # whether its end is taken first is chance
    until_true said_it 'it is refused; going on without it'
    said_it "warning: cat (peer 0 at $at/s): 'b0.attn.o': nobody has asked for it: its problem is made of the commit of block 0 attn.qkv"
    ptq-cat --quiet --in turn --out "$at/s" &
    until_true said_it 'b0.attn.o committed (2 of 8)'
}

solvers_there() { # N
    [ "$(grep -c 'connected to solve' said)" = "$1" ]
}

@test "a solver that stands still: another gets its problem too, and the model is the same" {
    mkfifo rows
    ptq-reduce --verbose --in rows --out "@$at/p" --commits "$at/c" --overdue 1 2>said &
    reducer=$!
    exec 7>rows
    ptq-write --quiet --model "$M" --in "@$at/s" --peers 2 --commits "@$at/c" out 7>&- &
    writer=$!
    ptq-solve --quiet --solver rtn --group 32 --in "$at/p" --out "$at/s" 7>&- &
    stuck=$!
    until_true solvers_there 1
    ptq-solve --quiet --solver rtn --group 32 --in "$at/p" --out "$at/s" 7>&- &
    solver=$!
    until_true solvers_there 2
    kill -STOP $stuck
    cat "$D/acts" >&7
    exec 7>&-
    until_true test -e out/model.safetensors
    kill -CONT $stuck
    wait_code $writer 0
    wait_code $reducer 0
    wait_code $stuck 0
    wait_code $solver 0
    grep -q "solve (peer . at $at/p) has had 'b.*' in hand for . s: another gets it too" said
    ptq-write --model "$M" --quiet plain <"$D/solutions"
    cmp out/model.safetensors plain/model.safetensors
}

@test "strangers on an open endpoint: their messages cost no memory and little log, and the run goes on" {
    cat >stranger.py <<'END'
import os, random, socket, struct, sys, time
import msgpack, zmq, zstandard, ptqwire as w
port, pid = int(sys.argv[1]), sys.argv[2]

def peak():
    return next(int(line.split()[1]) for line in open(f"/proc/{pid}/status") if line.startswith("VmHWM")) >> 10

def raw():  # ZMTP 3.0 by hand: a client library sends no message that never ends
    s = socket.create_connection(("127.0.0.1", port), timeout=20)
    s.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48))
    s.sendall(b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER")
    f = s.makefile("rb")
    f.read(64)
    f.read(f.read(2)[1])  # its greeting and its READY
    return s

def pour(piece, most):  # until the other end has enough, or takes no more
    s, sent = raw(), 0
    s.settimeout(5)
    try:
        while sent < most:
            s.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent

def connect():
    s = context.socket(zmq.DEALER)
    s.setsockopt(zmq.LINGER, 500)
    s.setsockopt(zmq.ROUTING_ID, b"x" + os.urandom(6))
    s.connect(f"tcp://127.0.0.1:{port}")
    return s

def head(kind, id, meta, tensors):
    h = msgpack.packb({"v": 1, "kind": kind, "id": id, "stage": "x", "run": "", "seq": 0, "meta": meta, "tensors": tensors})
    return struct.pack("<I", w.crc32c(h)) + h

context, before = zmq.Context(), peak()
size = 1 << 30
packer = zstandard.ZstdCompressor(level=1).compressobj(size=size)
bomb = b"".join([packer.compress(bytes(1 << 24)) for _ in range(size >> 24)] + [packer.flush()])
s = connect()
s.send_multipart([head("acts", "c0", {}, [dict(name="x", dtype="U8", shape=[size], codec="zstd", raw=size, packed=len(bomb),
                                               crc=w.crc32c(bomb))]), bomb])
for _ in range(3000):
    s.send(os.urandom(64))
deep = b"\x81\xa1a\xdd" + struct.pack(">I", 60000) + (b"\x91" * 15 + b"\xc0") * 60000
s.send(struct.pack("<I", w.crc32c(deep)) + deep)
s.close()
endless = pour(b"\x03" + struct.pack(">Q", 1 << 16) + bytes(1 << 16), 256 << 20)     # parts of 64 KiB, each with more to come
empty = pour(b"\x01\x00" * 50000, 20 << 20)                                        # 10 million empty parts
for _ in range(3):  # says hello and leaves, or goes without a word
    s = connect()
    s.send(head("hello", "", dict(version=2, name="x", dir="out", sends=["acts"], takes=[], run="", instance="x"), []))
    while True:
        m = w.decode(s.recv_multipart())
        if m.kind == "welcome":
            break
    s.send(head("fail", "", dict(text="I go"), []))
    s.close()
context.term()
print(before, peak(), endless >> 20, empty >> 20)
assert peak() - before < 160 and endless < 128 << 20 and empty < 20 << 20
END
    port=$((20000 + RANDOM % 10000))
    ptq-reduce --in "@tcp://127.0.0.1:$port" --out problems 2>said &
    reducer=$!
    until_true listens $port
    $PY stranger.py $port $reducer
    ptq-cat --quiet --in "$D/acts" --out "tcp://127.0.0.1:$port"
    wait_code $reducer 0
    cmp problems "$D/problems"
    [ "$(stat -c %s said)" -lt 6000 ]
    grep -q "refused .*more than 1 parts" said
    grep -q "I go; it had delivered nothing and is forgotten" said
}
