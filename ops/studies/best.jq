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
"# What `ptq run best` makes of \($first.model), \($first.tokens) calibration tokens",
"",
"Made by `make bench-best` (ops/studies/best.sh says what it can be told); do not edit. Beside it, of `methods.md`, all single methods at the same tokens, seeds and",
"texts, measured alike. KL: from the unquantized model, nats a token, in brackets the standard deviation over the seeds. CPU s: of the run, and of the trials",
"before it, with their judgements.",
"",
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
($cells | group_by(.grid)[] | .[0].grid as $grid | . as $here | ($here | map(.seed)) as $seeds |
    ([ $others[] | select(.grid == $grid and .method != "best" and (.seed as $s | $seeds | index($s))) ] | group_by(.method) |
        map({ method: .[0].method, kld: map(.wiki.kld) }) | sort_by(.kld | mean) | .[0]) as $top |
    if $top == null then empty else
        (($here | map(.kld) | deviation) // $here[0].kld_se) as $x | (($top.kld | deviation) // 0) as $y | ($x * $x + $y * $y | sqrt) as $doubt |
        (($here | map(.kld) | mean) - ($top.kld | mean)) as $more |
        "\($grid): against the best single method, \($top.method): KL \(if $more < 0 then "" else "+" end)\($more | short), spread \($doubt | short): " +
        (if $more > $doubt then "**worse by more than the spread**" else "not worse by more than the spread" end) + "." end),
""
