#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One command for a machine with a GPU: builds m2c, tests every device on itself,
# runs the kernel program and the benchmarks on each, and a sweep of the shipped
# model; then prints what the devices reach. Needs no network.
#     scripts/gpu-check.sh [--library DIR] [--keep FOLDER]
# --library names the folder of the CUDA libraries, as device.library does.
# Exits with 1 where no GPU is found, or where anything failed.
set -eu
cd "$(dirname "$0")/.."

library="" out=build-gpu/check
while [ $# -gt 0 ]; do
    case $1 in
    --library) library=$2; shift ;;
    --keep) out=$2; shift ;;
    *) echo "usage: scripts/gpu-check.sh [--library DIR] [--keep FOLDER]" >&2; exit 2 ;;
    esac
    shift
done

if [ ! -f build-gpu/build.ninja ]; then
    meson setup build-gpu --buildtype=release >build-gpu.log 2>&1 || { cat build-gpu.log; exit 1; }
fi
ninja -C build-gpu >build-gpu.log 2>&1 || { tail -40 build-gpu.log; exit 1; }
m2c=build-gpu/src/tools/m2c
mkdir -p "$out"
flags=()
[ -z "$library" ] || flags=(--library "$library")

# Every device passes its self-test: exit code 4 if one does not.
"$m2c" devices --json "${flags[@]}" >"$out/devices.json" || echo "a device failed its self-test"
python3 scripts/gpu_report.py devices "$out/devices.json" || exit 1
"$m2c" import data/tiny "$out/tiny.h5" --overwrite >/dev/null 2>&1

failed=0
step()
{
    local name=$1
    shift
    echo "== $name"
    "$@" >"$out/$name.txt" 2>"$out/$name.err" || {
        failed=1
        echo "FAILED ($out/$name.txt, .err):"
        tail -3 "$out/$name.txt" "$out/$name.err"
    }
}

while read -r backend index; do
    tag=$backend-$index
    step "kernels-$tag" build-gpu/tests/kernels/kernels --backend "$backend" --index "$index" \
        "${flags[@]}"
    step "copy-$tag" "$m2c" bench copy --backend "$backend" --index "$index" "${flags[@]}" \
        --bytes 256M --json
    step "bench-$tag" "$m2c" bench kernels --backend "$backend" --index "$index" "${flags[@]}" \
        --json
    step "sweep-$tag" build-gpu/src/tools/m2c-exp configs/quickstart.ini -o "$out/sweep-$tag-$$" \
        --set "model.path=$out/tiny.h5" --set "device.backend=$backend" \
        --set "device.index=$index" --set "device.library=$library" --set ssd.direct=off
done < <(python3 scripts/gpu_report.py list "$out/devices.json")
python3 scripts/gpu_report.py table "$out"
exit $failed
