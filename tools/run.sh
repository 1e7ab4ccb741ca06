#!/bin/sh
# Serve the demo models, with lines to try them.
set -eu
cd "$(dirname "$0")/.."
port=${CELLSERVE_PORT:-${PORT:-8080}}
cat <<TEXT

Two trained models as Keras saved them, and the example of Keras's StackedRNNCells documentation.
Try them from another terminal:

  curl -s http://127.0.0.1:$port/predict -d @demo/digits/request.json     a handwritten 0: the first and largest of ten probabilities
  curl -s http://127.0.0.1:$port/predict -d @demo/sunspots/request.json   next year's sunspots: value * 34.061 + 43.727
  curl -s http://127.0.0.1:$port/predict -d @demo/seed/request.json       two LSTMCell(128), batch 3

Ctrl-C ends the server.

TEXT
exec "$1" serve --config demo/cellserve.json
