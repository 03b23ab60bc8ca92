#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# eval.bats - the command as a user meets it: refusals with one line and the right exit code, and a report that can be read by a machine.
load model.bash
load left.bash

setup_file() {
    cut_model "$BATS_FILE_TMPDIR/model" 2
    narrow_model "$BATS_FILE_TMPDIR/narrow" 2
}

setup() {
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    cd "$BATS_TEST_DIRNAME/../.."
    work=$BATS_TEST_TMPDIR
    model=tests/golden/conformance/llama3
    printf '{"input_ids":[1,2,3,4,5]}\n{"input_ids":[7]}\n{"input_ids":[9,8,7]}\n' > "$work/ids.jsonl"
}

fails() { # CODE WORD command...
    code=$1 word=$2
    shift 2
    run "$@"
    [ "$status" -eq "$code" ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == *"$word"* ]]
}

@test "wrong use and wrong input are refused in one line" {
    fails 100 -- ptq-eval --model "$model"
    fails 100 /nowhere/config.json ptq-eval --model /nowhere --data "$work/ids.jsonl"
    fails 100 tokenizer.json ptq-eval --model "$model" --data pipelines/demo/tale-qwen3/eval.jsonl
    fails 100 vocabulary ptq-eval --model "$model" --ref pipelines/demo/tale-qwen3 --data "$work/ids.jsonl"
    printf '{"input_ids":[1,2,999]}\n' > "$work/far.jsonl"
    fails 100 "far.jsonl:1: token id 999 " ptq-eval --model "$model" --data "$work/far.jsonl"
    printf '{"input_ids":[1]}\n' > "$work/one.jsonl"
    fails 1 predict ptq-eval --model "$model" --data "$work/one.jsonl" --logits "$work/l.safetensors"
    printf '{"text":"too short"}\n' > "$work/short.jsonl"
    fails 1 "smaller --window" ptq-eval --model pipelines/demo/tale-qwen3 --data "$work/short.jsonl"
}

@test "one JSON object, the same for any number of threads and batches, and the logits" {
    ptq-eval --model "$model" --ref tests/golden/conformance/mistral --data "$work/ids.jsonl" --json --threads 1 > "$work/a"
    ptq-eval --model "$model" --ref tests/golden/conformance/mistral --data "$work/ids.jsonl" --json --threads 3 --mem 1K \
        --logits "$work/l.safetensors" > "$work/b"
    cmp "$work/a" "$work/b"
    [ "$(wc -l < "$work/a")" -eq 1 ]
    grep -q '"tokens":9,"predictions":6,"windows":3' "$work/a"
    for key in perplexity nll ref_perplexity dnll kld_mean kld_median kld_p99 kld_max top1_agree; do
        grep -q "\"$key\":" "$work/a"
        grep -q "\"${key}_se\":" "$work/a"
    done
    grep -q '"logits.1":{"dtype":"F32","shape":\[1,320\]' "$work/l.safetensors"
}

@test "the reference's hidden states are kept, give the same report, and are refused where they do not belong" {
    ref=tests/golden/conformance/mistral states=$work/states.safetensors
    fails 100 -- ptq-eval --model "$model" --data "$work/ids.jsonl" --ref-states "$states"
    ptq-eval --model "$model" --ref "$ref" --data "$work/ids.jsonl" --json > "$work/a"
    ptq-eval --model "$model" --ref "$ref" --data "$work/ids.jsonl" --json --mem 1K --ref-states "$states" > "$work/b"
    cmp "$work/a" "$work/b"
    before=$(sha256sum "$states")
    ptq-eval --model "$model" --ref "$ref" --data "$work/ids.jsonl" --json --verbose --ref-states "$states" > "$work/b" 2>"$work/said"
    cmp "$work/a" "$work/b"
    grep -q "the reference's hidden states are those of $states" "$work/said"
    [ "$(sha256sum "$states")" = "$before" ]
    # another text, another reference (of the same shapes, one weight different), a damaged file
    printf '{"input_ids":[1,2,3,4,6]}\n{"input_ids":[9,8,7]}\n' > "$work/other.jsonl"
    fails 100 'not the states of this reference' ptq-eval --model "$model" --ref "$ref" --data "$work/other.jsonl" --ref-states "$states"
    cp -r "$ref" "$work/near"
    size=$(stat -c %s "$work/near/model.safetensors")
    printf '\100' | dd of="$work/near/model.safetensors" bs=1 seek=$((size - 1)) conv=notrunc status=none
    fails 100 'not the states of this reference' ptq-eval --model "$model" --ref "$work/near" --data "$work/ids.jsonl" --ref-states "$states"
    truncate -s -4 "$states"
    fails 100 "$states" ptq-eval --model "$model" --ref "$ref" --data "$work/ids.jsonl" --ref-states "$states"
    # an evaluation that fails leaves none behind
    fails 100 vocabulary ptq-eval --model "$model" --ref pipelines/demo/tale-qwen3 --data "$work/ids.jsonl" --ref-states "$work/none"
    [ -z "$(ls "$work" | grep none)" ]
}

