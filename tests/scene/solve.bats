#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# solve.bats - plain tensors through ptq-stream import | ptq-solve | ptq-stream export, and what goes wrong on the way.
bats_require_minimum_version 1.5.0
load left.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    shared=${PTQ_SHARED:-$BATS_TEST_DIRNAME/../../../shared}
    one='\0\0\200\77' zero='\0\0\0\0' half='\0\0\0\77' less='\0\0\200\277' nan='\0\0\300\177'
    eye=$one$zero$zero$zero$zero$one$zero$zero$zero$zero$one$zero$zero$zero$zero$one
    weights=$one$half$less$zero$half$half$less$one
}

tensors() { # FILE HEADER DATA: a safetensors file; the header is shorter than 256 bytes, data as octal escapes
    { printf "\\$(printf %03o ${#2})\\0\\0\\0\\0\\0\\0\\0"; printf %s "$2"; printf "$3"; } >"$1"
}

site() { # FILE NAME H W: H [4,4] and W [2,4] in F32
    tensors "$1" '{"'$2'.H":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]},"'$2'.W":{"dtype":"F32","shape":[2,4],"data_offsets":[64,96]}}' "$3$4"
}

message_bytes() { # FILE: length of its first message
    local parts sum=0 n
    parts=$(od -An -tu4 -j4 -N4 "$1" | tr -d ' ')
    for n in $(od -An -v -tu8 -j8 -N$((8 * parts)) "$1"); do sum=$((sum + n)); done
    echo $((8 + 8 * parts + sum))
}

@test "help, version, list" {
    run -0 ptq-solve --help
    [[ $output == *"--scale-type TYPE"* ]]
    run -0 ptq-solve --list
    [[ $output == *"gptq "*"damp"*"rtn "* ]]
    run -0 ptq-stream --help
    [[ $output == *"export SOLUTIONS FILE"* ]]
    run -0 ptq-stream --version
    run -0 ptq-solve --version
}

@test "options that cannot be" {
    run -100 ptq-solve --bits 5
    [[ $output == "solve: fatal: "*bits* ]]
    run -100 ptq-solve --solver magic
    [[ $output == "solve: fatal: there is no solver 'magic'; ptq-solve --list shows them" ]]
    run -100 ptq-solve --solver rtn --order group
    [[ $output == *"--order means nothing to solver rtn"* ]]
    run -100 ptq-solve --group 0
    [[ $output == *--group* ]]
    run -100 ptq-solve --damp -1
    run -100 ptq-solve --nonsense
    run -100 ptq-solve extra
    run -100 ptq-stream
    run -100 ptq-stream import
    run -100 ptq-stream export a
    run -100 ptq-stream turn a
    run -100 ptq-stream sums none.ptq out.safetensors
    [[ $output == *"none.ptq"* ]]
    run -100 ptq-stream sums - out.safetensors
    [[ $output == *"read twice"* ]]
    run -100 ptq-merge none.ptq
    run -100 ptq-merge none.ptq none.ptq
    [[ $output == *"none.ptq"* ]]
    run -100 ptq-stream imatrix none.ptq im.gguf
    [[ $output == *"none.ptq"* ]]
    echo nothing >own
    run -100 ptq-stream import own --out own
    [[ $output == *"'own' is read: write to another file"* && $(cat own) == nothing ]]
    run -100 ptq-stream export - out.safetensors
    [[ $output == *"read twice"* ]]
}

@test "import | solve | export" {
    site a.safetensors L "$eye" "$weights"
    ptq-stream import a.safetensors | ptq-solve --group 2 --threads 2 >s.ptq
    run -0 --separate-stderr ptq-stream export s.ptq out.safetensors
    [[ $stderr == "stream: 1 linear to out.safetensors" ]]
    for part in codes scales dequantized; do grep -aq "\"L.$part\"" out.safetensors; done
    run -1 grep -aq '"L.zeros"' out.safetensors # the grid sym has none
    ptq-stream import a.safetensors | ptq-solve --grid asym --group 2 --threads 2 >asym.ptq
    ptq-stream export asym.ptq asym.safetensors
    grep -aq '"L.zeros"' asym.safetensors
    ptq-stream --out p.ptq import a.safetensors
    ptq-solve --in p.ptq --out t.ptq --group 2 --threads 1
    ptq-stream export t.ptq again.safetensors
    cmp out.safetensors again.safetensors
}

@test "a solution that has too few rows behind it says so" {
    site a.safetensors L "$eye" "$weights"
    ptq-stream --quiet import a.safetensors >p.ptq
    run -0 --separate-stderr ptq-solve --in p.ptq --out s.ptq --group 4
    [[ $stderr == "solve: warning: b0.import: only 0.25 calibration rows per input channel: more --tokens for the sampler make more" ]]
    run -0 --separate-stderr ptq-solve --in p.ptq --out s.ptq --group 4 --solver rtn # which takes no sums
    [ -z "$stderr" ]
}

