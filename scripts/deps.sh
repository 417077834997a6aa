# SPDX-License-Identifier: MIT
# The Debian packages that m2c needs, in this one place. For sourcing:
#     . scripts/deps.sh
#     m2c_need "$M2C_BUILD_PACKAGES"
# or to see them: bash scripts/deps.sh

# To build m2c. All but the last two lines are required.
M2C_BUILD_PACKAGES="gcc libc6-dev meson ninja-build pkg-config
    libhdf5-dev libxxhash-dev libinih-dev libjansson-dev zlib1g-dev
    libopenblas-dev liblapacke-dev libpcre2-dev libaio-dev
    liburing-dev ocl-icd-opencl-dev opencl-headers libclblast-dev"

# To draw reports (analysis/).
M2C_REPORT_PACKAGES="python3 python3-numpy python3-h5py python3-pandas python3-matplotlib"

# To test m2c, beside the above.
M2C_TEST_PACKAGES="g++ clang libclang-rt-dev binutils libcmocka-dev python3 python3-venv
    pocl-opencl-icd oclgrind"

# m2c_need PACKAGES: installs those that are missing, as root or by sudo; else
# says what to install and fails. On a system without dpkg it only says.
m2c_need()
{
    local missing="" package
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "Not a Debian system: make sure of the likes of" $1 >&2
        return 0
    fi
    for package in $1; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
        *" installed") ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    local as_root=""
    if [ "$(id -u)" != 0 ]; then
        # Without a terminal sudo could not ask for a password.
        if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
            echo "These packages are missing; please install them as root:" >&2
            echo "    apt-get install --no-install-recommends$missing" >&2
            return 1
        fi
        as_root=sudo
    fi
    echo "Installing:$missing" >&2
    # The lists may be old or, on a bare system, absent; a failure to renew them
    # shows below if it matters.
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2 || true
    # shellcheck disable=SC2086 # words are packages
    if ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
        --no-install-recommends $missing >&2 </dev/null; then
        echo "Could not install:$missing" >&2
        return 1
    fi
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    # shellcheck disable=SC2086
    { echo "build: " $M2C_BUILD_PACKAGES
      echo "report:" $M2C_REPORT_PACKAGES
      echo "test:  " $M2C_TEST_PACKAGES; }
fi
