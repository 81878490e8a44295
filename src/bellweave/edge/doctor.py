"""What this machine can run of an emulated network, what is missing, and the command that helps; within a second.

Everything is tried in namespaces that are thrown away: nothing of the machine is changed. Root and other users may get
different answers.
"""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from bellweave.edge.charon_conf import configuration
from bellweave.edge.world_errors import NO_UNSHARE, cure
from bellweave.edge.world_places import DAEMON, DAEMON_PATHS, LIBIPSEC, PLUGIN_FOLDERS, SBIN_PATH, UNSHARE

PLUGIN_PACKAGES = {
    "vici": "strongswan-swanctl",
    "openssl": "libstrongswan-standard-plugins",
    "kernel-netlink": "libstrongswan",
    "socket-default": "strongswan-libcharon",
}
"""Plugins that every gateway of ours loads, to Debian's packages; kernel-libipsec is only for kernels without ESP."""

TUN = Path("/dev/net/tun")
TRY_S = 30.0

# Each line prints its name if it works. The key is nobody's.
TRIES = """
mount -t tmpfs tmpfs /run && ip netns add x && ip netns exec x true && echo namespaces
ip link add name v0 type veth peer name v1 && ip link set v0 up && echo veth
ip link add name r0 type bridge && echo bridge
ip tuntap add dev t0 mode tun && echo tun
ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel \
  aead 'rfc4106(gcm(aes))' 0x%s 128 && echo esp
tc qdisc add dev v0 root netem delay 1ms && echo netem && tc qdisc del dev v0 root
tc qdisc add dev v0 root tbf rate 10mbit burst 32000 latency 50ms && echo tbf
if [ -n "$DAEMON" ] && mkdir /run/try && cd /run/try; then
  printf %%s "$CONF" > strongswan.conf
  STRONGSWAN_CONF=/run/try/strongswan.conf ip netns exec x "$DAEMON" > /dev/null 2>&1 &
  n=0  # some 50 ms; until it has said so or has ended, for a busy machine takes longer
  until grep -qs "loaded plugins" log || ! kill -0 $! 2> /dev/null || [ $n -ge 300 ]; do sleep 0.02; n=$((n + 1)); done
  grep -qs "loaded plugins" log && echo strongswan
fi
""" % ("11" * 36)

