#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# slide.bats - windows of blocks learn how they are rounded: in a pipe, in a run, and what is refused.
bats_require_minimum_version 1.5.0
load model.bash
load bounds.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model WIDE=$BATS_FILE_TMPDIR/wide
    narrow_model "$M" 2
    cut_model "$WIDE" 2 # where memory or losses are looked at
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    export XDG_RUNTIME_DIR=$(mktemp -d /tmp/ptq-slide-XXXXXX)
}

teardown() {
    rm -rf "$XDG_RUNTIME_DIR"
}

sample() { # MORE...
    timeout 60 ptq-sample --model "$M" --data "$M/calib.jsonl" --tokens 128 --length 32 --chunk-tokens 64 --quiet "$@"
}

slide() { # MORE...
    timeout 60 ptq-slide --model "$M" --bits 2 --batch 4 "$@"
}

@test "a pipe and a run make the same checkpoint, by any number of threads" {
    M=$WIDE
    sample | slide --epochs 1 --shallow 0 --window 2 --stride 2 --deep 1 --threads 1 --quiet | ptq-write --model "$M" --quiet out
    timeout 60 ptq run slide --model "$M" --data "$M/calib.jsonl" --tokens 128 --length 32 --chunk-tokens 64 --bits 2 --batch 4 --epochs 1 \
        --shallow 0 --window 2 --stride 2 --deep 1 --out run --quiet
    cmp out/model.safetensors run/model.safetensors
    run -0 ptq-inspect run
    [[ $output == *'"stage":"slide"'* ]]
    ptq-check run
    ptq-report run --out run.html
    grep -q '<h2>Windows that learned' run.html
    [ "$(grep -c '"curve":\[[0-9.e-]*\]' run/.ptqflow/journal.jsonl)" = 8 ]
    run -0 ptq plan slide --model "$M" --tokens 128 --length 32 --chunk-tokens 64 --bits 2 --batch 4 --epochs 1 --shallow 0 --window 2 --stride 2 --deep 1 --json
    [ "$(jq '.windows == 2 and .flops_slide > 0 and .seconds_slide > 0' <<<"$output")" = true ]
    if [[ $(ldd "$(command -v ptq-slide)") != *libasan* ]]; then # the memory of instrumented programs is another
        jq -e --argjson plan "$output" '.stages[] | select(.name == "slide") | $plan.memory.slide.peak_bytes / 1048576 / .peak_rss_mib |
            . > 0.85 and . < 1.15' run/.ptqflow/run.json
    fi
    [ "$(grep -c '"solver":"slide".*"windows":\[{"first":0,"blocks":2,"steps":1,"before":' run/.ptqflow/journal.jsonl)" = 8 ]
}

