#!/bin/sh
# Create or update a virtual environment with pinned versions: sh infra/venv.sh [PYTHON [FOLDER [PACKAGES [CONSTRAINTS]]]].
# By default, .venv with the packages of pyproject.toml's group `dev`, at the versions of constraints.txt.
set -u
python=${1:-python3}
venv=${2:-.venv}
packages=${3:---group dev --editable .}
constraints=${4:-constraints.txt}
log=$venv/install.log

fail() {
    printf 'dropvec: %s\n' "$1" >&2
    exit 1
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "\`$python\` is not Python 3.11 or newer; use another one with: make PYTHON=/path/to/python3"
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv" >/dev/null 2>&1 ||
    fail "could not make $venv with \`$python -m venv\`; on Debian and Ubuntu: apt-get install python3-venv"

echo "Installing the pinned packages into $venv (once, about a minute) ..."
# shellcheck disable=SC2086 # $packages is several words
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'pip>=25.1' >"$log" 2>&1 ||
    ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check $packages --constraint "$constraints" >"$log" 2>&1; then
    grep -E '^ERROR' "$log" | tail -n 1 >&2
    fail "could not install the packages; check the network, or configure a mirror of PyPI (pip config set global.index-url URL). The output of pip is in $log"
fi
touch "$venv/.ready"
