#!/bin/sh
# Run the test program of the arm64 kernels under emulation.
exec qemu-aarch64 "$(dirname "$0")/../../build/neon/test_neon"