@test "tensors that are no problem" {
    run -100 ptq-stream import nowhere.safetensors
    tensors a.safetensors '{"X":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' "$one"
    run -100 ptq-stream --out p.ptq import a.safetensors
    [[ $output == *"holds no tensor 'W'"* ]]
    tensors a.safetensors '{"W":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}' "$one"
    run -100 ptq-stream --out p.ptq import a.safetensors
    [[ $output == *"tensor 'H' is not there"* ]]
    tensors a.safetensors '{"L.H":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"L.W":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]}}' "$one$one$one$one"
    run -100 ptq-stream --out p.ptq import a.safetensors
    [[ $output == *"tensor 'L.H' must be"* ]]
    site a.safetensors L "${eye/"$zero"/$one}" "$weights"
    run -100 ptq-stream --out p.ptq import a.safetensors
    [[ $output == *"tensor 'L.H' is not symmetric"* ]]
    site a.safetensors L "$eye" "${weights/"$one"/$nan}"
    run -100 ptq-stream --out p.ptq import a.safetensors
    [[ $output == *"tensor 'L.W' holds NaN or infinite values"* ]]
    site a.safetensors L "${eye/"$one"/$less}" "$weights"
    run -100 ptq-stream --out p.ptq import a.safetensors
    [[ $output == *"negative diagonal"* ]]
    site a.safetensors L "${eye/"$one"/$nan}" "$weights"
    run -100 ptq-stream --out p.ptq import a.safetensors
    [[ $output == *"tensor 'L.H' holds NaN"* ]]
}

@test "problems that cannot be solved name what is wrong" {
    site a.safetensors model.q_proj "$eye" "$weights"
    ptq-stream --quiet import a.safetensors >p.ptq
    run -100 --separate-stderr ptq-solve --in p.ptq --out s.ptq --group 3
    [[ $stderr == *"'model.q_proj' has 4 inputs, which --group 3 does not divide"* ]]
    [ ! -e s.ptq ] # nothing was solved
}

@test "a stream cut short, or of something else" {
    site a.safetensors L "$eye" "$weights"
    ptq-stream --quiet import a.safetensors >p.ptq
    head -c "$(message_bytes p.ptq)" p.ptq >cut.ptq
    run -1 ptq-solve --in cut.ptq --out s.ptq --group 4
    [[ $output == *incomplete* ]]
    run -1 ptq-stream export s.ptq out.safetensors
    [ ! -e out.safetensors ]
    head -c 200 p.ptq >cut.ptq
    run ptq-solve --in cut.ptq --out s.ptq --group 4
    [ "$status" = 1 ] || [ "$status" = 100 ]
    run -100 ptq-solve --in a.safetensors --out s.ptq
    run -100 ptq-stream export p.ptq out.safetensors
    [[ $output == *problem* ]]
    [ ! -e out.safetensors ]
}

@test "SIGTERM: what is in hand is finished, the process leaves with 0, the rest is marked as missing" {
    site a.safetensors L "$eye" "$weights"
    ptq-stream --quiet import a.safetensors >p.ptq
    mkfifo in out
    ptq-solve --quiet --group 4 <in >out 3>&- &
    pid=$!
    exec 8>in 9<out
    head -c "$(message_bytes p.ptq)" p.ptq >&8
    head -c 8 <&9 >s.ptq
    kill -TERM $pid
    cat <&9 >>s.ptq
    wait $pid
    run -1 ptq-stream export s.ptq out.safetensors
    [[ $output == *incomplete* && $output == *"asked to stop"* ]]
    exec 8>&- 9<&-
}

@test "goldens of the official codes come out of the pipe" {
    [ -e "$shared/data/golden-solver/manifest.json" ] || skip "data/golden-solver is not on this machine (PTQ_SHARED)"
    command -v python3 >/dev/null || skip "python3 is not installed"
    cat >compare.py <<'END'
import json, struct, sys
def read(path):
    data = open(path, 'rb').read()
    n = struct.unpack('<Q', data[:8])[0]
    return json.loads(data[8:8 + n]), data[8 + n:]
def part(file, name):
    return file[1][slice(*file[0][name]['data_offsets'])]
golden, ours = read(sys.argv[1]), read(sys.argv[2])
case, name = sys.argv[3], sys.argv[4]
assert part(golden, case + '.codes') == part(ours, name + '.codes'), 'codes'
assert part(golden, case + '.scales') == part(ours, name + '.scales'), 'scales'
zeros = part(golden, case + '.zeros')[::4]
assert zeros == (part(ours, name + '.zeros') if name + '.zeros' in ours[0] else bytes([int(sys.argv[5])]) * len(zeros)), 'zeros'
END
    golden=$shared/data/golden-solver/L1.attn_in.safetensors
    ptq-stream --quiet import "$golden" >p.ptq
    common='--quiet --in p.ptq --out s.ptq --scale-type f64 --zero-min 0 --dead zero'
    ptq-solve $common --bits 3 --group 64 --grid asym --order act
    ptq-stream --quiet export s.ptq a.safetensors
    python3 compare.py "$golden" a.safetensors gptq-b3-asym-g64-static-act L1.attn_in none
    ptq-solve $common --bits 3 --group -1 --grid sym-narrow --fit mse --order none
    ptq-stream --quiet export s.ptq b.safetensors
    python3 compare.py "$golden" b.safetensors gptq-b3-qsym-pc-mse L1.attn_in 4
}

