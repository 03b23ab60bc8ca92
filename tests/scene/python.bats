#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# python.bats - the reader and writer in Python against the C programs: each must take what the other made.
bats_require_minimum_version 1.5.0
load bounds.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    wire=$BATS_TEST_DIRNAME/../../ops/python/ptqwire.py
    seeds=$BATS_TEST_DIRNAME/../fuzz/corpus/frame
    for module in msgpack zstandard numpy; do
        python3 -c "import $module" 2>/dev/null || skip "no Python module $module here"
    done
}

@test "Python's checksums are those of the specifications" {
    cd "$(dirname "$wire")"
    PYTHONDONTWRITEBYTECODE=1 run -0 python3 -c '
import ptqwire as w
assert w.crc32c(b"") == 0 and w.crc32c(b"123456789") == 0xe3069283
assert w.xxh64(b"") == 0xef46db3751d8e999 and w.xxh64(b"abc") == 0x44bc2cf5ad770999
assert w.xxh64(b"Nobody inspects the spammish repetition") == 0xfbcea83c8a378bf1'
}

# made.ptq: a message with a tensor of every type and codec, written by Python
make_stream() {
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$(dirname "$wire") python3 -c '
import numpy as np, ptqwire as w
rng = np.random.default_rng(1)
tensors = {}
for name, code in w.DTYPES.items():
    raw = rng.normal(size=2048).astype("<f4").tobytes()
    array = np.frombuffer(raw, code) if name in ("F32", "F64", "BF16") else rng.integers(0, 2, 999).astype(code)
    tensors["t." + name] = (name, array[:array.size // 3 * 3].reshape(3, -1))
with open("made.ptq", "wb") as f:
    w.write_stream(f, [w.Message("chunk", f"c{i}", meta={"x": 0.1, "list": [1, None, True, "é"]}, tensors=tensors)
                       for i in range(3)], '"$1"')
'
}

@test "C reads what Python writes, raw and packed, the same" {
    make_stream False
    cp made.ptq raw.ptq
    make_stream True
    [ "$(stat -c %s made.ptq)" -lt "$(stat -c %s raw.ptq)" ]
    run -0 ptq-diff raw.ptq made.ptq
    [ "$output" = "45 tensors equal, 0 differences" ]
}

@test "Python reads what C packs, the same" {
    make_stream False
    run -0 --separate-stderr ptq-cat --in made.ptq --out packed.ptq --zstd
    [ "$(stat -c %s packed.ptq)" -lt "$(stat -c %s made.ptq)" ]
    run -0 python3 "$wire" copy packed.ptq again.ptq
    run -0 ptq-diff made.ptq again.ptq
    [ "$output" = "45 tensors equal, 0 differences" ]
}

@test "Python refuses a stream that is cut off, damaged, or without end mark" {
    make_stream True
    head -c 3000 made.ptq >cut.ptq
    run -1 python3 "$wire" list cut.ptq
    [[ $output == *truncated* ]]
    printf '\377' | dd of=made.ptq bs=1 seek=2000 conv=notrunc status=none
    run -1 python3 "$wire" list made.ptq
    [[ $output == *damaged* ]]
    run -1 python3 "$wire" list "$seeds/chunk.ptq"
    [[ $output == *"no end mark"* ]]
}

@test "Python receives from a socket: hello, credit, end" {
    python3 -c "import zmq" 2>/dev/null || skip "no Python module zmq here"
    run -0 --separate-stderr ptq-cat --make 20 --size 1K --out made.ptq
    timeout 30 ptq-cat --quiet --in made.ptq --out "@ipc://$PWD/s" &
    run -0 timeout 30 python3 "$wire" recv "ipc://$PWD/s"
    wait $!
    [ "${lines[0]%% data*}" = "chunk made/0" ]
    [ "${lines[20]}" = "complete: 20 messages" ]
}

@test "a connection that is reset with data on its way: Python goes on with the next, as receiver and as sender" {
    python3 -c "import zmq" 2>/dev/null || skip "no Python module zmq here"
    cat >relay.py <<'END'
# TO: takes one connection after the other and passes it on; the first two are reset after 30000 bytes
import os, select, socket, struct, sys
hear = socket.create_server(("127.0.0.1", 0))
open("relay.tmp", "w").write(f"tcp://127.0.0.1:{hear.getsockname()[1]}")
os.rename("relay.tmp", "relay.url")
for resets in range(100):
    ends = [hear.accept()[0], socket.create_connection(("127.0.0.1", int(sys.argv[1])))]
    carried = 0
    while carried >= 0 and not (resets < 2 and carried >= 30000):
        for end in select.select(ends, [], [])[0]:
            try:
                data = end.recv(4096)
                ends[end is ends[0]].sendall(data)
            except OSError:
                data = b""
            carried = carried + len(data) if data else -1
            if carried < 0:
                break
    for end in ends:
        if carried >= 0:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()
END
    run -0 --separate-stderr ptq-cat --make 40 --size 4K --out made.ptq
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    for end in in out; do
        rm -f relay.url
        python3 relay.py $port 3>&- &
        relay=$!
        until_true test -e relay.url
        if [ $end = in ]; then
            timeout 30 ptq-cat --quiet --in made.ptq --out "@tcp://127.0.0.1:$port" 3>&- &
            run -0 timeout 30 python3 "$wire" recv "$(cat relay.url)"
            [ "${lines[40]}" = "complete: 40 messages" ]
        else
            timeout 30 ptq-cat --quiet --in "@tcp://127.0.0.1:$port" --out came.ptq 3>&- &
            PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$(dirname "$wire") run -0 timeout 30 python3 -c '
import sys, ptqwire as w
out = w.Link(sys.argv[1], sends=["chunk"])
for m in w.read_stream(open("made.ptq", "rb")):
    out.send(m)
out.end()' "$(cat relay.url)"
        fi
        wait $!
        kill $relay
        wait $relay || :
    done
    run -0 ptq-diff made.ptq came.ptq
}

@test "chunks that a Python program marked as half images: forward weighs them, the journal and the checkpoint tell" {
    model=$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3
    ptq-sample --model "$model" --data "$model/calib.jsonl" --tokens 2048 --length 128 --quiet >text.ptq
    run -100 ptq-forward --model "$model" --inputs full --modality-weights image=0 --quiet <text.ptq
    [[ ${lines[*]} == *"no tensor 'modality'"*"ptq-sample makes text only"* ]]
    for bad in audio=1 image=-1 text=0,image=0; do
        run -100 ptq-forward --model "$model" --inputs full --modality-weights $bad --in text.ptq
        [[ $output == *"--modality-weights '$bad'"* ]]
    done
    run -100 ptq-forward --model "$model" --inputs full --weight-clip 0.1,10 --in text.ptq
    [[ $output == *"--weight-clip needs"* ]]
    for share in 2 1; do
        PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$(dirname "$wire") python3 -c '
import numpy as np, ptqwire as w
with open("text.ptq", "rb") as f:
    chunks = list(w.read_stream(f))
for m in chunks:
    m.tensors["modality"] = ("U8", (np.arange(m.tensors["ids"][1].size) % '$share' > 0).astype("u1"))
with open("mixed'$share'.ptq", "wb") as f:
    w.write_stream(f, chunks)
'
    done
    ptq-forward --model "$model" --follow out --modality-weights image=0 --quiet <mixed2.ptq | ptq-reduce --quiet |
        ptq-solve --bits 4 --group 64 --quiet | ptq-write --model "$model" out --quiet
    [ "$(jq -s 'map(select(.site)) | length == 24 and all(.ess == 1024 and .tokens == 2048)' out/.ptqflow/journal.jsonl)" = true ]
    ptq-inspect --fast --json out | jq -e -s 'last.records | map(select(.stage == "forward"))[0].modality_weights == {"text": 1, "image": 0}'
    ptq-forward --model "$model" --inputs full --modality-weights image=0 --quiet --out /dev/null <mixed1.ptq 2>said
    grep -q "warning: --modality-weights: all tokens of the chunks here are of one modality" said
}

@test "rows of two modalities: all are counted, kept apart where asked, and mixed at problem time" {
    model=$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3
    ptq-sample --model "$model" --data "$model/calib.jsonl" --tokens 2048 --length 128 --quiet >text.ptq
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$(dirname "$wire") python3 -c '
import numpy as np, ptqwire as w
with open("text.ptq", "rb") as f:
    chunks = list(w.read_stream(f))
for m in chunks:
    m.tensors["modality"] = ("U8", (np.arange(m.tensors["ids"][1].size) % 4 == 0).astype("u1"))
with open("mixed.ptq", "wb") as f:
    w.write_stream(f, chunks)
'
    ptq-forward --model "$model" --inputs full --quiet <mixed.ptq >acts.ptq
    run -100 ptq-reduce --holdout 1 --in acts.ptq --out none.ptq
    [[ $output == *"--holdout 1 holds every chunk out"* ]]
    ptq-reduce --quiet <acts.ptq >plain.ptq
    ptq-reduce --quiet --classes length,modality <acts.ptq >apart.ptq
    run -100 ptq-solve --mix image=0.3 --in plain.ptq --out none.ptq
    [[ $output == *"no sums by modality; run ptq-reduce --classes modality"* ]]
    run -100 ptq-solve --mix sound=1 --in plain.ptq --out none.ptq
    [[ $output == *"--mix 'sound=1'"* ]]
    ptq-inspect --fast --json apart.ptq | jq -e -s 'map(select(.kind == "problem").meta) | length == 24 and
        all(.tokens == 2048 and ([.classes[] | select(.kind == "modality") | {name, tokens}] ==
            [{"name": "text", "tokens": 1536}, {"name": "image", "tokens": 512}]))'
    for mix in tokens text=1,image=1 image=0.3; do
        ptq-solve --quiet --mix $mix --in apart.ptq --out $mix.ptq
    done
    run -1 ptq-diff tokens.ptq text=1,image=1.ptq # they say how they were made
    [[ $output == *"tensors equal"* && $output != *"elements differ"* ]]
    run -1 ptq-diff tokens.ptq image=0.3.ptq
    [[ $output == *"elements differ"* ]]
    ptq-inspect --fast --json image=0.3.ptq | jq -e -s 'map(select(.kind == "solution").meta) | length == 24 and
        all(.mix == {"text": 1, "image": 0.3} and (.prov | last).mix == .mix and (.sum_w - 1689.6 | fabs) < 1e-9)'
}

@test "what a stage does not know it hands on, from chunks to commits" {
    model=$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3
    ptq-sample --model "$model" --data "$model/calib.jsonl" --tokens 512 --length 128 --quiet >plain.ptq
    add() { # KIND IN OUT: to each such message a field and a tensor that no stage knows
        PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$(dirname "$wire") python3 -c '
import sys, numpy as np, ptqwire as w
kind, source, to = sys.argv[1:]
with open(source, "rb") as f:
    messages = list(w.read_stream(f))
for m in messages:
    if m.kind == kind:
        m.meta["origin"] = {"film": m.id}
        m.tensors["depth"] = ("F16", np.arange(6, dtype="f2").reshape(2, 3))
with open(to, "wb") as f:
    w.write_stream(f, messages)
' "$@"
    }
    all_have() { # FILE KIND NUMBER FILTER
        ptq-inspect --json "$1" | jq -e -s "map(select(.kind == \"$2\")) | length == $3 and all($4)"
    }
    add chunk plain.ptq chunks.ptq
    ptq-cat --quiet <chunks.ptq >copied.ptq
    run -0 ptq-diff chunks.ptq copied.ptq
    depth='(.tensors | map(select(.name == "depth")) | length == 1 and .[0].dtype == "F16" and .[0].shape == [2, 3] and .[0].max == 5)'
    n=$(ptq-inspect --fast --json chunks.ptq | jq -s 'map(select(.kind == "chunk")) | length')
    ptq-forward --model "$model" --inputs full --quiet <chunks.ptq >acts.ptq
    all_have acts.ptq acts $((24 * n)) ".meta.origin.film == (.id | sub(\".*/\"; \"\")) and $depth"
    add weights acts.ptq rows.ptq
    ptq-reduce --quiet <rows.ptq >problems.ptq
    ptq-reduce --quiet --partial <rows.ptq | ptq-reduce --quiet >again.ptq
    cmp problems.ptq again.ptq
    all_have problems.ptq problem 24 ".meta.origin.film == .id + \"/w\" and $depth"
    ptq-solve --quiet --solver rtn <problems.ptq >solutions.ptq
    all_have solutions.ptq solution 24 '.meta.origin.film == .id + "/w"'
    ptq-cat --quiet --in "ipc://$PWD/s" --out commits.ptq &
    ptq-write --quiet --model "$model" --in solutions.ptq --commits "@ipc://$PWD/s" --commit-peers 1 out
    wait $!
    all_have commits.ptq commit 24 '.meta.origin.film == .id + "/w"'
}