Channel = Literal["ipsec", "aead"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at.

    Attributes:
        name: What.
        ok: Whether it is there.
        wanted_for: What needs it: ``ipsec``; ``network`` if it only makes an emulated network better; ``aead``.
        found: What was found.
        cure: What helps if it is missing; empty: nothing has to be done.
    """

    name: str
    ok: bool
    wanted_for: Literal["aead", "ipsec", "network"]
    found: str
    cure: str = ""


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine can run.

    Attributes:
        channel: What tunnels use unless one says otherwise; None: nothing runs.
        ipsec, aead: Whether such tunnels run.
        kernel_esp: Whether the kernel encrypts, not strongSwan in user space.
        checks: What was looked at.
    """

    channel: Channel | None
    ipsec: bool
    aead: bool
    kernel_esp: bool
    checks: tuple[Check, ...]

    def missing(self, channel: Channel) -> list[Check]:
        """Return what keeps a channel from running."""
        return [check for check in self.checks if check.wanted_for == channel and not check.ok]


def examine() -> Findings:
    """Return what this machine can run; takes a tenth of a second or two and changes nothing."""
    worked, complaint = _tried()
    esp = "esp" in worked
    checks = [
        _aead(),
        _namespaces(worked, complaint),
        _esp(worked),
        *_programs(),
        *_plugins(needs_libipsec=not esp),
        _starts(worked),
        _python_vici(),
        _links(worked),
        _delay(worked),
        _bandwidth(worked),
    ]
    aead = all(check.ok for check in checks if check.wanted_for == "aead")
    ipsec = all(check.ok for check in checks if check.wanted_for in {"aead", "ipsec"})
    return Findings(
        channel="ipsec" if ipsec else "aead" if aead else None, ipsec=ipsec, aead=aead, kernel_esp=esp,
        checks=tuple(checks),
    )  # fmt: skip


def _tried() -> tuple[set[str], str]:
    """Return which lines of :data:`TRIES` work, and what was complained of if no namespaces could be made."""
    path = os.environ.get("PATH", "") + ":" + SBIN_PATH
    unshare = shutil.which("unshare", path=path)
    if unshare is None:
        return set(), NO_UNSHARE
    daemon = _daemon()
    conf = configuration(Path(daemon).name, kernel_esp=True)
    try:
        done = subprocess.run(
            [unshare, *UNSHARE, "sh", "-c", TRIES],
            capture_output=True, text=True, timeout=TRY_S, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": path, "LC_ALL": "C", "DAEMON": daemon, "CONF": conf},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return set(), str(error)
    worked = set(done.stdout.split())
    return worked, "" if "namespaces" in worked else cure(done.stderr)


def _aead() -> Check:
    there = importlib.util.find_spec("cryptography") is not None
    return Check(
        name="AES-256-GCM in Python", ok=there, wanted_for="aead", found="cryptography" if there else "missing",
        cure="" if there else "pip install cryptography",
    )  # fmt: skip


def _namespaces(worked: set[str], complaint: str) -> Check:
    ok = "namespaces" in worked
    kind = "as root" if os.geteuid() == 0 else "without root"
    return Check(
        name="user, network, mount and PID namespaces", ok=ok, wanted_for="ipsec",
        found=f"work {kind}" if ok else "don't work", cure="" if ok else complaint,
    )  # fmt: skip


def _esp(worked: set[str]) -> Check:
    """ESP in the kernel or, through a TUN device, in user space."""
    if "esp" in worked:
        return Check(name="ESP", ok=True, wanted_for="ipsec", found="in the kernel")
    if "tun" in worked and os.access(TUN, os.R_OK | os.W_OK):
        return Check(name="ESP", ok=True, wanted_for="ipsec", found=f"in user space through {TUN}; the kernel has none")
    problem, help_ = "the kernel has none", "modprobe tun"
    if TUN.exists() and not os.access(TUN, os.R_OK | os.W_OK):
        problem, help_ = f"the kernel has none, and {TUN} may not be opened", f"as root: chmod 666 {TUN}"
    elif not TUN.exists():
        problem, help_ = (
            f"the kernel has none, and there is no {TUN}",
            "modprobe tun (a container: --device /dev/net/tun)",
        )
    return Check(name="ESP", ok=False, wanted_for="ipsec", found=problem, cure=help_)


def _programs() -> Iterable[Check]:
    path = os.environ.get("PATH", "") + ":" + SBIN_PATH
    yield _program("strongSwan", _daemon(), DAEMON, "ipsec")
    yield _program("ip", shutil.which("ip", path=path), "iproute2", "ipsec")
    yield _program("ping", shutil.which("ping", path=path), "iputils-ping", "ipsec")
    yield _program("tc", shutil.which("tc", path=path), "iproute2", "network")


def _daemon() -> str:
    return next((each for each in DAEMON_PATHS if Path(each).exists()), "")


def _starts(worked: set[str]) -> Check:
    ok = "strongswan" in worked
    cure = "" if ok else "install what is missing above; if AppArmor confines it: as root, aa-complain charon-systemd"
    return Check(
        name="strongSwan starts", ok=ok, wanted_for="ipsec", found="in a namespace" if ok else "it does not", cure=cure
    )


def _program(name: str, place: str | None, package: str, wanted_for: Literal["ipsec", "network"]) -> Check:
    return Check(
        name=f"program {name}", ok=bool(place), wanted_for=wanted_for, found=place or "missing",
        cure="" if place else _install(package),
    )  # fmt: skip


def _plugins(*, needs_libipsec: bool) -> Iterable[Check]:
    packages = PLUGIN_PACKAGES | ({LIBIPSEC: "libcharon-extra-plugins"} if needs_libipsec else {})
    for name, package in packages.items():
        there = any(Path(folder, f"libstrongswan-{name}.so").exists() for folder in PLUGIN_FOLDERS)
        yield Check(
            name=f"strongSwan's plugin {name}", ok=there, wanted_for="ipsec", found="there" if there else "missing",
            cure="" if there else _install(package),
        )  # fmt: skip


def _python_vici() -> Check:
    there = importlib.util.find_spec("vici") is not None
    return Check(
        name="Python's vici", ok=there, wanted_for="ipsec", found="there" if there else "missing",
        cure="" if there else "pip install vici",
    )  # fmt: skip


def _links(worked: set[str]) -> Check:
    missing = [name for name in ("veth", "bridge") if name not in worked]
    return Check(
        name="veth and bridge", ok=not missing, wanted_for="ipsec",
        found="there" if not missing else f"the kernel has no {' and no '.join(missing)}",
        cure="" if not missing else f"modprobe -a {' '.join(missing)}",
    )  # fmt: skip


def _delay(worked: set[str]) -> Check:
    ok = "netem" in worked
    found = "netem" if ok else "no netem: delays of 1 ms and more are made in user space"
    return Check(name="delay", ok=ok, wanted_for="network", found=found, cure="" if ok else "modprobe sch_netem")


def _bandwidth(worked: set[str]) -> Check:
    ok = "tbf" in worked or "netem" in worked
    found = "tbf" if "tbf" in worked else "netem" if ok else "no tbf: it is limited in user space"
    return Check(name="bandwidth", ok=ok, wanted_for="network", found=found, cure="" if ok else "modprobe sch_tbf")


def _install(package: str) -> str:
    root = "" if os.geteuid() == 0 else "sudo "
    return f"{root}apt-get install -y --no-install-recommends {package}"