codes() { # PROBLEMS: solved and exported
    ptq-solve --group 2 --threads 1 --quiet <"$1" >"$1.s"
    ptq-stream export "$1.s" "$1.safetensors" --quiet
    cat "$1.safetensors"
}

@test "sums go out as plain tensors and come back, and twice the same rows are the same problem" {
    half_eye=$half$zero$zero$zero$zero$one$half$zero$zero$half$one$zero$zero$zero$zero$one # correlated, exact in every step
    site a.safetensors L "$half_eye" "$weights"
    ptq-stream import a.safetensors --quiet >p.ptq
    ptq-stream sums p.ptq b.safetensors --quiet
    ptq-stream import b.safetensors --quiet >q.ptq
    cmp <(codes p.ptq) <(codes q.ptq)
    three='\0\0\100\100' three_halves='\0\0\300\77'
    site thrice.safetensors L "$three_halves$zero$zero$zero$zero$three$three_halves$zero$zero$three_halves$three$zero$zero$zero$zero$three" "$weights" # of other rows
    ptq-stream import thrice.safetensors --quiet >r.ptq
    ptq-merge p.ptq r.ptq --quiet >both.ptq
    cmp <(codes p.ptq) <(codes both.ptq)
    ptq inspect --json both.ptq | grep -q '"tokens":2'
    ptq-merge --by tokens p.ptq both.ptq --quiet | ptq inspect --json - | grep -q '"tokens":3,.*"sum_w":3'
    run -100 ptq-merge --out no.ptq p.ptq <(cat p.ptq) # the same rows once more
    [[ $output == *"are those of p.ptq"*"count twice"* ]]
    run -100 ptq-merge --out no.ptq - - <p.ptq
    [[ $output == *"standard input can be read only once"* ]]
    site other.safetensors L "$half_eye" "$half$half$half$half$half$half$half$half"
    ptq-stream import other.safetensors --quiet >other.ptq
    run -100 ptq-merge --out no.ptq p.ptq other.ptq
    [[ $output == *"other.ptq: block 0 import: the weights differ"* ]]
    [ ! -e no.ptq ]
}

@test "what QuIP# keeps of a Hessian is that Hessian" {
    tensors c.safetensors '{"L.W":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},"L.flatH":{"dtype":"F32","shape":[10],"data_offsets":[32,72]},"L.mu":{"dtype":"F32","shape":[4],"data_offsets":[72,88]},"L.ct":{"dtype":"I32","shape":[1],"data_offsets":[88,92]}}' \
        "$weights$zero$zero$one$zero$zero$one$zero$zero$zero$one$one$zero$zero$zero\7\0\0\0"
    site a.safetensors L "$eye" "$weights"
    ptq-stream import c.safetensors --quiet >c.ptq
    ptq-stream import a.safetensors --quiet >a.ptq
    cmp <(codes c.ptq) <(codes a.ptq)
    ptq inspect --json c.ptq | grep -q '"tokens":7'
    tensors d.safetensors '{"L.W":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},"L.flatH":{"dtype":"F32","shape":[10],"data_offsets":[32,72]}}' \
        "$weights$zero$zero$one$zero$zero$one$zero$zero$zero$one"
    run -100 ptq-stream import d.safetensors --out d.ptq
    [[ $output == *"'L.mu' must be there"* ]]
    tensors d.safetensors '{"L.W":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},"L.flatH":{"dtype":"F32","shape":[10],"data_offsets":[32,72]},"L.mu":{"dtype":"F32","shape":[4],"data_offsets":[72,88]}}' \
        "$weights$zero$zero$less$zero$zero$one$zero$zero$zero$one$zero$zero$zero$zero"
    run -100 ptq-stream import d.safetensors --out d.ptq
    [[ $output == *"tensor 'L.flatH' and mu are not those of a sum of squares"* ]]
}
