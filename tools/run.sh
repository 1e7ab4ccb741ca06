#!/bin/sh
# Serve the demo models. First print commands to try them; when the server is ready, show a forecast.
set -eu
cd "$(dirname "$0")/.."
port=${CELLSERVE_PORT:-${PORT:-8080}}
url=http://127.0.0.1:$port
cat <<TEXT

Three trained models as Keras saved them, and the example of Keras's StackedRNNCells documentation.
Try them from another terminal:

  curl -s $url/predict -d @demo/digits/request.json     a handwritten 0, by its label
  curl -s $url/predict -d @demo/sunspots/request.json   next year's sunspots
  curl -s $url/predict -d @demo/sunspots/rollout.json   those of 11 years, each from the year before
  demo/sunspots/forecast.sh $url                        the same as a table
  demo/sunspots/forecast.sh $url session                the same in a session, year by year
  curl -sN $url/predict -H 'Accept: text/event-stream' -d @demo/sunspots/rollout.json   as a stream
  curl -s $url/predict -d @demo/language/request.json   the languages of three texts
  curl -s $url/predict -d @demo/seed/request.json       two LSTMCell(128), batch 3

Ctrl-C ends the server.

TEXT
(
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.5
        curl -sf "$url/readyz" >/dev/null 2>&1 || continue
        echo "Sunspots, 11 years rolled out from 1984 to 2007:"
        demo/sunspots/forecast.sh "$url"
        break
    done
) &
exec "$1" serve --config demo/cellserve.json
