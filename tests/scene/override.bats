#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# override.bats - other bits, groups and solvers for some linears, others left alone: through the whole job, into GPTQ's "dynamic", and back.
bats_require_minimum_version 1.5.0
load model.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$ROOT/pipelines/demo/tale-qwen3
    cd "$BATS_FILE_TMPDIR"
    cat >lines <<'END'
# the last linear of each MLP is the most sensitive one
mlp.down: bits=8 group=32
b0.*: bits=3
b0.*: skip          # wins
b4.mlp.up: grid=asym solver=rtn
END
    narrow_model "$BATS_FILE_TMPDIR/two" 2
    job run --format gptq,dense
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

job() { # OUT MORE...
    local out=$1
    shift
    ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out "$out" --tokens 512 --length 128 --bits 4 --group 64 --seed 1 \
        --overrides lines --override '*.5.self_attn.o_proj: skip' --quiet "$@"
}

sums() { # DIR: of everything but the folder of what varies
    (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum)
}

@test "the pipe gives the same bytes as ptq run" {
    ptq sample --model "$M" --data "$M/calib.jsonl" --tokens 512 --length 128 --mode concat --seed 1 --quiet |
        ptq forward --model "$M" --follow pipe --quiet | ptq reduce --quiet |
        ptq solve --bits 4 --group 64 --overrides lines --override '*.5.self_attn.o_proj: skip' --quiet |
        tee solutions.ptq | ptq write --model "$M" --format gptq,dense pipe --quiet
    diff <(sums run) <(sums pipe)
}

@test "the model card names the engines that load it, and takes the place of the source's" {
    grep -q '^Loads in: none of those that were tried; not transformers (bits, groups or grids that differ), GPTQModel (zero points)' run/gptq/README.md
    grep -q '^| 8 | as they were | | |$' run/gptq/README.md
    grep -q '^Loads in: transformers, vLLM\.$' run/dense/README.md
    [ ! -e run/gptq/README.txt ]
    [ -e "$M/README.txt" ]
}

@test "the config has the values of most linears and a rule for each of the others" {
    q=$(jq -c .quantization_config run/gptq/config.json)
    [ "$(jq -c '[.bits, .group_size, .sym]' <<<"$q")" = '[4,64,true]' ]
    [ "$(jq -c '.dynamic["-:^model\\.layers\\.0\\.mlp\\.down_proj(\\.|$)"]' <<<"$q")" = '{}' ]
    [ "$(jq -c '.dynamic["-:^model\\.layers\\.5\\.self_attn\\.o_proj(\\.|$)"]' <<<"$q")" = '{}' ]
    [ "$(jq -c '.dynamic["+:^model\\.layers\\.3\\.mlp\\.down_proj(\\.|$)"]' <<<"$q")" = '{"bits":8,"group_size":32,"sym":true}' ]
    [ "$(jq -c '.dynamic["+:^model\\.layers\\.4\\.mlp\\.up_proj(\\.|$)"]' <<<"$q")" = '{"bits":4,"group_size":64,"sym":false}' ]
    [ "$(jq '.dynamic | length' <<<"$q")" = 18 ]
    jq -e 'has("meta") | not' <<<"$q"
    # readers that replace every linear are told which to
    [ "$(jq '.modules_in_block_to_quantize | length' <<<"$q")" = 1 ]
    [ "$(jq -r '.modules_in_block_to_quantize[0][]' <<<"$q" | sort)" = "$(header run/gptq | jq -r 'keys[] | select(endswith(".qweight")) | rtrimstr(".qweight")' | sort)" ]
    # the names that engines fuse q k v and gate up into have rules too, where all of them are alike
    [ "$(jq -r '.dynamic | keys[] | select(test("qkv|gate_up"))' <<<"$q" | paste -sd' ')" = \
        '+:^model\.layers\.4\.mlp\.gate_up_proj(\.|$) -:^model\.layers\.0\.mlp\.gate_up_proj(\.|$) -:^model\.layers\.0\.self_attn\.qkv_proj(\.|$)' ]
    [ "$(jq -c .quantization_config run/gptq/config.json)" = "$(jq -c . run/gptq/quantize_config.json)" ]
}

@test "what was skipped is the source's bytes in both formats, and has no packed tensors" {
    for name in model.layers.0.self_attn.q_proj model.layers.0.mlp.down_proj model.layers.5.self_attn.o_proj; do
        for dir in run/gptq run/dense; do
            [ "$(tensor "$dir" $name.weight)" = "$(tensor "$M" $name.weight)" ]
        done
        header run/gptq | jq -e --arg n "$name.qweight" 'has($n) | not'
    done
    header run/gptq | jq -e '."model.layers.3.mlp.down_proj.qweight".shape == [192, 256] and
        ."model.layers.3.mlp.down_proj.scales".shape == [24, 256] and ."model.layers.3.self_attn.o_proj.qweight".shape == [32, 256]'
}

