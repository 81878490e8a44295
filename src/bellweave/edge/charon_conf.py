"""What a strongSwan daemon of ours is told when it starts: ``strongswan.conf``, for the gateways and for the doctor."""

from bellweave.edge.world_places import LIBIPSEC

PLUGINS = (
    "random nonce openssl x509 pubkey pem pkcs8 constraints aes sha1 sha2 hmac kdf gcm drbg {esp}kernel-netlink "
    "socket-default vici"
)
NEEDED = ("openssl", "kdf", "kernel-netlink", "socket-default", "vici")

# Threads: user-space ESP blocks nine for good, and each session under way holds one while it waits.
THREADS = 16

CONFIGURATION = """{daemon} {{
  load = {plugins}
  threads = {threads}
  # a session with a fresh key is a new IKE_SA, never one more child of the old
  reuse_ikesa = no
  retransmit_timeout = 0.5
  retransmit_base = 1.5
  retransmit_tries = 4
  # only our own daemons can reach it: half-open sessions of a peer that died must not block the next
  half_open_timeout = 3
  dos_protection = no
  plugins {{
    vici {{ socket = unix://vici }}
    kernel-libipsec {{ load = {libipsec} }}
  }}
  filelog {{
    l {{
      path = log
      default = 1
      time_format = %H:%M:%S
      ike_name = yes
      flush_line = yes
    }}
  }}
  journal {{ default = -1 }}
}}
"""


def configuration(daemon: str, *, kernel_esp: bool, sessions: int = 1) -> str:
    """Return a ``strongswan.conf``; paths in it are relative to the folder in which the daemon is started.

    Args:
        daemon: Name of the program, which is its section's.
        kernel_esp: Whether the kernel has ESP.
        sessions: How many tunnels end at it.
    """
    return CONFIGURATION.format(
        daemon=daemon,
        plugins=PLUGINS.format(esp="" if kernel_esp else LIBIPSEC + " "),
        threads=THREADS + sessions,
        libipsec="no" if kernel_esp else "yes",
    )
