"""Host names that only an internal network can have: without a dot, or below a domain that the internet does not have.

Sources: RFC 6761 and 6762 with its appendix G, RFC 8375, and ICANN's reservation of .internal.
"""

from __future__ import annotations

INTERNAL_DOMAINS = (
    "corp", "home", "home.arpa", "internal", "intranet", "lan", "local", "localdomain", "localhost", "private",
)  # fmt: skip


def is_internal(name: str) -> bool:
    """name: in lower case; a final dot changes nothing"""
    name = name.rstrip(".")
    return "." not in name or name.endswith(tuple(f".{domain}" for domain in INTERNAL_DOMAINS))
