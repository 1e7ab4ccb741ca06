#!/bin/sh
# Forecast sunspots of the 11 years after 1984 to 2007: forecast.sh [URL]. The model's outputs become its next inputs.
# The forecast is one request, or with "session" as second argument a request for each year: the states stay on the
# server.
set -eu
cd "$(dirname "$0")"
url=${1:-http://127.0.0.1:8080}
# from {"…, "outputs": [[[0.1],[0.2]]]} to one number a line
outputs() { sed 's/.*"outputs": //' | tr -d '[]}' | tr ',' '\n'; }
# of each year
table() { awk '{printf "  %d  %5.1f\n", 2007 + NR, $1 < 0 ? 0 : $1}'; }

rolled_out() { curl -sSf "$url/predict" -d @rollout.json | outputs; }

year_by_year() {
    session=sunspots-$$
    # the input of step 0 is the 24 years, that of later steps the previous output; a repeated step is applied once
    years=$(sed 's/.*"instances": \(\[.*\]\), "rollout.*/\1/' rollout.json)
    for step in 0 1 2 3 4 5 6 7 8 9 10; do
        value=$(curl -sSf "$url/predict" -d "{\"model\": \"sunspots\", \"session\": \"$session\", \"step\": $step, \"instances\": $years, \"return_state\": false}" | outputs)
        echo "$value"
        years="[[[$value]]]"
    done
    curl -sSf -X DELETE "$url/sessions/$session" >/dev/null
}

if [ "${2:-}" = session ]; then year_by_year | table; else rolled_out | table; fi
