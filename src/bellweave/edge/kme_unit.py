"""What goes beside a KME's configuration: a systemd unit, and a page that says what to copy where."""

from collections.abc import Mapping
from textwrap import dedent, indent

INSTALLED = "/var/lib/bellweave"
"""Folder of the KMEs' folders on their machines: systemd makes it, and gives it to the service's user."""

CREDENTIALS = "/etc/bellweave"
"""Folder of the master keys there: apart from the stores, and for root only."""


def unit(kme: str, command: str) -> str:
    """Return a systemd unit for one KME.

    Its user, ``bellweave``, owns the folder with the configuration, the certificate and the store, and reads renewed
    certificates there; the master key reaches it as a credential. ``MemoryDenyWriteExecute`` is not set, because numba
    compiles at run time.

    Args:
        kme: Its name, which is that of its folder.
        command: What starts Bellweave there, as an absolute path with arguments.
    """
    folder = f"{INSTALLED}/{kme}"
    return dedent(f"""\
        [Unit]
        Description=Bellweave key management entity {kme}
        After=network-online.target
        Wants=network-online.target

        [Service]
        Type=exec
        User=bellweave
        Group=bellweave
        StateDirectory=bellweave/{kme}
        StateDirectoryMode=0700
        WorkingDirectory={folder}
        LoadCredential=master.key:{CREDENTIALS}/{kme}.master.key
        ExecStart={command} kms serve --config {folder}/kme.toml
        ExecReload=/bin/kill -HUP $MAINPID
        Restart=on-failure
        RestartSec=1
        TimeoutStopSec=30
        LimitNOFILE=8192

        # no copies of keys in core dumps, in swap, or in files that others can read
        LimitCORE=0
        MemorySwapMax=0
        UMask=0077

        NoNewPrivileges=yes
        CapabilityBoundingSet=
        AmbientCapabilities=
        ProtectSystem=strict
        ProtectHome=read-only
        ProtectProc=invisible
        ProcSubset=pid
        ProtectClock=yes
        ProtectControlGroups=yes
        ProtectHostname=yes
        ProtectKernelLogs=yes
        ProtectKernelModules=yes
        ProtectKernelTunables=yes
        PrivateDevices=yes
        PrivateTmp=yes
        RemoveIPC=yes
        RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
        RestrictNamespaces=yes
        RestrictRealtime=yes
        RestrictSUIDSGID=yes
        LockPersonality=yes
        SystemCallArchitectures=native
        SystemCallFilter=@system-service
        SystemCallFilter=~@privileged @resources

        [Install]
        WantedBy=multi-user.target
        """)


def readme(kmes: Mapping[str, str], saes: Mapping[str, str], devices: Mapping[str, tuple[str, str]]) -> str:
    """Return the page: what each machine gets.

    Args:
        kmes: Name of each KME to its host.
        saes: File name, without extension, of each SAE's certificate to its KME.
        devices: The same of each QKD device, to its KME and the KME at the other end of its link.
    """
    rows = [f"{host}: the folder {kme}/" for kme, host in kmes.items()]
    rows += [f"the machine of SAE {sae} (asks {kme}): {sae}.crt, {sae}.key, ca.crt" for sae, kme in saes.items()]
    rows += [
        f"the QKD device {device} (pushes to {kme}, link with {peer}): {device}.crt, {device}.key, ca.crt"
        for device, (kme, peer) in devices.items()
    ]
    first = next(iter(kmes))
    return dedent("""\
        A network of Bellweave key management entities
        ==============================================

        ca.key signs certificates. Whoever has it can pose as any KME and any SAE: take it off every machine that serves
        keys, and keep it where you keep such things. Copy over a channel that you trust:

        {rows}

        Each KME folder holds its configuration (kme.toml), its certificate and key, the authority's certificate, the
        master key that wraps all keys at rest, a list of certificates that are not let in any more (deny.txt), and a
        systemd unit. To try a KME where it is:

            bellweave kms serve --config {first}/kme.toml

        To install one as a service, as root, here {first}:

            useradd --system --no-create-home bellweave
            install -d -m 700 {credentials}
            install -m 600 {first}/master.key {credentials}/{first}.master.key && rm {first}/master.key
            mkdir -p {installed} && cp -r {first} {installed}/ && chown -R bellweave: {installed}/{first}
            cp {first}/bellweave-{first}.service /etc/systemd/system/
            systemctl enable --now bellweave-{first}

        The unit starts Bellweave from where it lay on the machine that made these files; edit ExecStart if it lies
        elsewhere. A backup of {installed} is worth nothing without the master key: back that up too, elsewhere.

        Certificates run out (openssl x509 -enddate -noout -in {first}/kme.crt). Renewed ones take effect when their
        files are replaced; nothing has to be restarted.
        """).format(rows=indent("\n".join(rows), "    "), first=first, installed=INSTALLED, credentials=CREDENTIALS)