@test "channel scales go into the norms: the checkpoint is still the model" {
    sample --out chunks.ptq
    ptq-slide --model "$M" --in chunks.ptq --bits 8 --group 32 --grid sym --epochs 4 --rank 0 --clip no --alpha yes --alpha-lr 0.2 --batch 4 \
        --shallow 0 --window 2 --stride 2 --deep 0 --threads 1 --quiet --out whole.ptq
    ptq-write --model "$M" --in whole.ptq --format dense,gptq,gguf --quiet out
    [ "$(grep -c '"changed":\["model.layers.[01].\(input\|post_attention\)_layernorm.weight"\]' out/.ptqflow/journal.jsonl)" = 4 ]
    for format in dense gptq; do
        run -0 ptq-eval --model out/$format --ref "$M" --data "$M/eval.jsonl" --window 64 --max-windows 2 --threads 1 --quiet --json
        [ "$(jq '.kld_mean < 0.01' <<<"$output")" = true ]
    done
    python3 - "$M/model.safetensors" out/dense/model.safetensors out/gptq/model.safetensors <<'END'
import json, struct, sys
def norms(path):
    data = open(path, 'rb').read()
    n = struct.unpack('<Q', data[:8])[0]
    return {k: data[8 + n:][slice(*v['data_offsets'])] for k, v in json.loads(data[8:8 + n]).items() if k.endswith('layernorm.weight')}
source, dense, gptq = map(norms, sys.argv[1:])
gguf = open('out/gguf/model.gguf', 'rb').read()
assert len(source) == 4 and dense == gptq
for k in source:
    was, now = (struct.unpack('<%df' % (len(x) // 2), b''.join(b'\0\0' + x[i:i + 2] for i in range(0, len(x), 2))) for x in (source[k], dense[k]))
    assert max(a / b for a, b in zip(was, now)) > 1.3, k
    assert struct.pack('<%df' % len(now), *now) in gguf, k
END
}

losses() { # OUT: of the linears, in the order of their sites
    jq -r 'select(.record == "site") | "\(.order) \(.linears[] | .rel_loss)"' "$1/.ptqflow/journal.jsonl" | sort -s -n -k1,1
}

@test "without a step it is rtn: the same codes, and the same losses as far as bf16 rows tell" {
    command -v jq >/dev/null || skip "no jq"
    sample --out chunks.ptq
    slide --in chunks.ptq --epochs 0 --clip no --threads 1 --quiet | ptq-write --model "$M" --quiet out
    timeout 60 ptq run gptq --model "$M" --data "$M/calib.jsonl" --tokens 128 --length 32 --chunk-tokens 64 --solver rtn --bits 2 --group -1 \
        --grid asym --out rtn --quiet
    run -0 ptq-diff out rtn
    [[ $output == *" 0 differences" ]]
    paste <(losses out) <(losses rtn) >both
    [ "$(awk '$1 != $3 || $2 > 1.001 * $4 || $4 > 1.001 * $2' both | wc -l)" = 0 ]
    [ "$(wc -l <both)" = 14 ]
}

@test "each window ends with a smaller loss than it began with" {
    sample --out chunks.ptq
    slide --in chunks.ptq --out solutions.ptq --epochs 6 --shallow 0 --window 1 --stride 1 --deep 0 --lr 2e-3 --threads 1 2>log
    [ "$(grep -c 'window .* of 2, block' log)" = 2 ]
    awk '/ -> / { for (i = 1; i < NF; i++) if ($i == "->" && $(i + 1) >= $(i - 1)) exit 1 }' log
    run -0 ptq-inspect solutions.ptq
    [ "$(grep -c "^solution b" <<<"$output")" = 8 ]
    run ! grep 'worse' log
    slide --in chunks.ptq --epochs 6 --shallow 0 --window 1 --stride 1 --deep 0 --lr 1 --threads 1 --quiet 2>log >solutions.ptq
    grep -q 'slide: warning: window 1 of 2 is worse than it was before it learned: use a smaller --lr' log
}

@test "a plan of more sequences to a step than there are is that of all of them" {
    foreseen() { # BATCH
        ptq plan slide --model "$M" --tokens 128 --length 32 --bits 2 --batch "$1" --json | jq .memory.slide.peak_bytes
    }
    jq -ne "$(foreseen 1000000) / $(foreseen 4) | . > 0.95 and . < 1.05" # pages of libraries that happen to be there differ
}

@test "windows that were learned are taken over, broken files are not, and the bytes are the same" {
    sample --out chunks.ptq
    learn() { # OUT MORE...
        slide --in chunks.ptq --epochs 1 --shallow 0 --window 1 --stride 1 --deep 0 --threads 1 --state state --out "$@"
    }
    learn one.ptq --quiet
    [ "$(ls state)" = $'window00000.ptq\nwindow00001.ptq' ]
    rm state/window00001.ptq
    learn two.ptq 2>log
    [ "$(grep -c 'in an earlier run' log)" = 1 ]
    printf x | dd of=state/window00000.ptq bs=1 seek=5000 conv=notrunc status=none
    learn three.ptq 2>log
    grep -q 'warning: --state: .*window 1 was learned again' log
    [ "$(grep -c 'in an earlier run' log)" = 1 ]
    learn other.ptq --lr 1e-3 2>log
    [ "$(grep -c 'warning: --state: .* it is of run' log)" = 2 ]
    for name in two three; do
        ptq-write --model "$M" --in $name.ptq --quiet $name
    done
    ptq-write --model "$M" --in one.ptq --quiet one
    cmp one/model.safetensors two/model.safetensors
    cmp one/model.safetensors three/model.safetensors
}

@test "settled blocks are rounded by GPTQ: less is lost, the same bytes on any threads and when it goes on, and the plan knows" {
    M=$WIDE
    sample --out chunks.ptq
    learn() { # NAME THREADS MORE...
        slide --in chunks.ptq --epochs 1 --shallow 0 --window 1 --stride 1 --deep 0 --threads "$2" --out "$1.ptq" "${@:3}" 2>>log
        ptq-write --model "$M" --in "$1.ptq" --quiet "$1"
    }
    learn near 1
    learn one 1 --round gptq --state state
    learn three 3 --round gptq
    rm state/window00001.ptq
    learn again 1 --round gptq --state state
    [ "$(grep -c 'in an earlier run' log)" = 1 ]
    cmp one/model.safetensors three/model.safetensors
    cmp one/model.safetensors again/model.safetensors
    grep -q '"solver":"slide+gptq".*"damp":0.01,"attempts":1,"fallback":null' one/.ptqflow/journal.jsonl
    paste <(losses one) <(losses near) >both
    [ "$(wc -l <both)" = 14 ]
    [ "$(awk '$1 != $3 || $2 >= $4 || ($1 == 0 && $2 > 0.5 * $4)' both | wc -l)" = 0 ] # q, k and v of block 0 had the same rows
    run -0 ptq plan slide --model "$M" --tokens 128 --length 32 --bits 2 --epochs 1 --round gptq --json
    more=$(jq .flops_slide <<<"$output")
    run -0 ptq plan slide --model "$M" --tokens 128 --length 32 --bits 2 --epochs 1 --json
    jq -e --argjson more "$more" '.flops_slide < $more' <<<"$output"
    ptq plan slide --model "$M" --tokens 128 --length 32 --bits 2 --epochs 1 --products bf16 --json |
        jq -e --argjson plain "$output" '.memory.slide.peak_bytes > $plain.memory.slide.peak_bytes and .seconds_slide <= $plain.seconds_slide'
}

@test "two sweeps over all windows: the second goes on with what the first has learned, and both are taken over" {
    sample --out chunks.ptq
    learn() { # OUT MORE...
        slide --in chunks.ptq --epochs 2 --first-share 0.5 --shallow 0 --window 1 --stride 1 --deep 0 --threads 1 --state state --out "$@" 2>>log
        ptq-write --model "$M" --in "$1" --quiet "${1%.ptq}"
    }
    learn once.ptq --quiet
    rm -r state
    learn twice.ptq --sweeps 2
    grep -qE '^slide: window 4 of 4, block 1 to 1: loss .* in 1 step$' log
    [ "$(grep -c '"windows":\[{"first":[01],.*"steps":1,.*},{.*"steps":1,' twice/.ptqflow/journal.jsonl)" = 8 ]
    [ "$(ls state | wc -l)" = 4 ]
    run -1 cmp once/model.safetensors twice/model.safetensors
    rm state/window00001.ptq state/window00003.ptq
    learn again.ptq --sweeps 2
    [ "$(grep -c 'in an earlier run' log)" = 2 ]
    cmp twice/model.safetensors again/model.safetensors
    run -100 slide --in chunks.ptq --out none.ptq --sweeps 2 --quiet
    [[ $output == *"needs a --first-share below 1"* ]]
}

@test "a run whose windows were killed goes on, with the bytes of one that was not" {
    job() { # OUT MORE...
        timeout 60 ptq run slide --model "$M" --data "$M/calib.jsonl" --tokens 128 --length 32 --chunk-tokens 64 --bits 2 --batch 4 \
            --epochs 12 --alpha yes --alpha-lr 0.01 --shallow 0 --window 1 --stride 1 --deep 0 --state state \
            --slide.fault die:8,once:died --out "$@" # two chunks have come, and of the second window's solutions the second would go
    }
    job cut --restarts 0 >log 2>&1 3>&- && false
    grep -q 'the same command again goes on behind them' log
    job cut 2>log
    grep -qE "going on with 'cut' behind site [1-5] of 8: windows that --state does not have are learned again" log
    grep -q 'window 1 of 2, block 0 to 0: .* in an earlier run' log
    rm -r state
    job whole --quiet
    cmp whole/model.safetensors cut/model.safetensors
}

@test "gradients of several processes, one of which is killed and replaced, make the bytes of one" {
    job() { # RECIPE OUT MORE...
        timeout 60 ptq run "$1" --model "$M" --data "$M/calib.jsonl" --tokens 128 --length 32 --chunk-tokens 64 --bits 2 --batch 4 --parts 4 \
            --epochs 4 --first-share 0.5 --act-bits 8 --qkv-bits 8 --alpha yes --shallow 0 --window 2 --stride 2 --deep 1 --out "${@:2}"
    }
    job slide alone --quiet
    job slide-shared one --workers slope=1 --quiet
    cmp alone/model.safetensors one/model.safetensors
    job slide-shared three --workers slope=3 >log 2>&1 3>&- &
    pid=$!
    until_true grep -q 'window 1 of 2' log || { cat log; return 1; }
    victim=
    for p in $(pgrep -f '^ptq-slope '); do
        [ "$(readlink "/proc/$p/cwd")" != "$PWD" ] || victim=$p
    done
    kill -9 "$victim" || true # on a very quick machine the work is done
    wait $pid || { cat log; return 1; }
    cmp alone/model.safetensors three/model.safetensors
    run -0 ptq-inspect three
    [[ $output == *'"qkv_bits":8'*'"act_bits":8'* ]]
    job slide half --products bf16 --quiet
    job slide-shared shared --products bf16 --workers slope=2 --quiet
    cmp half/model.safetensors shared/model.safetensors
    run -1 cmp -s alone/model.safetensors half/model.safetensors
    run -0 ptq-inspect half
    [[ $output == *'"stage":"slide"'*'"products":"bf16"'* ]]
}

@test "what cannot be learned from is refused" {
    sample --out chunks.ptq
    run -100 slide --in chunks.ptq --out none.ptq --group 96 --quiet
    [[ $output == *"has 64 inputs, which --group 96 does not divide"* ]]
    run -100 slide --in chunks.ptq --out none.ptq --act-bits 1 --quiet
    [[ $output == *"activations have 2 to "* ]]
    run -100 slide --in chunks.ptq --out none.ptq --qkv-bits 1 --quiet
    [[ $output == *"--qkv-bits 1: activations have 2 to "* ]]
    run -100 slide --in chunks.ptq --out none.ptq --jobs @ipc://jobs --quiet
    [[ $output == *"--jobs and --gradients go together"* ]]
    run -100 slide --in chunks.ptq --out none.ptq --mem 1K --quiet
    [[ $output == *"take more than --mem"* ]]
    sample | timeout 60 ptq-importance --model "$M" --threads 1 --quiet --out weighed.ptq
    run -100 slide --in weighed.ptq --out none.ptq --quiet
    [[ $output == *"has weights of single sites"* ]]
    [ ! -e none.ptq ]
    run -100 ptq run slide --model "$M" --data "$M/calib.jsonl" --bits 2 --out none --state /dev/null --dry-run
    [[ $output == *"--state: '/dev/null' is there and not a folder"* ]]
    run -100 ptq run slide-shared --model "$M" --data "$M/calib.jsonl" --out none --listen 'tcp://127.0.0.1:*' --dry-run
    [[ $output == *"--listen: workers run what ptq-forward and ptq-solve do, and this recipe has neither"* ]]
}

@test "a slide or write process that is killed is begun again, to the same bytes" {
    job() { # OUT
        timeout 100 ptq run slide --model "$M" --data "$M/calib.jsonl" --tokens 128 --length 32 --chunk-tokens 64 --bits 2 --batch 4 --epochs 4 \
            --shallow 0 --window 1 --stride 1 --deep 0 --out "$@"
    }
    job whole --quiet
    for stage in slide write; do
        job $stage "--$stage.fault" die:5,once:$stage.died 2>$stage.log
        grep -q 'the stages begin again' $stage.log
        cmp whole/model.safetensors $stage/model.safetensors
    done
}
