#!/bin/sh
# Measure this binary and its peers (ONNX Runtime, OpenVINO, oneDNN) on the same cases in one run, and print the ratios.
#   bench/peers/run.sh [BINARY] [CASES, such as C1,C4,C9] [SECONDS of each measurement]
# C1 to C8 are stacks of cells (compare.py), C9 and C10 models of several layers (graphs.py).
# The peers come from the Python package index into a virtual environment in PEERS_VENV (default: ~/.cache/cellserve-peers).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
binary=${1:-$here/../../build/cellserve}
venv=${PEERS_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/cellserve-peers}
if [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet numpy onnx onnxruntime openvino
    (cd "$venv" && bin/pip download --quiet --no-deps onednn-cpu-gomp==2023.2.0 onednn-devel-cpu-gomp==2023.2.0 &&
        for wheel in onednn*.whl; do python3 -m zipfile -e "$wheel" onednn; done)
    include=$(dirname "$(find "$venv/onednn" -path '*include/dnnl.h')")
    lib=$(dirname "$(find "$venv/onednn" -name libdnnl.so.3.2)")
    ln -sf libdnnl.so.3.2 "$lib/libdnnl.so" && ln -sf libdnnl.so.3.2 "$lib/libdnnl.so.3"
    gcc -O2 -w -shared -fPIC "$here/onednn_shim.c" -o "$venv/libshim.so" -I"$include" -L"$lib" -ldnnl -Wl,-rpath,"$lib"
    touch "$venv/ready"
fi
cases=$(echo "${2:-C1,C2,C3,C4,C5,C6,C7,C8,C9,C10}" | tr , '\n')
stacks=$(echo "$cases" | grep -vxE 'C9|C10' | paste -sd, || true)
graphs=$(echo "$cases" | grep -xE 'C9|C10' | paste -sd, || true)
[ -z "$stacks" ] || DNNL_SHIM=$venv/libshim.so "$venv/bin/python" "$here/compare.py" "$binary" "$stacks" "${3:-1}"
[ -z "$graphs" ] || "$venv/bin/python" "$here/graphs.py" "$binary" "$graphs" 5 "${3:-1}"
