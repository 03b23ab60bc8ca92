#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# plan.bats - what ptq plan says of memory against the peaks that a run's record holds, stage by stage; --mem with two streams.
#
# The bound is 15% of what was measured, or for the small processes 2 MiB: that is what the kernel maps around the pages of libraries that were
# asked for, more or less from one start to the next.
bats_require_minimum_version 1.5.0
load model.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model
    cut_model "$M" 2 # memory is that of one block, and of the next that is read while it is at work
    local linked
    linked=$(ldd "$(command -v ptq-forward)")
    if [[ $linked == *libasan* ]]; then
        export WHY_NOT="sanitizers take memory of their own"
    elif ! grep -q libdnnl "$(command -v ptq-forward)"; then
        export WHY_NOT="the constants of ptq plan are those of a build with oneDNN"
    elif grep -qs '\[always\]' /sys/kernel/mm/transparent_hugepage/enabled; then
        export WHY_NOT="transparent huge pages round every block up"
    elif [ "$(nproc --all)" -gt 8 ]; then
        export WHY_NOT="what a thread takes was measured up to 8 of them"
    fi
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    [ -z "${WHY_NOT:-}" ] || skip "$WHY_NOT"
}

job() { # OUT RECIPE MORE...
    local out=$1 recipe=$2
    shift 2
    ptq run "$ROOT/pipelines/$recipe.pipe" --model "$M" --data "$M/calib.jsonl" --out "$out" --seed 1 --quiet --reduce.fault "slow:${SLOW:-30}" "$@"
}

peak() { # OUT STAGE: MiB
    jq --arg s "$2" '.stages[] | select(.name == $s) | .peak_rss_mib' "$1/.ptqflow/run.json"
}

# A busy machine may leave the reducer no message waiting, an idle one several: by that much less
# than planned (UNDER_WAY MiB) is no mistake of the plan.
foreseen() { # OUT [RECIPE] OPTIONS...: every stage and the sum, or ROWS alone, are within the bound; says all rows when one is not
    local out=$1
    shift
    ptq plan "$@" --model "$M" --json >plan.json
    run -0 jq -r --slurpfile plan plan.json --argjson under_way "${UNDER_WAY:-2}" --arg rows "${ROWS:-}" '
        def room($name; $of; $is): if $of > $is and ($name == "reduce" or $name == "together") then [2, $under_way] | max else 2 end;
        def row($name; $of; $is): {name: $name, plan: $of, is: $is, ok: (($of - $is | fabs) <= ([0.15 * $is, room($name; $of; $is)] | max))};
        [$plan[0].memory as $m | (.stages[] | row(.name; $m[.name].peak_bytes / 1048576; .peak_rss_mib)),
         row("together"; $m.peak_bytes / 1048576; [.stages[].peak_rss_sum_mib] | add)] |
        map(select($rows == "" or (.name | IN($rows / " " | .[])))) |
        (.[] | "\(.name): plan \(.plan | round), measured \(.is | round) MiB"), all(.ok)' "$out/.ptqflow/run.json"
    echo "$output"
    [ "${lines[-1]}" = true ]
}

sees() { # a model of PTQ_SHARED that takes pictures of any size: tokens are letters, an image is up to 300 of its tokens
    local from=${PTQ_SHARED:-$ROOT/../shared}/data
    [ -d "$from/coco-mini" ] && [ -d "$from/conformance/qwen2_vl" ] || skip "data/coco-mini and data/conformance are not on this machine (PTQ_SHARED)"
    mkdir sees
    cp "$from"/conformance/qwen2_vl/{model.safetensors,config.json} sees
    jq '.min_pixels = 1024 | .max_pixels = 76800' "$from/conformance/qwen2_vl/preprocessor_config.json" >sees/preprocessor_config.json
    jq -nc '{added_tokens: [{id: 310, content: "<|image_pad|>", special: true}], model: {type: "BPE", merges: [],
        vocab: ("?abcdefghijklmnopqrstuvwxyz" / "" | to_entries | map({(.value): .key}) | add)}}' >sees/tokenizer.json
    echo '{}' >sees/tokenizer_config.json
    echo "{% for m in messages %}{% for p in m.content %}{% if p.type == 'image' %}<|image_pad|>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}" >sees/chat_template.jinja
    find "$from/coco-mini" -name '*.jpg' | sort | jq -Rc '{messages: [{role: "user", content: [{type: "image", path: .}, {type: "text", text: "xyz"}]}]}' >sees/calib.jsonl
}

@test "pictures: one chunk of pixels at a time in the forward stage, two in the sampler, as planned" {
    sees
    M=sees job seen vlm --tokens 4096 --group 32 --workers forward=1
    # the solver's constants are those of wider models
    ROWS="sample forward" M=sees foreseen seen vlm --data sees/calib.jsonl --tokens 4096 --group 32 --workers forward=1
    [ "$(jq .memory.sample.peak_bytes plan.json)" -gt $((30 << 20)) ] # 12 MB of pixels in a chunk
}

