#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From a fresh clone on Debian or Ubuntu to a first sweep and its report:
# installs what is missing (as root or by sudo), builds m2c in build/, imports
# the small model that it ships, runs configs/quickstart.ini and draws
# results/quickstart-N/report.html. Each run has a results folder of its own.
#
#   scripts/quickstart.sh [m2c-exp flags, such as --set ssd.direct=off]
set -euo pipefail

case ${1:-} in
-h | --help)
    sed -n '3,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/deps.sh

work=build/quickstart
store=$work/tiny.h5
python=/usr/bin/python3 # where the distribution's matplotlib is
[ -x "$python" ] || python=python3
log=$(mktemp)
trap 'rm -f "$log"' EXIT

step() { printf '\n== %s  [%d s]\n' "$*" "$SECONDS"; }

die()
{
    echo "quickstart: $*" >&2
    exit 1
}

# quiet COMMAND...: its output only if it fails.
quiet()
{
    "$@" >"$log" 2>&1 </dev/null || {
        tail -40 "$log" >&2
        die "failed: $*"
    }
}

# The first results folder that nobody has yet.
new_folder()
{
    local n=1
    mkdir -p results
    until mkdir "results/quickstart-$n" 2>/dev/null; do
        [ -e "results/quickstart-$n" ] || die "cannot make a folder in $PWD/results"
        n=$((n + 1))
    done
    echo "results/quickstart-$n"
}

step "1/5 packages: installs those that are missing (minutes, the first time)"
m2c_need "$M2C_BUILD_PACKAGES $M2C_REPORT_PACKAGES" || die "the packages above are needed"
for tool in meson ninja "$python"; do
    command -v "$tool" >/dev/null || die "$tool is not installed"
done
"$python" -c 'import matplotlib' 2>/dev/null ||
    die "$python has no matplotlib, which draws the report (Debian: python3-matplotlib)"

step "2/5 build in $PWD/build (about a minute)"
# A build folder that is there stays as it was set up.
[ -f build/build.ninja ] ||
    quiet meson setup build --buildtype=release -Dtests=disabled
quiet ninja -C build src/tools/m2c src/tools/m2c-exp
echo "$(build/src/tools/m2c --version)"

step "3/5 import the model of data/tiny, and let it speak (seconds)"
mkdir -p "$work"
build/src/tools/m2c import data/tiny "$store" --overwrite 2>"$log" ||
    { cat "$log" >&2; die "the model could not be imported"; }
build/src/tools/m2c run "$store" -p "Listen to the tale of Adam." -n 80 --temp 0.7 --seed 7 2>"$log" ||
    { cat "$log" >&2; die "the model does not run"; }

step "4/5 sweep configs/quickstart.ini: 18 points and the dense model (one to two minutes)"
dir=$(new_folder)
rc=0
table=$(build/src/tools/m2c-exp configs/quickstart.ini -o "$dir" "$@") || rc=$?
case $rc in
0) ;;
3) echo "quickstart: some points failed; the report tells why" >&2 ;;
*)
    # An empty folder goes; finished points stay.
    rmdir "$dir" 2>/dev/null ||
        echo "quickstart: what was finished is in $dir; to go on:" \
            "build/src/tools/m2c-exp configs/quickstart.ini -o $dir --resume $*" >&2
    exit "$rc"
    ;;
esac

step "5/5 report (seconds)"
mkdir -p "$work/matplotlib" # its caches stay out of the home folder
MPLCONFIGDIR=$PWD/$work/matplotlib "$python" -B analysis/report.py "$dir" >"$log" ||
    die "the report could not be drawn; the results are in $PWD/$dir"

printf '\n%s\n\nDone in %d s.\nReport: %s\n' "$table" "$SECONDS" "$PWD/$dir/report.html"
echo "Open it in a browser: xdg-open '$PWD/$dir/report.html' (or copy that one file to where one is)"
exit "$rc"
