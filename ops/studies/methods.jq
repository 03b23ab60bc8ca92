# SPDX-License-Identifier: Apache-2.0
# ops/studies/methods.md from the cells of methods.sh (an array); $methods, $study: what is to be there; $best: who competes in best.
def fixed($n): if . == null or isnan then "-" else (. * pow(10; $n) | round | if . == 0 then 0 else . end) as $i | ($i | if . < 0 then -. else . end | tostring) as $d |
    (if $i < 0 then "-" else "" end) + (if $n == 0 then $d else
    (if ($d | length) > $n then $d else ("0000000" + $d)[-($n + 1):] end) as $p | $p[:-$n] + "." + $p[-$n:] end) end;
def digits: if . == null then "-" elif . < 0.01 then fixed(5) elif . < 1 then fixed(4) elif . < 100 then fixed(2) else fixed(0) end;
def mean: add / length;
# The sample's standard deviation; null with one value.
def deviation: if length < 2 then null else mean as $m | (map((. - $m) * (. - $m)) | add / (length - 1) | sqrt) end;
def spread: map(select(. != null)) | if length == 0 then "-" else (mean | digits) + (deviation | if . == null then "" else " (" + digits + ")" end) end;
# Failed ones and those whose outputs are not finite do not count.
def good: map(select((.failed | not) and .wiki.kld != null));
def kld: map(.wiki.kld) | mean;
# How far apart two means may lie by chance: from the seeds, or from the windows where there is only one seed.
def kld_doubt: map(.wiki.kld) as $v | ($v | deviation) // (map(.wiki.kld_se) | mean);
def of($method): map(select(.method == $method)) | good;
# Both only with the seeds that both have; two empty arrays where there is none.
def shared($a; $b): ($a | map(.seed)) as $x | ($b | map(.seed)) as $y |
    [ ($a | map(select(.seed as $s | $y | index($s)))), ($b | map(select(.seed as $s | $x | index($s)))) ];
def row($method; $text):
    map(select(.method == $method)) as $all | ($all | good) as $c | of("gptq") as $base |
    if ($all | length) == 0 then "| \($text) | not run yet | | | | | | | | |"
    elif ($c | length) == 0 then "| \($text) | failed: \($all[0].failed // "its outputs are not finite" | gsub("\\|"; "/")) | | | | | | | | |"
    else "| \($text) | \($c | map(.wiki.perplexity) | spread) | \($c | map(.wiki.dnll) | mean | fixed(4)) ± \($c | map(.wiki.dnll_se) | mean | fixed(4)) | " +
        "\($c | map(.c4.perplexity) | spread) | \($c | map(.wiki.kld) | spread) ± \($c | map(.wiki.kld_se) | mean | digits) | " +
        (shared($c; $base) | if (.[0] | length) == 0 then "-" else (.[0] | kld) / (.[1] | kld) | fixed(2) end) +
        " | \($c | length) | \($c[0].sequences) | \($c | map(.ess) | mean | fixed(0)) | \($c | map(.cpu_seconds) | mean | fixed(1)) |" end;
def head: "| method | perplexity | dNLL ± se | C4 ppl | KL ± se | KL / gptq | seeds | rows | ESS | CPU s |\n|---|---|---|---|---|---|---|---|---|---|";
def best_says($members): of("best") as $b |
    [ $members[] as $m | shared($b; of($m)) | select(.[0] | length > 0) ] as $pairs |
    if ($b | length) == 0 then "`best` has not been run."
    elif ($pairs | length) == 0 then "No member of `best` has been run with its seeds."
    else ($pairs | max_by((.[0] | kld) - (.[1] | kld))) as [$b, $m] |
        (($b | kld_doubt) as $x | ($m | kld_doubt) as $y | ($x * $x + $y * $y | sqrt)) as $doubt | (($b | kld) - ($m | kld)) as $more |
        ($b | map(.solvers) | map(to_entries[]) | group_by(.key) | map("\(.[0].key) \(map(.value) | add)") | join(", ")) as $won |
        "`best` against its best member, \($m[0].method): KL \(if $more < 0 then "" else "+" end)\($more | fixed(4)), spread \($doubt | fixed(4)): " +
        (if $more > $doubt then "**WORSE THAN ITS BEST MEMBER BY MORE THAN THE SPREAD**" else "not worse by more than the spread" end) +
        "; sites won: \($won)." end;
def unhelpful: of("gptq") as $base |
    [ group_by(.method)[] | good | select(length > 0) | select(.[0].method as $m | ["rtn", "gptq"] | index($m) | not) | . as $c |
        shared($c; $base) | select(.[0] | length > 0) | select((.[0] | kld) > (.[1] | kld)) | .[0][0].method ] |
    if length == 0 then "" else "\nNo better than `gptq` in KL here: \(join(", "))." end;
def title: { "w4-channel": "4 bits, one scale a row", "w3-g64": "3 bits, groups of 64", "w2-g64": "2 bits, groups of 64", "w4-g64": "4 bits, groups of 64" }[.];
def study_label: if test("-first") then (capture("(?<row>.*)-first(?<weight>.*)") | "\(.row | study_label), first token of a row times \(.weight)") else . end | { "gptq": "2048", "gptq-mix": "MaCa's mix, tokens count alike", "maca": "MaCa's mix, 1/L",
    "gptq-512w": "512, 1/L (a check: one seed)" }[.] // ltrimstr("gptq-");