@test "gptq, two workers" {
    job two gptq --tokens 8192 --length 1024 --workers forward=2
    UNDER_WAY=8 foreseen two gptq --tokens 8192 --length 1024 --workers forward=2 # of 12: two messages of 2048 x 768 bf16 from each worker
}

@test "rows in f32, one worker, round to nearest" {
    # so slow that of these large messages as many wait as may, however busy the machine is
    SLOW=100 job wide gptq --tokens 8192 --length 1024 --workers forward=1 --acts f32 --solver rtn
    foreseen wide gptq --tokens 8192 --length 1024 --workers forward=1 --acts f32 --solver rtn
}

@test "a full-precision stream beside, solvers competing on held-out chunks" {
    job best gptaq --tokens 8192 --length 1024 --chunk-tokens 1024 --workers forward=1 --solver best:gptq,gptaq,qep+gptq --holdout 4
    foreseen best gptaq --tokens 8192 --length 1024 --chunk-tokens 1024 --workers forward=1 --solver best:gptq,gptaq,qep+gptq --holdout 4
}

@test "plain sums beside" {
    job maca maca --tokens 8192 --lengths 512,1024,2048 --workers forward=1
    foreseen maca maca --tokens 8192 --lengths 512,1024,2048 --workers forward=1
}

bounded() { # OUT BOUNDED-OUT WORKERS MEM TOKENS CHUNK-TOKENS: a job as it is and with --mem: the same bytes, both as foreseen; plan.json is the second one's
    local sizes=(--tokens "$5" --length 512 --chunk-tokens "$6" --mem-rows 1G)
    job "$1" gptaq "${sizes[@]}" --workers forward="$3"
    job "$2" gptaq "${sizes[@]}" --workers forward="$3" --mem "$4"
    cmp "$1/model.safetensors" "$2/model.safetensors"
    foreseen "$1" gptaq "${sizes[@]}" --workers forward="$3"
    foreseen "$2" gptaq "${sizes[@]}" --workers forward="$3" --mem "$4"
}

@test "--mem holds for both streams together: the peak falls by what lies in the file, and no byte changes" {
    bounded held spilled 1 12M 8192 1024
    # 2 streams x 8192 tokens x (256 f32 + 768 bf16) = 40 MiB, of which 11 (of each stream's eight chunks the f32 of three, 1 MiB each, and 2.5 for one from the file) stay within the 12;
    # the 6 are the two messages of 2 x 1024 x 768 bf16 that are under way: in one run at the moment of the peak, in the other not
    [ "$(jq .memory.hidden_bytes plan.json)" = $((11 << 20)) ]
    awk -v held="$(peak held forward)" -v spilled="$(peak spilled forward)" 'BEGIN { exit !(held - spilled > 40 - 11 - 6) }'
}

@test "--mem holds for the sums of the reducer, D with them, and no byte changes" {
    bounded all few 2 8M 8192 1024
    # what fits into 8 MiB of triangles and squares of 768 inputs: one of each, a problem
    [ "$(jq .memory.sums_bytes plan.json)" = $((768 * 769 / 2 * 8 + 768 * 768 * 8)) ]
    awk -v all="$(peak all reduce)" -v few="$(peak few reduce)" 'BEGIN { exit !(few < all) }'
}

@test "the very command line of a run, without a recipe that of gptq; --cores, --classes" {
    line=(--model "$M" --data "$M/calib.jsonl" --out out --seed 1 --tokens 8192 --bits 3 --quiet --workers forward=2 --override 'mlp.down: skip')
    ptq run gptq "${line[@]}" --dry-run >commands
    ptq plan gptq "${line[@]}" --dry-run --json >named.json
    ptq plan "${line[@]}" --json >plain.json
    cmp <(jq "del(.memory)" named.json) <(jq "del(.memory)" plain.json)
    [ "$(jq -c '[.memory.forward.processes, .overrides[0].line, (.classes | map(select(.kept | not)) | map(.bits) | unique)]' named.json)" = '[2,"mlp.down: skip",[3]]' ]
    [ "$(ptq plan --model "$M" --cores 4 --json | jq .memory.forward.processes)" = 4 ]
    reducer() { ptq plan maca --model "$M" --tokens 65536 --json "$@" | jq .memory.reduce.peak_bytes; }
    [ "$(reducer --classes both)" -gt "$(reducer --classes length)" ]
    [ "$(reducer --classes length)" -gt "$(reducer)" ]
    [ "$(reducer --chunk-tokens 8192)" -gt "$(reducer)" ]
    worker() { ptq plan maca --model "$M" --tokens 65536 --json "$@" | jq .memory.forward.peak_bytes; } # in whose memory rows wait
    [ "$(worker --credit 64K)" -lt "$(worker)" ]
    run -100 ptq plan resolve --model "$M"
    [[ $output == *"a plan is of a run from text to a checkpoint"* ]]
    run -100 ptq plan --model "$M" --lenght 5
    [[ $output == *"did you mean --length?"* ]]
    run -100 ptq plan --model "$M" --threads 5
    [[ $output == *"is the recipe's to say"* ]]
}

