# SPDX-License-Identifier: Apache-2.0
# left - what a test that failed would leave behind, processes, sockets and spilled states, goes with it. Loaded by the scenes that
# start something beside themselves; a teardown of their own calls end_left.
export XDG_RUNTIME_DIR=$BATS_RUN_TMPDIR # where runs make their sockets; bats removes it

. "${BASH_SOURCE[0]%/*}/descendants.bash"

end_left() { # the jobs of this shell and what they have started
    local pid timer= all=()
    [ -z "${BATS_TEST_TIMEOUT:-}" ] || timer=$(jobs -p %1 2>/dev/null) # of bats: it ends by itself
    for pid in $(jobs -pr); do
        [ "$pid" = "$timer" ] || all+=("$pid" $(descendants "$pid"))
    done
    [ ${#all[@]} = 0 ] || kill -KILL "${all[@]}" 2>/dev/null || true
}

teardown() {
    end_left
}
