#!/bin/sh
# The arrows between the rooms, as tests: core's objects use no JSON, HTTP, threads or files; only http.c knows
# libmicrohttpd; nothing points back.
cd "$(dirname "$0")/.." || exit 1
bad=0

check() { # name, offending lines
    echo "[ RUN      ] $1"
    if [ -n "$2" ]; then
        echo "$2"
        echo "[  FAILED  ] $1"
        bad=1
    else
        echo "[       OK ] $1"
    fi
}

library=${1:-build/release/libcellserve_core.a}
[ -f "$library" ] || library=$(ls build/*/libcellserve_core.a | head -1)
check core_uses_no_json_http_threads_or_files \
    "$(nm -A -u "$library" | grep -E ' U (json_|MHD_|pthread_|fopen|fclose|fread|fwrite|open$|read$|write$|printf$|fprintf|getenv|socket)' | head)"
check only_http_includes_microhttpd "$(grep -ln 'microhttpd\.h' server/*.[ch] core/*.[ch] core/*/*.[ch] config/*.[ch] | grep -v '^server/http\.c$')"
check only_one_file_includes_cblas "$(grep -ln 'cblas\.h' server/*.[ch] core/*.[ch] core/*/*.[ch] config/*.[ch] | grep -v '^core/vec/vec_openblas\.c$')"
check core_includes_no_other_room "$(grep -nE '#include "(\.\./)*(config|server)/' core/*.[ch] core/*/*.[ch])"
check config_includes_no_server "$(grep -nE '#include "(\.\./)*server/' config/*.[ch])"
check json_is_parsed_by_json_memory_alone "$(grep -nE 'json_load' server/*.c config/*.c | grep -vE '^config/json_memory\.c')"
check core_includes_no_jansson "$(grep -nE 'jansson\.h|pthread\.h|stdio\.h' core/*.h core/*/*.h core/vec/*.c)"
exit $bad
