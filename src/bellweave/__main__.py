"""``python -m bellweave`` is the command line."""

from bellweave.cli import main

main()
