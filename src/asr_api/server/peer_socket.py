"""`peer_uid`: the user of this machine whose socket is at the other end of a connection over loopback.

Linux lists all TCP sockets of a network namespace with their owners in /proc/net/tcp and tcp6; see proc(5).
"""

from __future__ import annotations

import struct
from ipaddress import IPv6Address, ip_address
from pathlib import Path

Address = tuple[str, int]
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LOCAL, REMOTE, UID, INODE = 1, 2, 7, 9  # columns
NO_INODE = "0"  # of a socket that its process has closed; the owner is then given as 0


def peer_uid(peer: Address, own: Address) -> int | None:
    """None if no process of this machine holds that socket. Blocks for milliseconds. Raises OSError without /proc."""
    for table in TABLES:
        ends = _as_in(table, peer), _as_in(table, own)
        for columns in map(str.split, table.read_text().splitlines()):
            if (columns[LOCAL], columns[REMOTE]) == ends and columns[INODE] != NO_INODE:
                return int(columns[UID])
    return None


def _as_in(table: Path, address: Address) -> str:
    """The table of IPv6 also has IPv4, in the form ::ffff:127.0.0.1."""
    host, port = address
    ip = ip_address(host)
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else ip
    packed = ip.packed if mapped is None else mapped.packed
    if table.name == "tcp6" and mapped is not None:
        packed = bytes(10) + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)  # each in the order of the machine
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
