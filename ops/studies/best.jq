# SPDX-License-Identifier: Apache-2.0
# tests/bench/best.md from the cells of best.sh (an array) of one model; $methods: those of methods.sh of the same.
def mean: add / length;
def deviation: if length < 2 then null else mean as $m | (map((. - $m) * (. - $m)) | add / (length - 1) | sqrt) end;
def short: . * 100000 | round / 100000 | tostring;
def spread: (mean | short) + (deviation | if . == null then "" else " (" + short + ")" end);
# What each search kept, from its table of trials.
def kept: .note | [ split("\n")[] | select(test("\\| kept \\|$")) | split("|")[1] | ltrimstr(" ") | rtrimstr(" ") ] |
    if length == 0 then "nothing new" else join(" + ") end;
. as $cells | .[0] as $first |
($methods | map(select((.failed | not) and .wiki.kld != null and .in_table))) as $others |
# Two lists, with the seeds that both have.
def alike($a; $b): ($a | map(.seed)) as $x | ($b | map(.seed)) as $y |
    [ ($a | map(select(.seed as $s | $y | index($s)))), ($b | map(select(.seed as $s | $x | index($s)))) ];
# The command that makes them.
def command: if .model == "tale-qwen3" and .tokens == 32768 then "make bench-best" else
    ["PTQ_BENCH_MODEL=\(.model)", "PTQ_BENCH_DATA=\(.data // "...")", "PTQ_BENCH_WIKI=\(.text // "...")", "PTQ_BENCH_TOKENS=\(.tokens)", "PTQ_BENCH_PRODUCTS=\(.products)",
     "PTQ_BENCH_WINDOW=\(.window)", "PTQ_BENCH_WINDOWS=\(.windows)", (if .held then "PTQ_BENCH_HELD=\(.held)", "PTQ_BENCH_BUDGET=\(.budget)" else empty end), "make bench-best"] | join(" ") end;
"## \($first.model), \($first.tokens) calibration tokens",
"",
"Made by `\($first | command)`.",
"",
(if $first.windows then "Judged on \($first.windows) windows of \($first.window)" + (if $first.products == "f32" then "." else "; runs and judgement with `--products \($first.products)`." end), "" else empty end),
"| grid | method | KL | dNLL | seeds | CPU s |",
"|---|---|---|---|---|---|",
($cells | group_by(.grid)[] | .[0].grid as $grid | . as $here | ($here | map(.seed)) as $seeds |
    ([ $others[] | select(.grid == $grid and .method != "best" and (.seed as $s | $seeds | index($s))) ] | group_by(.method) |
        map({ method: .[0].method, kld: map(.wiki.kld), dnll: map(.wiki.dnll), cpu: (map(.cpu_seconds) | mean) }) | sort_by(.kld | mean)) as $single |
    "| \($grid) | **best** | \($here | map(.kld) | spread) | \($here | map(.dnll) | mean | short) | \($here | length) | \($here | map(.cpu_seconds) | mean | round) + \($here | map(.trials) | mean | round) |",
    ($single[:4][] | "| \($grid) | \(.method) | \(.kld | spread) | \(.dnll | mean | short) | \(.kld | length) | \(.cpu | round) |")),
"",
"What was kept: " + ($cells | sort_by(.grid, .seed) | map("\(.grid) seed \(.seed): \(kept)") | join("; ")) + ".",
"",
($cells | group_by(.grid)[] | .[0].grid as $grid | . as $here |
    [ $others | map(select(.grid == $grid and .method != "best")) | group_by(.method)[] | alike($here; .) | select(.[0] | length > 0) |
        { method: .[1][0].method, seeds: (.[0] | length), best: (.[0] | map(.kld)), kld: (.[1] | map(.wiki.kld)), se: .[0][0].kld_se } |
        . + { more: ((.best | mean) - (.kld | mean)) } ] as $pairs |
    if ($pairs | length) == 0 then empty else
        ($pairs | max_by(.more)) as $top |
        (($top.best | deviation) // $top.se) as $x | (($top.kld | deviation) // 0) as $y | ($x * $x + $y * $y | sqrt) as $doubt |
        "\($grid): against the best single method, \($top.method)\(if $top.seeds < ($here | length) then " (seeds of both: \($top.seeds))" else "" end): KL " +
        "\(if $top.more < 0 then "" else "+" end)\($top.more | short), spread \($doubt | short): " +
        (if $top.more > $doubt then "**worse by more than the spread**" else "not worse by more than the spread" end) + "." end),
""
