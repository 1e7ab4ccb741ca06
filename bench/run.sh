#!/bin/sh
# Measure the demo model: the computation alone, and a request over HTTP (its parts in the server, and its time for the
# client).
set -eu
cd "$(dirname "$0")/.."
binary=$1
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
echo "== this machine"
"$binary" bench --limits --threads "$(nproc)"
echo "== compute alone: the seed example (batch 3, 5 timesteps, 2 x LSTM(128))"
"$binary" bench demo/seed --batch 3 --timesteps 5
echo "== one sequence of 100 timesteps"
"$binary" bench demo/seed --batch 1 --timesteps 100
echo "== a batch of 32 sequences of 100 timesteps, 64 features, 2 x LSTM(256)"
cat >"$work/lstm256.json" <<'JSON'
{"class_name": "RNN", "config": {"cell": [{"class_name": "LSTMCell", "config": {"units": 256}},
                                          {"class_name": "LSTMCell", "config": {"units": 256}}]}}
JSON
"$binary" bench "$work/lstm256.json" --input-size 64 --batch 32 --timesteps 100
for batch in 1 32; do
    echo "== a CNN-LSTM, batch $batch (bench/peers/c9.json)"
    "$binary" bench bench/peers/c9.json --batch "$batch" --timesteps 60
    echo "== Bidirectional LSTM with attention, batch $batch (bench/peers/c10.json)"
    "$binary" bench bench/peers/c10.json --batch "$batch" --timesteps 30
done
echo "== the seed example over HTTP, one client after the other on one worker (from its log)"
"$binary" serve demo/seed --port 0 --workers 1 --log json 2>"$work/log" &
server=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    url=$(sed -n 's/.*is ready at \(http:[^ ]*\).*/\1/p' "$work/log")
    [ -z "$url" ] || break
    sleep 0.1
done
echo "data = @demo/seed/request.json" >"$work/curl"
seq 500 | sed "s|.*|url = $url/predict\noutput = /dev/null|" >>"$work/curl"
curl -s -K "$work/curl"
kill -INT "$server"
wait "$server" || true
median() {
    sed -n "s/.*\"path\": \"\/predict\".*\"$1\": \([0-9]*\).*/\1/p" "$work/log" | sort -n | awk '{a[NR] = $1} END {print a[int((NR + 1) / 2)]}'
}
for part in queue_us decode_us compute_us encode_us total_us; do
    echo "$part median $(median $part)"
done
echo "== sigmoid and tanh over all 2^32 inputs"
CELLSERVE_TEST_ULP=1 build/release/tests/unit/core/vec/test_vec | grep 'tanh .* ulp, sigmoid'
