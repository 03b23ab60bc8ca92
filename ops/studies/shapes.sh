# SPDX-License-Identifier: Apache-2.0
# shapes.sh - what the studies of shapes-vlm share; read by vlm.sh and tlq.sh, which have set `name`, `results`, `shapes`, `tokens`, `seconds`,
# and bring run_cell. A cell is one grid, method and seed: quantize, then answer the questions. It becomes one line of
# $results/cells.jsonl when it is done, and stays as long as model, data and budget are the same (`key`).
cells=$results/cells.jsonl
began=$(date +%s)
mkdir -p "$results" build/bench
[ -f "$cells" ] || : >"$cells"
work=$(mktemp -d "build/bench/$name.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 111' INT TERM HUP
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)

needs() { # FILE...
    for needed in "$@"; do
        [ -f "$needed" ] || { echo "$name.sh: there is no '$needed': PTQ_SHARED names the folder of the data" >&2; exit 100; }
    done
}
cpu() { # COMMAND...: runs it, and leaves the CPU seconds of it and its children in $work/cpu
    times >"$work/before" # of this shell: a pipe would show those of its own
    "$@" || return 1
    times >"$work/after"
    tail -qn 1 "$work/before" "$work/after" | tr 'ms' '  ' |
        awk '{ s = $1 * 60 + $2 + $3 * 60 + $4; d = NR == 1 ? s : s - d } END { printf "%.2f", d }' >"$work/cpu"
}
# The seed shuffles the chats (Park and Miller's generator, so the same everywhere).
shuffled() { # SEED
    [ -f "$work/chats-$1.jsonl" ] || jq -nRr --argjson seed "$1" --arg from "$(cd "$shapes" && pwd)/calib/" '[ inputs ] as $lines |
        [ limit(($lines | length) + 9; $seed * 65539 | recurse(. * 16807 % 2147483647)) ][9:] as $keys |
        [ range($lines | length) ] | sort_by($keys[.]) | .[] | $lines[.] | gsub("\"path\": \""; "\"path\": \"" + $from)' \
        "$shapes/calib/calib.jsonl" >"$work/chats-$1.jsonl"
    echo "$work/chats-$1.jsonl"
}
evaluate() { # MORE...: the answers of $work/out
    "$bin/ptq" eval --quiet --model "$work/out" --data "$shapes/eval/eval.jsonl" --answers --ref "$shapes" \
        --ref-states "$work/states.safetensors" --json "$@" 2>"$work/said" >"$work/eval.json"
}
write_cell() { # GRID METHOD SEED
    jq -n --arg grid "$1" --arg method "$2" --argjson seed "$3" --argjson tokens "$tokens" --arg key "$key" --arg commit "$commit" \
        --argjson cpu_seconds "$(cat "$work/cpu")" --slurpfile eval "$work/eval.json" \
        --slurpfile sites "$work/out/.ptqflow/journal.jsonl" '
        [ $sites[] | select(.record == "site") ] as $sites |
        def sum_of(name): [ $sites[].classes[]? | select(.name == name) ];
        $ARGS.named | del(.eval, .sites) + {
            exact: $eval[0].exact_match, exact_se: $eval[0].exact_match_se, logprob: $eval[0].answer_logprob,
            logprob_se: $eval[0].answer_logprob_se, kld: $eval[0].kld_mean, kld_se: $eval[0].kld_mean_se, questions: $eval[0].windows,
            text_tokens: (sum_of("text")[0].tokens // 0), image_tokens: (sum_of("image")[0].tokens // 0) }' >"$work/cell.json"
}
turn() { # GRID METHOD SEED: does the cell unless it is done
    [ "$(jq -r --arg g "$1" --arg m "$2" --argjson s "$3" 'select(.grid == $g and .method == $m and .seed == $s) | .key' "$cells")" != "$key" ] || return 0
    now=$(($(date +%s) - began))
    [ "$seconds" = 0 ] || [ $now -lt "$seconds" ] || { stopped=yes; return 0; }
    cpu run_cell "$@" || { echo "$name.sh: $1 $2 seed $3: $(tail -n 1 "$work/said")" >&2; exit 1; }
    write_cell "$@"
    jq -cs 'last as $new | (.[:-1] | map(select([.grid, .method, .seed] != ($new | [.grid, .method, .seed])))) + [$new] |
        sort_by(.grid, .method, .seed)[]' "$cells" "$work/cell.json" >"$work/cells.new"
    mv "$work/cells.new" "$cells"
    jq -r --arg at "$now" '"\($at) s: \(.grid) \(.method) seed \(.seed): right \(.exact), log-likelihood \(.logprob), KL \(.kld)"' "$work/cell.json" >&2
}
each_cell() { # GRIDS METHODS SEEDS ONCE: methods of ONCE do not depend on data
    stopped= seed=1
    while [ "$seed" -le "$3" ] && [ -z "$stopped" ]; do
        for grid in $1; do
            for method in $2; do
                case " $4 $seed" in *" $method "*[!1]) continue ;; esac
                [ -n "$stopped" ] || turn "$grid" "$method" "$seed"
            done
        done
        seed=$((seed + 1))
    done
    [ -z "$stopped" ] || echo "stopped after $(($(date +%s) - began)) s; the same command goes on" >&2
}
