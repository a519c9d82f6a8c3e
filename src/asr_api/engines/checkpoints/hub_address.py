"""Checks the address of the hub, HF_ENDPOINT, before any request: the hub's library reports a wrong one badly."""

from __future__ import annotations

from urllib.parse import urlsplit

from asr_api.errors import CheckpointError


def check_hub_address(address: str | None) -> None:
    """Raises CheckpointError unless it is an address of HTTP. address: None for one that the library cannot parse"""
    try:
        parts = urlsplit(address or "")
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port
        is_valid = False
    if not is_valid:
        found = f"'{address[:100]}', which is no address" if address else "no address"
        raise CheckpointError(f"HF_ENDPOINT is {found} like https://hub.example.org; correct or unset it.")
