"""Why a world can't be made or something in it failed, and what cures it."""

from pathlib import Path

from bellweave.errors import BellweaveError

_SYSCTL = Path("/proc/sys")

NO_UNSHARE = "the program unshare is not there: apt-get install util-linux"


class WorldError(BellweaveError):
    """A disposable world can't be made on this machine, or something in it failed."""


def cure(complaint: str, sysctl: Path = _SYSCTL) -> str:
    """Return in plain words why no world could be made, and the command that helps.

    Args:
        complaint: What ``unshare`` or PID 1 wrote on standard error.
        sysctl: Where the kernel's settings are.
    """
    said = complaint.strip().splitlines()
    first = said[0] if said else "it said nothing"
    return f"{_reason(complaint, sysctl)} ({first})"


def _reason(complaint: str, sysctl: Path) -> str:
    if "No space left" in complaint:
        return (
            "no more user or network namespaces are allowed here: sysctl -w user.max_user_namespaces=10000 "
            "user.max_net_namespaces=10000"
        )
    if "failed to execute" in complaint:
        return "this user can't run the Python that a world needs: its folder may be closed to others"
    denied = "not permitted" in complaint or "Permission denied" in complaint
    if "mount" in complaint and denied and _setting(sysctl, "kernel/apparmor_restrict_unprivileged_userns") != "1":
        return (
            "file systems can't be mounted in a user namespace; a container needs --security-opt seccomp=unconfined "
            "--security-opt systempaths=unconfined"
        )
    if denied:
        return _denied(sysctl)
    if "Invalid argument" in complaint or "Function not implemented" in complaint:
        return "the kernel has no user or network namespaces (CONFIG_USER_NS, CONFIG_NET_NS)"
    if "No such file" in complaint or "not found" in complaint:
        return "a program is missing: apt-get install util-linux iproute2 mount"
    return "no world can be made on this machine"


def _denied(sysctl: Path) -> str:
    if _setting(sysctl, "kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor keeps users from making namespaces: as root, sysctl -w "
            "kernel.apparmor_restrict_unprivileged_userns=0, or run as root"
        )
    if _setting(sysctl, "kernel/unprivileged_userns_clone") == "0":
        return "users may not make namespaces: as root, sysctl -w kernel.unprivileged_userns_clone=1, or run as root"
    if _setting(sysctl, "user/max_user_namespaces") == "0":
        return "user namespaces are switched off: as root, sysctl -w user.max_user_namespaces=10000"
    return "namespaces may not be made here; a container needs --security-opt seccomp=unconfined --device /dev/net/tun"


def _setting(sysctl: Path, name: str) -> str:
    try:
        return (sysctl / name).read_text().strip()
    except OSError:
        return ""