header() { # DIR: of its only weight file
    local n
    n=$(od -An -tu8 -N8 "$1/model.safetensors" | tr -d ' ')
    tail -c +9 "$1/model.safetensors" | head -c "$n"
}

tensor() { # DIR NAME: a digest of its bytes
    local n from to
    n=$(od -An -tu8 -N8 "$1/model.safetensors" | tr -d ' ')
    read -r from to < <(header "$1" | jq -r --arg n "$2" '.[$n].data_offsets | join(" ")')
    tail -c +$((9 + n + from)) "$1/model.safetensors" | head -c $((to - from)) | sha256sum
}

@test "the mixed checkpoint evaluates like its dense twin" {
    run -0 --separate-stderr ptq eval --model run/gptq --ref run/dense --data "$M/eval.jsonl" --window 256 --max-windows 4 --json --quiet
    [ "$(jq '.kld_mean < 1e-4 and .top1_agree > 0.99' <<<"$output")" = true ]
}

@test "the journal and the solutions name what was kept and which solver made what" {
    [ "$(jq -s '[.[] | select(.site) | .linears[] | select(.kept)] | length' run/.ptqflow/journal.jsonl)" = 8 ]
    [ "$(jq -s -r '[.[] | select(.site == "mlp.up" and .block == 4) | .solver] | join(" ")' run/.ptqflow/journal.jsonl)" = rtn ]
    header run/gptq | jq -r .__metadata__.ptqflow | jq -e '[.. | .overrides? // empty] | .[0] | length == 5'
}

@test "without overrides that change anything the bytes are those of a run without any" {
    M=$BATS_FILE_TMPDIR/two
    ptq sample --model "$M" --data "$M/calib.jsonl" --tokens 512 --length 128 --quiet | ptq forward --model "$M" --inputs full --quiet |
        ptq reduce --quiet >full.ptq
    ptq solve --quiet <full.ptq | ptq write --model "$M" plain --quiet
    ptq solve --override '*: skip' --override '*: bits=4 group=64 skip=no' --quiet <full.ptq | ptq write --model "$M" same --quiet
    cmp plain/config.json same/config.json
    ptq diff plain same
    ptq solve --override '*.1.self_attn.q_proj: bits=8' --quiet <full.ptq 2>warning | ptq write --model "$M" q8 --quiet
    grep -q 'b1.attn.qkv: its linears now differ' warning
    [ "$(tensor q8 model.layers.1.self_attn.k_proj.qweight)" = "$(tensor plain model.layers.1.self_attn.k_proj.qweight)" ]
    [ "$(tensor q8 model.layers.1.self_attn.q_proj.qweight)" != "$(tensor plain model.layers.1.self_attn.q_proj.qweight)" ]
}

@test "mistakes are refused: before a run starts, by name and line" {
    for line in 'mlp.dwon: bits=8' 'b6.*: skip'; do
        run -100 job refused --override "$line"
        [[ $output == "ptq: fatal: --override: '${line%%:*}' hits no linear of this model"* ]]
    done
    run -100 job refused --override 'mlp.down: group=100'
    [[ $output == *"100 does not divide the 768 inputs of 'model.layers.1.mlp.down_proj'"* ]]
    printf '\nmlp.down: bits=7\n' >bad
    run -100 ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out refused --overrides bad
    [[ $output == "ptq: fatal: stage 'solve': bad:2: 'mlp.down: bits=7': bits must be"* ]]
    [ ! -e refused ]
    run -100 --separate-stderr ptq solve --override 'mlp.down: solver=none' </dev/null
    [[ $stderr == *"--override: 'mlp.down: solver=none': there is no solver 'none'"* ]]
    run -100 --separate-stderr ptq solve --override 'mlp.down: fit=best' </dev/null
    [[ $stderr == *"--fit: 'best' is not one of minmax|mse|hessian|neuqi"* ]]
    run -100 --separate-stderr sh -c 'ptq solve --solver rtn --override "mlp.dwon: bits=8" --quiet <full.ptq'
    [[ $stderr == *"--override: 'mlp.dwon' hit no linear of the model"* ]]
    run -100 --separate-stderr sh -c 'ptq solve --solver rtn --override "*: skip" --quiet <full.ptq | ptq write --model "$BATS_FILE_TMPDIR/two" nothing --quiet 2>said'
    grep -q 'every linear is skipped' said
    run -100 --separate-stderr ptq plan --model "$M" --override "*: skip"
    [[ $stderr == *"--override: '*: skip': every linear is skipped"* ]]
    run -0 ptq plan --model "$M" --override "*: skip" --format dense
}

