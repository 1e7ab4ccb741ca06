#!/bin/sh
# Checks that tests/arrows.sh finds an include of a higher folder: one try for each folder, in a copy of the tree.
cd "$(dirname "$0")/.." || exit 1
bad=0
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r core config server "$copy"

try() { # folder, header of a folder above it, the check that must fail
    name="an_arrow_from_$(echo "$1" | tr / _)_upwards_is_found"
    echo "[ RUN      ] $name"
    echo "#include \"$2\"" >"$copy/$1/upwards.c"
    if tests/arrows.sh none "$copy" | grep -q "^\[  FAILED  \] $3$"; then
        echo "[       OK ] $name"
    else
        echo "[  FAILED  ] $name"
        bad=1
    fi
    rm "$copy/$1/upwards.c"
}

try core server/base/clock.h core_includes_no_other_room
try core/vec core/layers/layer.h core_vec_includes_numbers_alone
try core/cells core/layers/layer.h core_cells_includes_no_layers
try core/layers core/graph.h core_layers_includes_no_model
try config server/base/clock.h config_includes_no_server
try config/files config/model.h config_files_includes_no_models
try config/keras config/weights.h config_keras_includes_no_files
try config/torch server/codec/gzip.h config_includes_no_server
try server/base server/codec/buffer.h server_base_includes_nothing_above
try server/codec server/session/session.h server_codec_includes_nothing_above
try server/session server/run/pool.h server_session_includes_nothing_above
try server/run server/api/routes.h server_run_includes_nothing_above
try server/api server/http/http.h server_api_includes_nothing_above
try server/http server/cli/cli.h server_http_includes_nothing_above
exit $bad
