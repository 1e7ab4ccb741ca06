#!/bin/sh
# Tests of the dependencies between folders: a file may include only headers of its own folder and of folders below it.
# arrows.sh [LIBRARY [ROOT]]: LIBRARY is that of core, whose symbols are checked; ROOT is the tree, for
# tests/arrows_test.sh.
here=$(cd "$(dirname "$0")/.." && pwd)
library=${1:-build/release/libcellserve_core.a}
cd "${2:-$here}" || exit 1
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

# Print the includes in a folder that match a pattern.
includes() { # folder, pattern
    grep -rnE --include='*.[ch]' "#include \"($2)" "$1"
}

[ -f "$library" ] || library=$(ls build/*/libcellserve_core.a 2>/dev/null | head -1)
[ -n "$library" ] && check core_uses_no_json_http_threads_or_files \
    "$(nm -A -u "$library" | grep -E ' U (json_|MHD_|pthread_|fopen|fclose|fread|fwrite|open$|read$|write$|printf$|fprintf|getenv|socket)' | head)"
check core_includes_no_jansson_or_threads "$(grep -rnE 'jansson\.h|pthread\.h|<stdio\.h>' --include='*.h' core)"
check core_includes_no_other_room "$(includes core '(\.\./)*(config|server)/')"
check core_vec_includes_numbers_alone "$(includes core/vec 'core/(cells|layers|model|graph|team)')"
check core_cells_includes_no_layers "$(includes core/cells 'core/(layers/|model|graph)')"
check core_layers_includes_no_model "$(includes core/layers 'core/(model|graph)\.h')"
check config_includes_no_server "$(includes config '(\.\./)*server/')"
check config_onnx_includes_no_torch "$(includes config/onnx 'config/(torch/|model\.h|weights\.h|settings\.h)')"
check config_files_includes_no_models "$(includes config/files 'config/(keras/|onnx/|torch/|model\.h|weights\.h|settings\.h)')"
check config_keras_includes_no_files "$(includes config/keras 'config/(files/|onnx/|torch/|model\.h|weights\.h|settings\.h)')"

check config_transform_includes_no_models "$(includes config/transform 'config/(keras/|torch/|model\.h|weights\.h|settings\.h)')"

# The folders of server/, from the highest to the lowest.
above=""
for folder in cli http api run session codec base; do
    [ -z "$above" ] || check "server_${folder}_includes_nothing_above" "$(includes "server/$folder" "(\.\./)*(server/)?($above)/")"
    above="$above${above:+|}$folder"
done
check json_is_parsed_by_json_memory_alone "$(grep -rnE 'json_load' --include='*.[ch]' server config | grep -vE '^config/json_memory\.[ch]')"
check server_files_lie_in_folders "$(find server -maxdepth 1 -name '*.[ch]')"
check only_server_http_includes_microhttpd "$(grep -rln 'microhttpd\.h' --include='*.[ch]' server core config | grep -v '^server/http/')"
check only_one_file_includes_cblas "$(grep -rln 'cblas\.h' --include='*.[ch]' server core config | grep -v '^core/vec/vec_openblas\.c$')"
exit $bad
