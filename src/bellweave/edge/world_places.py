"""Which programs make a world and what runs in it, and where they lie: for the world, the gateways and the doctor."""

SBIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Users may lack ``sbin`` in their own path."""

UNSHARE = ("--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
"""Options of ``unshare`` that make a world."""

DAEMON = "charon-systemd"
DAEMON_PATHS = ("/usr/sbin/charon-systemd", "/usr/local/sbin/charon-systemd", "/usr/libexec/ipsec/charon-systemd")
PLUGIN_FOLDERS = (
    "/usr/lib/ipsec/plugins",
    "/usr/local/lib/ipsec/plugins",
    "/usr/lib/strongswan/plugins",
    "/usr/lib64/strongswan/plugins",
)
LIBIPSEC = "kernel-libipsec"
"""strongSwan's plugin that does ESP in user space."""
