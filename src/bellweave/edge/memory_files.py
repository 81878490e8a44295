"""Files that are never on a disk: for libraries that want the path of a file where we hold a secret.

On Linux they are anonymous files in memory (``memfd_create``), which have a path as long as this process holds them.
Elsewhere they are temporary files in a folder of their own, which only their owner may enter and which goes when the
process ends in order; there, a process that is killed leaves them behind.
"""

import os
import tempfile
from pathlib import Path

from bellweave.edge.files import write_whole


class MemoryFiles:
    """Some files, until they are closed."""

    def __init__(self) -> None:
        self._held: list[int] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def path(self, name: str, data: bytes) -> Path:
        """Return the path of a new file with this content.

        Args:
            name: For people who look at a process's files.
            data: Its content.
        """
        if not hasattr(os, "memfd_create") or not Path("/proc/self/fd").is_dir():
            return self._on_disk(data)
        held = os.memfd_create(name, os.MFD_CLOEXEC)
        self._held.append(held)
        os.fchmod(held, 0o600)
        with os.fdopen(os.dup(held), "wb") as file:
            file.write(data)
        return Path(f"/proc/{os.getpid()}/fd/{held}")

    def close(self) -> None:
        """Let them all go."""
        for held in self._held:
            os.close(held)
        self._held.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _on_disk(self, data: bytes) -> Path:
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="bellweave-")
        number = len(list(Path(self._folder.name).iterdir()))
        path = Path(self._folder.name) / f"{number}.pem"
        write_whole(path, data)
        return path
