#!/bin/sh
# Makes the virtual environment beside this file from the lock (requirements.txt), once, and hands
# over to the operator's commands. Needs nothing but Python 3.11, 3.12 or 3.13.
set -eu

fail() {
    echo "cdc: $1" >&2
    exit 1
}

# The checkout: where this file lies once symbolic links are followed.
here=$0
while [ -L "$here" ]; do
    to=$(readlink "$here")
    case $to in
        /*) here=$to ;;
        *) here=$(dirname "$here")/$to ;;
    esac
done
cd "$(dirname "$here")"
venv=.venv

[ "$(uname -sm)" = "Linux x86_64" ] ||
    fail "this is $(uname -sm); the embedded parts exist for Linux x86_64 only."

# The checksum of the lock and the Python it was installed with; unequal means install again.
lock=$(cksum <requirements.txt)
stamp=$venv/.cdc-installed
version_of() {
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || true
}
run_if_installed() {
    if [ -f $stamp ] && [ "$(cat $stamp)" = "$lock $(version_of $venv/bin/python)" ]; then
        exec $venv/bin/python -m ops "$@"
    fi
}
run_if_installed "$@"

# The newest Python the lock installs on; 3.14 is not: the lock names a backport made for those
# before it. `command -v` is not enough: version managers put shims on PATH that fail.
python=
best=0
seen=
for candidate in python3.13 python3.12 python3.11 python3; do
    command -v $candidate >/dev/null 2>&1 || continue
    minor=$($candidate -c 'import sys; print(sys.version_info[1] if sys.version_info[0] == 3 else 0)' \
        2>/dev/null) || continue
    seen="$seen $candidate is 3.$minor,"
    if [ "$minor" -ge 11 ] && [ "$minor" -gt "$best" ] && [ "$minor" -le 13 ]; then
        python=$candidate
        best=$minor
    fi
done
[ -n "$python" ] ||
    fail "needs Python 3.11, 3.12 or 3.13; found:${seen:- none on PATH}. Install one (Debian: apt install python3 python3-venv)."
$python -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python has no venv module; install it (Debian: apt install python3-venv)."
[ -w . ] || fail "no write access to $(pwd), where .venv has to go; use a checkout of your own."

# Two at once: the second waits, then finds the work done. The lock is held on the requirements, for
# the installation only. Without flock (not everywhere) both install.
exec 9<requirements.txt
if command -v flock >/dev/null 2>&1; then
    flock -n 9 || {
        echo "cdc: another ./cdc is installing, waiting" >&2
        flock 9
    }
    run_if_installed "$@" 9<&-
fi

# A whole environment of the same Python is brought up to date; anything else is made anew: what an
# interrupted installation left may look installed to pip and not be.
clear=--clear
if [ -f $stamp ] && [ "$(version_of $venv/bin/python)" = "$(version_of $python)" ]; then
    clear=
fi
rm -f $stamp
echo "cdc: installing into .venv with $python (about 400 MB to fetch, once)" >&2
$python -m venv $clear $venv || fail "$python could not make $(pwd)/.venv, see above."
$venv/bin/python -m pip install --disable-pip-version-check --require-hashes -r requirements.txt ||
    fail "installing requirements.txt failed, see above; run the same command again to go on."
echo "$lock $(version_of $venv/bin/python)" >$stamp.new
mv $stamp.new $stamp
exec 9<&-
exec $venv/bin/python -m ops "$@"
