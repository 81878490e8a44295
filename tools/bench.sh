#!/usr/bin/env bash
# make bench: every bench/*.py with --json, one after the other on one core (reproduction: two), each printing one JSON object.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")/.."

pin=()
if command -v taskset >/dev/null; then
  core=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//') # the first core that we may use
  pin=(taskset -c "$core")
fi
shopt -s nullglob
for file in bench/[a-z]*.py; do
  echo "# $file" >&2
  on=("${pin[@]}")
  if [[ $file == bench/reproduction.py ]]; then on=(); fi # its target is for two cores
  "${on[@]}" .venv/bin/python "$file" --json
done
