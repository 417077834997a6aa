#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Speeds, as fractions of what this machine gives in the same run: kernels of
# the read bandwidth, reads of a store of fio's on the same file. Figures mean
# something on an idle machine only; nothing here passes or fails.
#
#   scripts/bench.sh [--json]
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/deps.sh

m2c_need "$M2C_BUILD_PACKAGES" || exit 1
[ -f build/build.ninja ] || meson setup build --buildtype=release >/dev/null
ninja -C build src/tools/m2c >/dev/null

build/src/tools/m2c bench kernels "$@"
if command -v fio >/dev/null; then
    python3 scripts/bench_io.py build/src/tools/m2c "$@"
else
    echo "fio is not installed: no comparison of reads" >&2
fi
