"""Calls to a strongSwan daemon through its vici socket, off the event loop.

Rules:

1. One call at a time on a connection, in one thread of its own, each with a time-out. A connection on which a call did
   not end in time is thrown away; the next call makes a new one, so a daemon that was restarted is found again.
2. Streamed logs stay off: versions before 5.9.11 can lock up on them.
3. What goes wrong is a :class:`ViciError`: the daemon refused (``refused``), or does not answer.

The messages of a call may hold keys: nothing of them gets into an error.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CALL_S = 5.0
"""Longest wait for an answer, where the daemon has nothing to wait for."""

CONNECT_S = 1.0

Message = dict[str, Any]


class ViciError(Exception):
    """A call failed.

    Attributes:
        refused: The daemon is well and said no; else it does not answer.
    """

    def __init__(self, words: str, *, refused: bool) -> None:
        self.refused = refused
        super().__init__(words)


class ViciClient:
    """A connection to one daemon's vici socket, made when it is needed.

    Args:
        path: Of the socket; may be longer than socket addresses can be.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._closed = False
        self._session: Any = None
        self._socket: socket.socket | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vici")

    async def call(self, command: str, message: Message | None = None, *, timeout_s: float = CALL_S) -> Message:
        """Make a call and return its answer.

        Raises:
            ViciError: It was refused, or the daemon does not answer.
        """
        return await self._off_loop(lambda session: session.request(command, message), timeout_s)  # type: ignore[no-any-return]

    async def listed(self, command: str, event: str, message: Message | None = None) -> list[Message]:
        """Make a call that answers with a list.

        Raises:
            ViciError: It was refused, or the daemon does not answer.
        """
        return await self._off_loop(  # type: ignore[no-any-return]
            lambda session: list(session.streamed_request(command, event, message)), CALL_S
        )

    def close(self) -> None:
        """Let the connection go; a call under way fails."""
        self._closed = True
        self._drop()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _off_loop(self, work: Callable[[Any], Any], timeout_s: float) -> Any:
        if self._closed:
            raise ViciError("the connection was closed", refused=False)
        loop = asyncio.get_running_loop()
        # a call that nobody waits for any more still goes to its end: the next one starts after it
        called = loop.run_in_executor(self._thread, self._once, work, timeout_s)
        called.add_done_callback(_looked_at)
        return await asyncio.shield(called)

    def _once(self, work: Callable[[Any], Any], timeout_s: float) -> Any:
        """Make a call on the connection; on a new one if the old one turns out to be dead before anything was said."""
        from vici.exception import CommandException, EventUnknownException, SessionException  # noqa: PLC0415 an extra

        fresh = self._session is None
        try:
            session = self._connected(timeout_s)
            return work(session)
        except CommandException as error:
            raise ViciError(str(error).removeprefix("Command failed: "), refused=True) from None
        except TimeoutError:
            self._drop()
            raise ViciError(f"no answer within {timeout_s:g} s", refused=False) from None
        except (OSError, ValueError, EventUnknownException, SessionException) as error:
            self._drop()
            if not fresh and not self._closed:  # the daemon was restarted since the last call
                return self._once(work, timeout_s)
            raise ViciError(_why(error), refused=False) from None

    def _connected(self, timeout_s: float) -> Any:
        from vici import Session  # noqa: PLC0415 an extra

        if self._socket is None or self._session is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(CONNECT_S)
                _connect(connection, Path(self.path))
            except BaseException:
                connection.close()
                raise
            self._socket, self._session = connection, Session(connection)
        self._socket.settimeout(timeout_s)
        return self._session

    def _drop(self) -> None:
        connection, self._socket, self._session = self._socket, None, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for an answer
            connection.close()


def _looked_at(called: "asyncio.Future[Any]") -> None:
    """Take note of a call's error where nobody waits for it any more."""
    if not called.cancelled():
        called.exception()


def _connect(connection: socket.socket, path: Path) -> None:
    """Connect to a socket whose path may be too long for an address: by way of its folder's descriptor."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _why(error: Exception) -> str:
    return f"it does not answer: {error.strerror or error}" if isinstance(error, OSError) else "it answers nonsense"
