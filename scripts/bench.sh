#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Speeds, as fractions of what this machine gives in the same run: kernels of
# the read bandwidth, those of OpenCL of the cpu's, reads of a store of fio's on
# the same file, decoding of llama.cpp's on the same weights. Figures mean
# something on an idle machine only; nothing here passes or fails.
#
#   scripts/bench.sh [--json]
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/deps.sh

m2c_need "$M2C_BUILD_PACKAGES" || exit 1
[ -f build/build.ninja ] || meson setup build --buildtype=release >/dev/null
ninja -C build src/tools/m2c >/dev/null

# Where an OpenCL driver is, its first device in the same run, as a fraction of
# the cpu.
beside=()
if build/src/tools/m2c devices 2>/dev/null |
    awk '/^opencl/ { getline; found = found || $1 == "memory" } END { exit !found }'; then
    beside=(--backend opencl)
fi
build/src/tools/m2c bench kernels "${beside[@]}" "$@"
if command -v fio >/dev/null; then
    python3 scripts/bench_io.py build/src/tools/m2c "$@"
else
    echo "fio is not installed: no comparison of reads" >&2
fi
python=${M2C_PYTHON:-python3}
if "$python" -c 'import gguf, numpy, xllamacpp' 2>/dev/null; then
    ninja -C build src/tools/m2c-exp >/dev/null
    "$python" scripts/bench_llama.py build/src/tools/m2c >&2
else
    echo "xllamacpp or gguf is not installed: no comparison with llama.cpp" >&2
fi
