#!/bin/sh
# Install the missing Debian packages for a goal:
#   install.sh build|run|test|coverage|promtool|lint|neon|sanitize|clients|page|reference|deploy|debian13|chaos|docs|bench-serving
# Prints the packages before it installs them. Runs as root, or uses sudo.
set -eu
build="gcc libc6-dev make pkg-config libmicrohttpd-dev libgnutls28-dev libjansson-dev libopenblas-serial-dev zlib1g-dev libhdf5-dev libzip-dev libseccomp-dev libxxhash-dev linux-libc-dev"
case "${1:-build}" in
build) wanted="$build" ;;
run) wanted="$build curl ca-certificates" ;;
test) wanted="$build libcmocka-dev libcurl4-openssl-dev libhiredis-dev redis-server" ;;
coverage) wanted="$build libcmocka-dev libcurl4-openssl-dev libhiredis-dev redis-server python3" ;;
promtool) wanted="prometheus" ;;
lint) wanted="$build libcmocka-dev libcurl4-openssl-dev libhiredis-dev clang clang-format cppcheck" ;;
neon) wanted="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" ;;
bench-serving) wanted="$build python3 python3-venv wrk redis-server g++ libsimdjson-dev" ;;
page) wanted="$build python3 chromium chromium-driver curl ca-certificates" ;;
reference) wanted="$build python3 openssl redis-server prometheus man-db groff-base systemd bash" ;;
clients) wanted="$build python3 python3-venv" ;;
deploy) wanted="$build python3 python3-venv haproxy nginx-light openssl" ;;
debian13) wanted="debootstrap" ;;
docs) wanted="mkdocs" ;;
chaos) wanted="$build python3 redis-server haproxy" ;;
sanitize) wanted="$build libcmocka-dev libcurl4-openssl-dev libhiredis-dev redis-server clang libclang-rt-dev valgrind python3" ;;
*) echo "usage: $0 build|run|test|coverage|promtool|lint|neon|sanitize|clients|page|reference|deploy|debian13|chaos|docs|bench-serving" >&2; exit 2 ;;
esac

missing=""
for package in $wanted; do
    # Any OpenBLAS with its header is sufficient.
    [ "$package" = libopenblas-serial-dev ] && pkg-config --exists openblas 2>/dev/null && continue
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
    echo "This system has no apt-get. Please install the equivalents of these Debian packages:$missing" >&2
    exit 1
fi
sudo=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "Please run as root: apt-get install$missing" >&2; exit 1; }
    sudo=sudo
fi
echo "Installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q
$sudo apt-get install -q -y --no-install-recommends $missing