@test "a reference with another tokenizer: refused for text, not for the same ids, nor for rows of ids" {
    tale=pipelines/demo/tale-qwen3
    cp -r "$tale" "$work/swapped"
    cp -r "$tale" "$work/printed"
    jq '.model.vocab |= (.["Ġwas"] = 302 | .["Ġn"] = 301)' "$tale/tokenizer.json" >"$work/swapped/tokenizer.json"
    jq '.truncation = null | .added_tokens[0].special = false' "$tale/tokenizer.json" >"$work/printed/tokenizer.json"
    few=(--data "$tale/eval.jsonl" --window 32 --max-windows 2 --json)
    fails 100 "differ, the first time at id 301" ptq-eval --model "$tale" --ref "$work/swapped" "${few[@]}"
    fails 100 "'$tale' differ" ptq-eval --model "$work/swapped" --ref "$tale" "${few[@]}"
    run -1 cmp "$tale/tokenizer.json" "$work/printed/tokenizer.json"
    jq -e '.top1_agree == 1' <(ptq-eval --model "$tale" --ref "$work/printed" "${few[@]}")
    jq -e '.top1_agree == 1' <(ptq-eval --model "$tale" --ref "$work/swapped" --data "$work/ids.jsonl" --json)
}

@test "asked to stop: the figures of what is done, exit 111; one progress over both models" {
    tale=$BATS_FILE_TMPDIR/model
    mkfifo "$work/status"
    ptq-eval --model $tale --ref $tale --data $tale/eval.jsonl --window 64 --json --ref-states "$work/states" --status-fd 9 \
        9>"$work/status" >"$work/out" 2>"$work/err" 3>&- &
    pid=$!
    exec 5<"$work/status"
    while read -r line <&5; do
        [[ "$line" == *'"alive":true'* ]] && continue
        [[ "$line" == *'"state":"eval"'*'"unit":"windows"'* ]]
        [[ "$line" =~ '"done":'([0-9]+) ]] && ((BASH_REMATCH[1] > 1)) && break # one window has no standard error
    done
    kill -TERM $pid
    cat <&5 >/dev/null
    code=0
    wait $pid || code=$?
    [ $code = 111 ]
    jq -e '.complete == false and .windows > 0 and .tokens == .windows * 64 and .perplexity > 1 and .perplexity_se > 0 and .top1_agree == 1' "$work/out"
    grep -qE '^eval: fatal: stopped by a signal with [0-9]+ of [0-9]+ windows done: the figures are of those$' "$work/err"
    [ ! -e "$work/states" ]
    jq -e '.complete' <(ptq-eval --model "$model" --data "$work/ids.jsonl" --json)
}

@test "a narrow terminal gets a line that fits it" {
    tale=$BATS_FILE_TMPDIR/narrow
    command -v script >/dev/null || skip "no script (bsdutils)"
    # the clock goes on by a second at each look: the line is drawn as often as it may, however fast the machine
    shim=${PTQ_SHIMS:-$PWD/build/shim}/far_clock.so
    [ -e "$shim" ] || skip "no $shim: make unit-tests builds it"
    clock="LD_PRELOAD=$shim ASAN_OPTIONS=verify_asan_link_order=0"
    SHELL=/bin/sh script -qec "stty cols 40; $clock ptq-eval --model $tale --ref $tale --data $tale/eval.jsonl --window 64 --max-windows 160" "$work/typed" >/dev/null </dev/null
    tr '\r' '\n' <"$work/typed" | sed 's/\x1b\[K//g' >"$work/lines"
    grep -qE '^eval: [0-9]+%, 128 of 160 windows, perplex' "$work/lines"
    [ "$(grep '^eval: ' "$work/lines" | awk '{ if (length > n) n = length } END { print n }')" = 39 ]
}

@test "--keep-figures: the figures stand beside the run, once for the same data, and go with it" {
    tale=$BATS_FILE_TMPDIR/model
    fails 100 .ptqflow ptq-eval --model $tale --data $tale/eval.jsonl --keep-figures
    ptq run gptq --model $tale --data $tale/calib.jsonl --out "$work/out" --tokens 1024 --length 128 --quiet 2>&1
    for n in 3 2 2; do
        ptq-eval --model "$work/out" --ref $tale --data $tale/eval.jsonl --window 128 --max-windows $n --keep-figures --quiet >"$work/said"
    done
    jq -es 'length == 2 and all(.[]; .record == "eval" and .window == 128 and .kld_mean > 0 and .complete) and ([.[].windows] == [3, 2]) and
        all(.[]; .windows == (.kld_windows | length) and ((.kld_windows | add / length) / .kld_mean - 1 | fabs) < 1e-9)' \
        "$work/out/.ptqflow/eval.jsonl"
    ptq report "$work/out" --out "$work/page.html"
    grep -q '<h2>Evaluation</h2>' "$work/page.html"
    grep -q ">2 × 128 tokens<" "$work/page.html"
    grep -q ">$(jq -r 'select(.windows == 2).perplexity' "$work/out/.ptqflow/eval.jsonl" | awk '{ printf "%.5g", $1 }') ± " "$work/page.html"
    ptq run gptq --model $tale --data $tale/calib.jsonl --out "$work/out" --tokens 1024 --length 64 --quiet --overwrite 2>&1
    [ ! -e "$work/out/.ptqflow/eval.jsonl" ]
    ptq report "$work/out" --out "$work/page.html"
    run -1 grep '<h2>Evaluation</h2>' "$work/page.html"
}
