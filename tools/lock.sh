#!/usr/bin/env bash
# make lock: write requirements.lock anew from pyproject.toml. One set of versions for every system and every Python from 3.11 up (so that
# equal seeds meet equal libraries), with hashes and without the address of any index.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")/.."

if ! command -v uv >/dev/null; then
  [ -x build/uv/bin/uv ] || { .venv/bin/python -m venv build/uv && build/uv/bin/python -m pip install -q uv; }
  PATH="$PWD/build/uv/bin:$PATH"
fi
uv pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock    (uv pip compile --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-emit-index-url)" \
  --group dev pyproject.toml --output-file requirements.lock
echo "requirements.lock: $(grep -c '==' requirements.lock) pins"
