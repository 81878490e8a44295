import os
from pathlib import Path

import pytest

from bellweave.edge.memory_files import MemoryFiles
from bellweave.edge.tls import client_context, server_context
from bellweave.testing.certificates import Pki


def test_a_file_in_memory_is_read_as_often_as_one_likes_until_it_is_closed() -> None:
    files = MemoryFiles()
    one, other = files.path("one", b"abc"), files.path("other", b"def")

    assert one.read_bytes() == one.read_bytes() == b"abc"
    assert other.read_bytes() == b"def"
    assert one.stat().st_mode & 0o777 == 0o600
    files.close()
    assert not one.exists()


def test_certificates_and_keys_in_memory_make_tls_contexts(tmp_path: Path) -> None:
    issued = Pki(tmp_path).kme("kme-a")
    files = MemoryFiles()
    ca, cert, key = (files.path(each.name, each.read_bytes()) for each in (issued.ca, issued.cert, issued.key))

    server_context(ca, cert, key)
    client_context(ca, cert, key)  # the same files again
    files.close()


def test_where_there_are_none_files_go_to_a_private_folder_that_goes_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    files = MemoryFiles()
    one, other = files.path("one", b"abc"), files.path("other", b"def")

    assert (one.read_bytes(), other.read_bytes()) == (b"abc", b"def")
    assert one.stat().st_mode & 0o777 == 0o600
    assert one.parent.stat().st_mode & 0o777 == 0o700
    files.close()
    assert not one.parent.exists()
