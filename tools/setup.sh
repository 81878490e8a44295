#!/usr/bin/env bash
# make setup: a virtual environment in .venv that holds exactly what requirements.lock pins, and this checkout, editable.
# Works as root or not, with uv if there is one on PATH, else with Python's own venv and pip. PYTHON=... chooses the interpreter.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")/.."
if command -v flock >/dev/null; then exec 9<tools/setup.sh; flock 9; fi # two makes at once: the second waits

fit() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
has_pip() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }
say() { echo "setup: $*"; }

pick_python() { # the first fit interpreter that can make environments; failing that, the first fit one
  local candidate first=''
  for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3; do
    if fit "$candidate"; then
      if has_pip "$candidate"; then echo "$candidate"; return; fi
      first=${first:-$candidate}
    fi
  done
  echo "$first"
}

install_venv_module() { # Debian and its kin ship Python without ensurepip
  local package; package="$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  local command="apt-get install -y --no-install-recommends $package"
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing $package"
    { apt-get update && DEBIAN_FRONTEND=noninteractive $command; } >build/apt.log 2>&1 || { cat build/apt.log >&2; exit 1; }
  else
    say "this Python cannot make virtual environments. Run:  sudo $command" >&2
    exit 1
  fi
}

mkdir -p build
if ! .venv/bin/python -c '' 2>/dev/null; then
  python=$(pick_python)
  [ -n "$python" ] || { say "no Python 3.11 or newer found on PATH (PYTHON=/path/to/python3 make setup names one)" >&2; exit 1; }
  say "making .venv with $("$python" --version)"
  if command -v uv >/dev/null; then
    uv venv --quiet --clear --python "$(command -v "$python")" .venv
  else
    has_pip "$python" || install_venv_module "$python"
    "$python" -m venv --clear .venv
  fi
fi

# bytecode is compiled now, because a user's PYTHONDONTWRITEBYTECODE would make every later start slow
if command -v uv >/dev/null; then
  install=(uv pip install --quiet --python .venv/bin/python --compile-bytecode)
else
  .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null # .venv made by uv, which is gone
  install=(.venv/bin/python -m pip install -qq --disable-pip-version-check --no-input) # -qq: errors only
fi
if [ ! .venv/locked -nt requirements.lock ]; then
  say "installing $(grep -c '==' requirements.lock) pinned packages (about a minute)"
  "${install[@]}" --require-hashes --no-deps -r requirements.lock
  touch .venv/locked
fi
"${install[@]}" --no-deps --no-build-isolation --editable .
touch .venv/ready
say "done"
