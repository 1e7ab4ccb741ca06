#!/bin/sh
# Checks that every header compiles alone, with gcc and with clang if it is installed. The headers of the vector kernels
# are skipped, because they need definitions of an instruction set.
cd "$(dirname "$0")/.." || exit 1
flags="-std=c11 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -fsyntax-only $(pkg-config --cflags libmicrohttpd gnutls jansson hdf5 libzip zlib)"
headers=$(ls core/*.h core/*/*.h config/*.h config/*/*.h server/*/*.h | grep -vE '^core/vec/vec_(simd|math)\.h$')
bad=0
for cc in gcc clang; do
    command -v $cc >/dev/null || continue
    echo "[ RUN      ] headers_compile_alone_with_$cc"
    wrong=$(echo "$headers" | xargs -P "$(nproc)" -I HEADER sh -c \
        "echo '#include \"HEADER\"' | $cc $flags -x c - 2>&1 | sed 's|<stdin>|HEADER|'")
    if [ -n "$wrong" ]; then
        echo "$wrong"
        echo "[  FAILED  ] headers_compile_alone_with_$cc"
        bad=1
    else
        echo "[       OK ] headers_compile_alone_with_$cc"
    fi
done
exit $bad
