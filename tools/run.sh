#!/bin/sh
# Serve the demo model, with a line to try it.
set -eu
cd "$(dirname "$0")/.."
port=${CELLSERVE_PORT:-${PORT:-8080}}
cat <<TEXT

The example of Keras's StackedRNNCells documentation: two LSTMCell(128) stacked, batch 3, 5 timesteps, 2 features.
Try it from another terminal:

  curl -s http://127.0.0.1:$port/predict -d @demo/seed/request.json

Ctrl-C ends the server.

TEXT
exec "$1" serve --config demo/cellserve.json
