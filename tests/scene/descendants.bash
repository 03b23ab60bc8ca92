# SPDX-License-Identifier: Apache-2.0
descendants() { # PID: those it has started, and those they have
    local pid
    for pid in $(pgrep -P "$1"); do
        echo "$pid"
        descendants "$pid"
    done
}
