#!/bin/sh
# Measure how a busy process on one of two processors delays a request that two threads share: latencies without and
# with the process.
#   bench/neighbour.sh [BINARY]
set -eu
binary=${1:-$(dirname "$0")/../build/cellserve}
work=$(mktemp -d)
neighbour=
trap '[ -z "$neighbour" ] || kill "$neighbour" 2>/dev/null || true; rm -rf "$work"' EXIT
cat >"$work/model.json" <<'JSON'
{"class_name": "RNN", "config": {"cell": [{"class_name": "LSTMCell", "config": {"units": 256}},
                                          {"class_name": "LSTMCell", "config": {"units": 256}}]}}
JSON
# with 4 rows, the threads share the units of every step; with 32 rows, they share the rows
for batch in 4 32; do
    for state in undisturbed "beside a neighbour"; do
        if [ "$state" != undisturbed ]; then
            taskset -c 1 sh -c 'while :; do :; done' &
            neighbour=$!
        fi
        echo "batch $batch, $state: $(taskset -c 0,1 "$binary" bench "$work/model.json" --input-size 64 --batch $batch \
            --timesteps $((3200 / batch)) --threads 2 --seconds 20 --seconds 20 | grep latency)"
        [ -z "$neighbour" ] || { kill "$neighbour"; wait "$neighbour" 2>/dev/null || true; neighbour=; }
    done
done