@test "mistakes are those of a run" {
    run -100 ptq plan --model "$M" --solver nosuch
    [[ $output == *"there is no solver 'nosuch'"* ]]
    run -100 ptq plan --model "$M" --override 'mlp.down: solver=nosuch'
    [[ $output == *"there is no solver 'nosuch'"* ]]
    run -100 ptq plan --model "$M" --data nothing.jsonl
    [[ $output == *"fatal: --data: "*"nothing.jsonl"* ]]
    mkdir bare
    ln -s "$(realpath "$M")"/* bare
    rm bare/tokenizer.json
    run -100 ptq plan --model bare --data "$M/calib.jsonl"
    [[ $output == *"calib.jsonl:1: text, but 'bare' has no tokenizer.json"* ]]
    run -100 ptq plan --model "$M" --tokens 100 --length 256
    [[ $output == *"--tokens 100 is less than one row of --length 256"* ]]
    run -0 ptq plan --model "$M" # data may be left out
    run -0 ptq plan --model "$M" --data "$M/calib.jsonl" --tokens 64k --reserve 1G --stall 90
    dual=$(ptq plan --model "$M" --dual --json | jq .memory.hidden_bytes)
    [ "$dual" -gt 0 ]
    [ "$(ptq plan --model "$M" --override 'mlp.down: solver=gptaq' --json | jq .memory.hidden_bytes)" = "$dual" ]
}

@test "a plan of hosts as fast as a run that has been: of the same job it says the CPU seconds of its stages" {
    job=(--model "$M" --tokens 512 --length 128 --solver qep+gptq --override 'mlp.down: bits=8')
    ptq run gptq "${job[@]}" --dual --data "$M/calib.jsonl" --out been --quiet
    run -0 --separate-stderr ptq plan gptq "${job[@]}" --dual --hosts 2 --cores 1 --like been
    seconds() { jq "[.stages[] | select(.name | test(\"$1\")).cpu_s] | add" been/.ptqflow/run.json; }
    awk -v f="$(seconds '^forward')" -v r="$(seconds '^reduce')" -v s="$(seconds '^solve')" -v b="$(seconds 'sample|write')" '
        function is(x, y) { return x > .998 * y && x < 1.002 * y }
        $1 == 1 && NF == 10 { n++; bad = !is($2, f) || !is($3, r) || !is($5, s) || !is($6, f + r + s + b) }
        END { exit bad || n != 1 }' <<<"$output"
    run -100 --separate-stderr ptq plan gptq "${job[@]}" --hosts 2 --like nowhere
    [[ $stderr == *"--like nowhere: the output of a finished run is wanted"* ]]
    mkdir -p odd/.ptqflow
    echo '{"recipe": "gptq", "variables": 3, "stages": []}' >odd/.ptqflow/run.json
    run -100 --separate-stderr ptq plan gptq "${job[@]}" --hosts 2 --like odd
    echo '{"recipe": "gptq", "variables": {"nonsense": "1"}, "stages": []}' >odd/.ptqflow/run.json
    run -100 --separate-stderr ptq plan gptq "${job[@]}" --hosts 2 --like odd
    [[ $stderr == *"--like"*nonsense* ]]
    echo "{\"recipe\": \"gptq\", \"variables\": {\"model\": \"$M\"}, \"stages\": []}" >odd/.ptqflow/run.json
    run -100 --separate-stderr ptq plan gptq "${job[@]}" --hosts 2 --like odd
    [[ $stderr == *"no stage that ran ptq-forward"* ]]
    run -100 ptq plan gptq "${job[@]}" --hosts 2 --like been --gflops 50
}

@test "a config.json alone is planned, and on 1, 2, 4 hosts" {
    mkdir config-only
    cp "$M/config.json" config-only/
    run -0 --separate-stderr ptq plan --model config-only --tokens 8192 --length 1024 --chunk-tokens 1024 --cores 2 --hosts 4 --net 1G --gflops 50
    [[ $stderr == *"holds no weights: they are taken for BF16"* ]]
    [[ $output == *"hosts of 2 cores of 50 GF/s (f32), links of 1 Gbit/s, 8 lanes"* ]]
    # sums of a lane are as large whoever has it: of 8 lanes 4 come to the head from one worker, 6 from three
    [ "$(awk '/^ +[124] / { n[$1] = $8 } END { print (n[4] / n[2] > 1.49 && n[4] / n[2] < 1.51 && n[1] == 0) }' <<<"$output")" = 1 ]
    [[ $output != *"measured just now"* ]]
    run -0 ptq plan --model config-only --tokens 1024 --length 128 --hosts 1
    [[ $output == *"(the rate of a core was measured just now"*"--gflops sets it)"* ]]
    run -100 ptq plan --model config-only --net 1G
    [[ $output == *"--net, --gflops and --like go with --hosts" ]]
    run -100 ptq plan --model config-only --hosts 4 --net fast
    [ "${#lines[@]}" = 1 ] # before anything of the plan
    [[ $output == *"say bits a second"* ]]
}
