#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# metrics.bats - a run that is scraped: the page is what Prometheus reads, says what the run does, and goes with it.
bats_require_minimum_version 1.5.0
load bounds.bash

load model.bash

setup_file() {
    narrow_model "$BATS_FILE_TMPDIR/model" 6
}

setup() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model
    cd "$BATS_TEST_TMPDIR"
}

job() { # MORE...
    exec ptq run gptq --model "$M" --data "$M/calib.jsonl" --out out --tokens 512 --length 128 --chunk-tokens 128 --group 64 --solve.fault delay:60 "$@" # each solution takes a while
}

get() { # METHOD PATH: what the server at $port answers
    exec 5<>"/dev/tcp/127.0.0.1/$port"
    printf '%s %s HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n' "$1" "$2" >&5
    cat <&5 | tr -d '\r'
    exec 5>&-
}

# The text format, version 0.0.4: help and type of a family before its samples, each family once, each sample once, the sample's name
# that of the family, labels quoted, a number; the last line ends too.
exposition() {
    awk '
        function bad(why) { print NR ": " why ": " $0; broken = 1 }
        /^# HELP [a-z_:]+ .+$/ { if ($3 in helped) bad("help twice"); helped[$3] = 1; next }
        /^# TYPE [a-z_:]+ (counter|gauge)$/ { if ($3 in typed) bad("type twice"); if (!($3 in helped)) bad("type without help")
            typed[$3] = 1; family = $3; counter = $4 == "counter"; if (counter != (family ~ /_total$/)) bad("name and type"); next }
        /^[a-z_:]+(\{[a-z]+="([^"\\]|\\[\\"n])*"(,[a-z]+="([^"\\]|\\[\\"n])*")*\})? -?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?$/ {
            name = $0; sub(/[{ ].*/, "", name); key = $0; sub(/ [^ ]*$/, "", key)
            if (name != family) bad("sample outside its family"); if (key in seen) bad("sample twice")
            seen[key] = 1; next }
        { bad("no line of the format") }
        END { if (!length(seen)) bad("no samples"); exit broken }'
}

@test "a run says by HTTP how far it is, in the format of Prometheus, and no longer than it lasts" {
    job --metrics 127.0.0.1:0 >log 2>&1 3>&- &
    runner=$!
    until_true grep -q 'metrics: http://127.0.0.1:[0-9]*/metrics' log
    port=$(sed -n 's|.*metrics: http://127.0.0.1:\([0-9]*\)/metrics|\1|p' log)
    until_true test -e out/.ptqflow/parts/00002.ptq
    kill -STOP $(pgrep -P "$runner" -f ptq-solve) # so that it lasts until it was looked at
    get GET /metrics >page
    get GET / >none
    get POST /metrics >refused
    kill -CONT $(pgrep -P "$runner" -f ptq-solve)
    grep -q '^HTTP/1.1 200 ' page
    grep -qi '^content-type: text/plain; version=0.0.4' page
    sed '1,/^$/d' page >text
    exposition <text
    sites=$(sed -n 's/^ptq_sites_done //p' text)
    [ "$sites" -ge 1 ]
    [ "$(sed -n 's/^ptq_sites //p' text)" -ge "$sites" ]
    grep -q '^ptq_processes{stage="solve",state="at work"} 1$' text
    [ "$(awk '/^ptq_process_tokens\{stage="forward"/ { n += $2 } END { print n }' text)" -gt 0 ]
    [ "$(awk '/^ptq_process_received_bytes_total\{stage="reduce"/ { print $2 }' text)" -gt 0 ]
    grep -q '^ptq_process_queue_messages{stage="reduce",process="reduce"} ' text
    grep -q '^HTTP/1.1 404 ' none
    grep -q '^HTTP/1.1 405 ' refused
    wait "$runner"
    run ! bash -c "exec 5<>/dev/tcp/127.0.0.1/$port"
}

@test "an address that cannot be served ends the run before it starts; a killed ptq-metrics does not" {
    run -100 job --metrics nowhere
    [[ $output == *"say ADDRESS:PORT"* ]]
    run -100 job --metrics 0.0.0.0:0
    [[ $output == *"more than loopback"* ]]
    run -100 job --metrics 127.0.0.1:99999
    [[ $output == *"a port is a number up to 65535"* ]]
    run -100 ptq metrics 127.0.0.1:0
    [[ $output == *"say which run"* ]]
    run -100 ptq metrics --out "$PWD/none" 127.0.0.1:0
    [[ $output == *"no run is going on"* ]]
    [ ! -e out ]
    job --metrics '[::1]:0' >log 2>&1 3>&- &
    runner=$!
    until_true grep -q 'metrics: http' log
    scraper=$(pgrep -P "$runner" -f ptq-metrics)
    kill -KILL "$scraper"
    wait "$runner"
    [ -e out/config.json ]
}

@test "a ptq-metrics that is stopped does not keep a run from its end" {
    job --solver rtn --metrics 127.0.0.1:0 >log 2>&1 3>&- &
    runner=$!
    until_true grep -q 'metrics: http' log
    kill -STOP $(pgrep -P "$runner" -f ptq-metrics)
    wait_code "$runner" 0
    grep -q 'ptq-metrics does not end, and is killed' log
    [ -e out/config.json ]
}
