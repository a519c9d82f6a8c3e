"""Explains why a download from the hub failed: the reason and its remedy as the middle of an error sentence.

The hub's library wraps errors of the operating system in its own and in those of its HTTP library, so the whole chain
of an exception is searched.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
# A firewall's refusal of a connection has the same number as that of a file system, but no file name.
UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM}
MAX_DETAIL_CHARS = 160


def explain_download_failure(error: BaseException, cache_dir: Path) -> str:
    """Such as "is gated: accept its terms on the hub and set HF_TOKEN"."""
    for link in _chain(error):
        for explain in (_explain_hub, _explain_disk, _explain_network):
            if reason := explain(link, cache_dir):
                return reason
    detail = f"{type(error).__name__}: {_first_line(error)}"
    return f"could not be downloaded ({detail}): check the network and the disk"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its cause or context, the cause or context of that, and so on.

    A suppressed context counts too: httpcore hides the error of the operating system, but does not remove it.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        yield link
        seen.add(id(link))
        link = link.__cause__ or link.__context__


def _explain_hub(error: BaseException, cache_dir: Path) -> str:
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():  # a subclass of the next one
            return "is gated: accept its terms on the hub and set HF_TOKEN"
        case errors.RepositoryNotFoundError():
            return "is not on the hub, or is private: check the spelling or set HF_TOKEN"
        case errors.RevisionNotFoundError():
            return "is on the hub, but has no such revision: check MODEL_REVISION"
        case errors.HfHubHTTPError():
            return f"was refused by the hub with status {error.response.status_code}: try again later"
        case errors.OfflineModeIsEnabled():
            return f"is not complete in {cache_dir}, and HF_HUB_OFFLINE forbids to download it: unset HF_HUB_OFFLINE"
    return ""


def _explain_disk(error: BaseException, cache_dir: Path) -> str:
    if not isinstance(error, OSError):
        return ""
    if error.errno in NO_SPACE:
        return (
            f"could not be downloaded because the disk of {cache_dir} is full ({error.strerror}): free some space, "
            "or choose another folder as CACHE_DIR"
        )
    if error.errno in NOT_WRITABLE and error.filename is not None:
        return (
            f"could not be downloaded because {error.filename} cannot be written ({error.strerror}): change its "
            "owner, or choose another folder as CACHE_DIR"
        )
    return ""


def _explain_network(error: BaseException, _: Path) -> str:
    if not isinstance(error, OSError):
        return ""
    detail = _first_line(error.strerror or error)
    match error:
        case socket.gaierror():
            reason = f"the name of the hub could not be resolved ({detail})"
            remedy = "check the network and HF_ENDPOINT"
        case ssl.SSLError():
            reason = f"there is no secure connection to the hub ({detail})"
            remedy = "check the proxy, the certificates and the clock"
        case TimeoutError():
            reason, remedy = "the hub did not answer in time", "check the network, or try again"
        case OSError() if isinstance(error, ConnectionError) or error.errno in UNREACHABLE:
            reason, remedy = f"there is no connection to the hub ({detail})", "check the network and HF_ENDPOINT"
        case _:
            return ""
    return f"could not be downloaded because {reason}: {remedy}"


def _first_line(text: object) -> str:
    return str(text).partition("\n")[0][:MAX_DETAIL_CHARS]
