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
  case $file in bench/distill_*) continue ;; esac # rows of bench/distill.py
  echo "# $file" >&2
  on=("${pin[@]}")
  case $file in bench/reproduction.py | bench/distill.py | bench/kms.py) on=() ;; esac # these have rows for two cores, and pin what needs one
  "${on[@]}" .venv/bin/python "$file" --json
done
