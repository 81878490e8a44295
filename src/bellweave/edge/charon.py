"""A strongSwan daemon of ours in a namespace of a world: its configuration, its start, its watch.

Rules:

1. Everything it needs is in a folder of its own: ``strongswan.conf``, ``vici`` (the socket), ``log``, ``out``. No
   secret is in any of them: keys and certificates come through vici and stay in memory.
2. It is up when vici answers *and* the plugins that carry traffic are loaded: strongSwan leaves a plugin out silently
   that can't have its device.
3. ESP is the kernel's where the kernel has it, else strongSwan's own in user space (kernel-libipsec).
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path

from bellweave.edge.charon_conf import NEEDED, configuration
from bellweave.edge.vici_client import ViciClient, ViciError
from bellweave.edge.world import Spawned, World
from bellweave.edge.world_errors import WorldError
from bellweave.edge.world_places import DAEMON_PATHS, LIBIPSEC

START_S = 10.0
STOP_S = 3.0
POLL_S = 0.01
WATCH_S = 5.0
"""How often a daemon is asked whether it is well."""

ANSWER_S = 5.0
"""How long it may take to say so."""


class Charon:
    """One daemon.

    Args:
        world: Where it runs.
        namespace: Network namespace in it.
        folder: For its files; must exist, be its own, and not lie under ``/run``.
        name: For people.
        kernel_esp: Whether the kernel has ESP.
        sessions: How many tunnels end at it.
        daemon: Path of the program.

    Attributes:
        vici: Path of its socket.
        log: Path of its log.
        starts: How many times it was started.
    """

    def __init__(
        self,
        world: World,
        namespace: str,
        folder: Path,
        *,
        name: str = "",
        kernel_esp: bool = False,
        sessions: int = 1,
        daemon: str = "",
    ) -> None:
        self.name = name or namespace
        self.folder = folder.resolve()
        self.vici = self.folder / "vici"
        self.log = self.folder / "log"
        self.starts = 0
        self._world = world
        self._namespace = namespace
        self._kernel_esp = kernel_esp
        self._sessions = sessions
        self._daemon = daemon or next((path for path in DAEMON_PATHS if Path(path).exists()), DAEMON_PATHS[0])
        self._spawned: Spawned | None = None

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._spawned is not None and self._spawned.running

    async def start(self) -> None:
        """Start it and wait until it can be driven; also again, after :meth:`kill` or an end of its own.

        Raises:
            WorldError: It does not start; the message has its last words.
        """
        if self.folder.is_relative_to("/run"):
            raise WorldError(f"{self.folder}: inside a world /run is another one; choose another folder for the run")
        (self.folder / "strongswan.conf").write_text(
            configuration(Path(self._daemon).name, kernel_esp=self._kernel_esp, sessions=self._sessions)
        )
        self.vici.unlink(missing_ok=True)  # one that a killed daemon left takes no connections
        self._spawned = await self._world.spawn(
            self._namespace, [self._daemon], cwd=self.folder, log=self.folder / "out",
            env={"STRONGSWAN_CONF": str(self.folder / "strongswan.conf")},
        )  # fmt: skip
        self.starts += 1
        try:
            async with asyncio.timeout(START_S):
                plugins = await self._plugins()
        except TimeoutError:
            raise WorldError(f"{self.name}: vici does not answer within {START_S:g} s: {self.last_words()}") from None
        needed = NEEDED if self._kernel_esp else (*NEEDED, LIBIPSEC)
        if missing := [each for each in needed if each not in plugins]:
            hint = "; is /dev/net/tun readable and writable?" if missing == [LIBIPSEC] else ""
            raise WorldError(f"{self.name}: strongSwan did not load {', '.join(missing)}{hint}")

    async def answers(self) -> bool:
        """Return whether it lives and answers."""
        client = ViciClient(str(self.vici))
        try:
            await client.call("version", timeout_s=ANSWER_S)
        except ViciError:
            return False
        finally:
            client.close()
        return self.running

    async def kill(self) -> None:
        """Kill it as a crash would: nobody is told, sessions stay at the other ends."""
        if self._spawned is not None:
            await self._world.kill(self._spawned, signal.SIGKILL)

    async def stop(self) -> None:
        """End it in order; it tells the other ends of its sessions."""
        if self._spawned is not None:
            await self._world.kill(self._spawned, signal.SIGTERM, STOP_S)

    async def restart(self) -> None:
        """Start it anew, whatever state it is in.

        Raises:
            WorldError: It does not start.
        """
        await self.kill()
        await self.start()

    async def watch(self, note: Callable[[str, str], None], held: Callable[[], bool] = lambda: False) -> None:
        """Start it again whenever it ends or hangs, until cancelled.

        Args:
            note: Gets ``ended`` or ``ready`` and a few words.
            held: Says whether it is to stay down for now: a fault.
        """
        while True:
            if self.running:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._end(), WATCH_S)
            if held():
                await asyncio.sleep(WATCH_S / 10.0)
                continue
            if self.running and await self.answers():
                continue
            note("ended", self.last_words() if not self.running else "does not answer")
            try:
                await self.restart()
            except WorldError as error:
                note("ended", str(error))
                await asyncio.sleep(WATCH_S)
            else:
                note("ready", "started again")

    def last_words(self, lines: int = 1) -> str:
        """Return the end of what it printed or logged."""
        for path in (self.folder / "out", self.log):
            if said := tail(path, lines):
                return said
        return "it said nothing"

    async def _end(self) -> None:
        if self._spawned is not None:
            await self._spawned.wait()

    async def _plugins(self) -> list[str]:
        """Wait until vici answers and return the plugins that are loaded."""
        client = ViciClient(str(self.vici))
        try:
            while True:
                if not self.running:
                    raise WorldError(f"{self.name} ended: {self.last_words()}")
                try:
                    answer = await client.call("stats")
                except ViciError:
                    await asyncio.sleep(POLL_S)
                else:
                    return [plugin.decode() for plugin in answer["plugins"]]
        finally:
            client.close()


def tail(path: Path, lines: int) -> str:
    """Return the last lines of a log, joined by ``; ``; nothing if it is not there or empty."""
    try:
        with path.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - 8192))
            said = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "; ".join(said[-lines:])