@test "ptq plan tells the bytes that the run writes, what is hit and what is kept" {
    run -0 --separate-stderr ptq plan --model "$M" --tokens 4096 --length 512 --overrides lines --override '*.5.self_attn.o_proj: skip' --json
    plan=$output
    [ "$(jq .bytes_after <<<"$plan")" = "$(jq 'select(.record == "done") | .bytes_after.gptq' run/.ptqflow/journal.jsonl)" ]
    [ "$(jq .bytes_before <<<"$plan")" = "$(jq 'select(.record == "done") | .bytes_before' run/.ptqflow/journal.jsonl)" ]
    [ "$(jq '[.sites, .solved]' -c <<<"$plan")" = '[24,19]' ]
    [ "$(jq '[.overrides[] | [.linears, .decides]]' -c <<<"$plan")" = '[[6,5],[7,0],[7,7],[2,2],[1,1]]' ]
    [ "$(jq '.classes[] | select(.kept) | .linears' <<<"$plan")" = 8 ]
    run -0 ptq plan --model "$M" --format dense --json
    [ "$(jq '.bytes_after == .bytes_before' <<<"$output")" = true ]
}

@test "ptq plan's memory follows tokens, --dual and --mem; its mistakes are those of a run" {
    peak() { ptq plan --model "$M" --json "$@" | jq .memory.forward.peak_bytes; }
    [ "$(peak --tokens 65536)" -gt "$(peak --tokens 16384)" ]
    [ "$(peak --tokens 65536 --dual)" -gt "$(peak --tokens 65536)" ]
    all=$(peak --tokens 65536 --workers forward=1 --mem-rows 1G)
    [ "$(peak --tokens 65536 --mem 16M --workers forward=1)" -lt $((all - 120000000)) ]
    [ "$(peak --tokens 65536 --workers forward=1)" -lt $((all - 60000000)) ] # of the rows 4 MiB are in memory, not 96
    [ "$(ptq plan --model "$M" --mem 16M --workers forward=1 --json | jq '.memory.spilled_bytes > 140000000')" = true ]
    run -100 ptq plan
    [[ $output == "plan: fatal: --model DIR is missing"* ]]
    run -100 ptq plan --model "$M" --override 'mlp.dwon: bits=8'
    [[ $output == *"'mlp.dwon' hits no linear of this model"* ]]
    run -100 ptq plan --model "$M" --group 100
    run -100 ptq plan --model run/gptq
    [[ $output == *"quantized already"* ]]
    run -0 --separate-stderr ptq plan --model "$M" --override '*.q_proj: bits=8'
    [[ $stderr == *"attn.qkv: its linears differ after the overrides, in 6 of 6 blocks"* ]]
    [[ $output == *"gptq loads in: GPTQModel; not transformers (bits, groups or grids that differ), vLLM (qkv_proj of different kinds)"* ]]
}

@test "linears of one site with different solvers: each says its own, and has the codes that solver gives it alone" {
    M=$BATS_FILE_TMPDIR/two
    for name in gptq rtn; do
        ptq solve --solver $name --quiet <full.ptq | ptq write --model "$M" all-$name --quiet
    done
    ptq solve --override '*.1.mlp.gate_proj: solver=rtn' --override 'b0.attn.o: solver=best:gptq,rtn' --override 'b0.mlp.up: damp=0.05' --quiet \
        <full.ptq 2>said | ptq write --model "$M" several --quiet
    run -1 grep 'now differ' said
    [ "$(jq -r 'select(.block == 1 and .site == "mlp.up") | .solver, (.linears[] | .solver)' several/.ptqflow/journal.jsonl | xargs)" = 'mixed rtn gptq' ]
    [ "$(jq -r 'select(.block == 0 and .site == "attn.o") | .contenders | length' several/.ptqflow/journal.jsonl)" = 2 ]
    [ "$(jq -r 'select(.block == 0 and .site == "mlp.up") | .damp' several/.ptqflow/journal.jsonl)" = 0.05 ]
    [ "$(jq -r '.quantization_config | has("dynamic")' several/config.json)" = false ]
    gate=model.layers.1.mlp.gate_proj.qweight up=model.layers.1.mlp.up_proj.qweight
    [ "$(tensor several $gate)" = "$(tensor all-rtn $gate)" ]
    [ "$(tensor several $up)" = "$(tensor all-gptq $up)" ]
    [ "$(tensor several $gate)" != "$(tensor all-gptq $gate)" ]
}