def missing($want): . as $cells | [ $want[] | select(. as $w | $cells | any(.grid == $w[0] and .method == $w[1] and .seed == $w[2]) | not) ] |
    group_by(.[0]) | map("\(.[0][0]): \(map(.[1]) | join(", "))");

($methods | split(" ")) as $methods | [ $study | splits("\\s+") ] as $study | ($best | split(",")) as $members |
# whole: all that the table is to have; else (another number of tokens, cells that were chosen) only what there is.
def section($whole): . as $cells |
    "## \(.[0].model), \(.[0].tokens) calibration tokens", "",
    ($cells | good | if length == 0 then empty else "Unquantized: perplexity \(.[0].wiki | .perplexity * (-.dnll | exp) | fixed(2))" +
        (if .[0].c4 then ", C4 \(.[0].c4 | .perplexity * (-.dnll | exp) | fixed(2))" else "" end) + "." +
        (if (.[0].products // "f32") == "f32" then "" else " Runs and measurements with `--products \(.[0].products)`; \(.[0].wiki.predictions) predictions." end) end), "",
    (("w3-g64", "w4-channel", "w2-g64") as $grid | ($cells | map(select(.grid == $grid and (.method as $m | $methods | index($m))))) as $here |
        if $whole then "### \($grid | title)", "", head, ($methods[] as $m | $here | row($m; $m)), "", ($here | best_says($members) + unhelpful), ""
        elif $here | any(.method == "qronos") then "### \($grid | title)", "", head, ($methods[] as $m | select($here | any(.method == $m)) | $here | row($m; $m)), "" else empty end),
    (($cells | map(select(.grid == "w4-g64" and .in_table))) as $here |
        if $here | any(.method == "qronos") then "### \("w4-g64" | title)", "", head,
            ($methods[] as $m | select($here | any(.method == $m)) | $here | row($m; $m)), "" else empty end),
    (if $whole or ($cells | any(.method == "qronos") | not) then "### Length of the rows, gptq", "",
    (if $whole then "At equal tokens. With one length 1/L is the same factor on every token and changes nothing; one cell, seed 1, checks that.",
        "The last rows change nothing but the weight of the first token of each row: rows of 128 whose first tokens weigh together what those of rows of 2048 do (1/16),",
        "rows of 2048 whose first tokens weigh what those of rows of 128 do (16), and none at all. lengths.md says what comes of it.", "" else empty end),
    (("w3-g64", "w4-g64") as $grid | ($cells | map(select(.grid == $grid and (.method as $m | $study | index($m))))) as $here |
        "#### \($grid | title)", "", (head | sub("method"; "rows of")),
        ($study[] as $m | select($whole or ($here | any(.method == $m))) | $here | row($m; $m | study_label)), "") else empty end),
    ([ ("w3-g64", "w4-channel", "w2-g64") as $g | $methods[] | [ $g, ., 1 ] ] + [ ("w3-g64", "w4-g64") as $g | $study[] | [ $g, ., 1 ] ] | unique) as $want |
    (if $whole then ($cells | good | missing($want)) as $not | ($not | if length == 0 then "Every method has been run with at least one seed." else
        "**Not run yet:** \(join("; "))." end), "" else empty end),
    "Cells: \($cells | good | length). Made by: \($cells | good | group_by([.commit, .cpu, .kernel]) |
        map("\(length) at commit \(.[0].commit) on \(.[0].cpu), \(.[0].kernel)") | join("; "))." , "";

"# What the calibration methods make of a model",
"",
"Made by `make bench-methods` (ops/studies/methods.sh says what it can be told); do not edit.",
"",
"Every row is a run of its own. The seed shuffles the calibration documents; the first tokens of them, joined, are cut into rows of \(map(.length // empty) |
unique | map(tostring) | join(" or ")) tokens",
"(MaCa: of 256 to 4096), so at one seed all methods see the same text. Symmetric grids from the whole range, columns by activation order, damping 0.01, each solver with its default options. `maca`: mixed lengths, each token weighted 1/L. `rotated`: gptq on the",
"checkpoint that `ptq rotate` makes (f32). `rsq`: the same with attention as token weights. `best`: best:\($best), judged on every eighth chunk of the",
"same budget; the winner then solves again from all chunks (--refit). `foem` without the full-precision stream.",
"",
"perplexity: of the quantized model on the evaluation text (bundled model: eval.jsonl, windows of 1024; others: WikiText-2, six windows of 2048; C4: four of",
"2048). dNLL: nats more than the unquantized model, with the standard error over windows, which are the same for all rows. KL: from the unquantized model, nats a token.",
"In brackets: standard deviation over the seeds. rows: sequences summed. ESS: effective sample size in tokens, (sum w)^2 / sum w^2, median over sites.",
"CPU s: of the quantization alone, all processes, on a machine that others used too. rtn does not depend on the seed; other rows",
"with fewer seeds than three have not been run with the rest yet. The bundled model's texts were sampled from itself.",
"",
(if all(.model == "tale-qwen3") then "**Not run yet:** any model but the bundled one (`PTQ_BENCH_MODEL` and its texts, as SmolLM2-135M).", "" else empty end),
(group_by(.model)[] | group_by(.tokens) | (map(length) | max) as $most | .[] | section(length == $most))
