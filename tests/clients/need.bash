# SPDX-License-Identifier: Apache-2.0
# need.bash - which Python has an engine: PTQ_CLIENT_PYTHON names one, or several with ':' between them.

need() { # ENGINE: $python has it, or the test is skipped with the reason
    local p why= pythons
    IFS=: read -ra pythons <<<"${PTQ_CLIENT_PYTHON:-python3}"
    for p in "${pythons[@]}"; do
        if why=$("$p" "$BATS_TEST_DIRNAME/client.py" has "$1" 2>&1); then
            python=$p
            return
        fi
    done
    skip "${why:-no $p here}"
}
