"""Certificates that are not let in any more, in a file that is read again as soon as it changes.

One certificate a line: its SHA-256 fingerprint in hex (colons and upper case allowed, as ``openssl x509 -fingerprint
-sha256`` prints it), or ``serial:HEX``; the rest of a line after ``#`` is a comment.

Open connections outlive any revocation, and resumed ones skip verification: so the list is looked up at *every
request*. It fails closed: where a change can't be read as a whole, what was denied stays denied, and good lines count.
"""

import re
from collections.abc import Callable
from pathlib import Path

from bellweave.edge.files import read_file, stamp
from bellweave.edge.identity import Presented
from bellweave.errors import ScenarioError


class DenyList:
    """The list in one file.

    Args:
        path: The file; it has to be there, if only empty.
        warn: Gets a sentence where a changed file is bad.

    Raises:
        ScenarioError: The file can't be read, or a line is neither of the two forms.
    """

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self._stamp = stamp(path)
        self._denied, problem = _read(path)
        if problem is not None:
            raise problem

    def denies(self, certificate: Presented) -> bool:
        """Return whether this certificate is on the list as the file has it now."""
        now = stamp(self._path)
        if now != self._stamp:
            self._stamp = now
            denied, problem = _read(self._path)
            if problem is not None:
                self._warn(f"{problem}; what was denied stays denied")
                denied |= self._denied
            self._denied = denied
        return certificate.fingerprint in self._denied or certificate.serial in self._denied


def fingerprint_of(text: str) -> str | None:
    """Return a SHA-256 fingerprint in lower-case hex without colons; None if the text is none."""
    plain = text.replace(":", "").lower()
    return plain if re.fullmatch("[0-9a-f]{64}", plain) else None


def _read(path: Path) -> tuple[frozenset[str | int], ScenarioError | None]:
    """Return the fingerprints and serial numbers of the good lines, and what is wrong with the first bad one."""
    try:
        text = read_file(path).decode(errors="replace")
    except ScenarioError as error:
        return frozenset(), error
    denied: set[str | int] = set()
    problem = None
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        serial = re.fullmatch(r"(?i:serial:)\s*([0-9a-fA-F:]+)", entry)
        if serial and serial[1].strip(":"):
            denied.add(int(serial[1].replace(":", ""), 16))
        elif fingerprint := fingerprint_of(entry):
            denied.add(fingerprint)
        elif entry:
            problem = problem or ScenarioError(
                f"expected a SHA-256 fingerprint in hex or serial:HEX, got {entry[:80]!r}",
                path=f"line {number}", file=str(path),
            )  # fmt: skip
    return frozenset(denied), problem
