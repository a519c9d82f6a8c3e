"""Explains why a download from the hub failed: the reason and its remedy as the middle of an error sentence.

The hub's library wraps errors of the operating system in its own and in those of its HTTP library, so the whole chain
of an exception is searched. Which HTTP library that is differs from version to version, so its errors are told by name.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.request import getproxies

from asr_api.install_hint import pip_command

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
# A firewall's refusal of a connection has the same number as that of a file system, but no file name.
UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM}
MAX_DETAIL_CHARS = 160
PROXY = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY"
BROKEN_OFF = ("RemoteProtocolError", "ReadError", "WriteError", "IncompleteRead")
# Reading an answer of something that is no hub raises these; the last is of the hub's library.
NO_ANSWER_OF_A_HUB = (
    "JSONDecodeError",
    "DecodingError",
    "TypeError",
    "KeyError",
    "AssertionError",
    "FileMetadataError",
)


def explain_download_failure(error: BaseException, cache_dir: Path) -> str:
    """Such as "is gated: accept its terms on the hub and set HF_TOKEN"."""
    for link in _chain(error):
        for explain in (_explain_hub, _explain_cache, _explain_disk, _explain_network, _explain_http):
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

    reason = ""
    match error:
        case errors.GatedRepoError():  # a subclass of the next one
            reason = "is gated: accept its terms on the hub and set HF_TOKEN"
        case errors.RepositoryNotFoundError():
            reason = "is not on the hub as a model, or is private: check the spelling or set HF_TOKEN"
        case errors.RevisionNotFoundError():
            reason = "is on the hub, but has no such revision: check MODEL_REVISION"
        case errors.DisabledRepoError():
            reason = "is disabled on the hub: choose another model as MODEL_ID"
        case errors.RemoteEntryNotFoundError():
            reason = "has just been changed on the hub: try again"
        case errors.HfHubHTTPError():
            reason = _explain_status(error.response.status_code, error.response.headers)
        case errors.OfflineModeIsEnabled():
            reason = (
                f"is not complete in {cache_dir}, and HF_HUB_OFFLINE forbids to download it: unset HF_HUB_OFFLINE (or "
                "TRANSFORMERS_OFFLINE), copy the model into this cache, or name its folder as MODEL_ID"
            )
    return reason


def _explain_status(status: int, headers: Mapping[str, str]) -> str:
    """Of an answer without one of the hub's own error codes; a mirror or a proxy may have sent it."""
    if "credentials" in headers.get("X-Error-Message", ""):
        return "could not be downloaded because the hub does not accept the token: renew or unset HF_TOKEN"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _explain_proxy(str(status))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        # RateLimit: "api";r=0;t=55 is the hub's own header, Retry-After: 55 that of others, which may also hold a date.
        found = re.search(r";t=(\d{1,6})", headers.get("RateLimit", ""))
        found = found or re.fullmatch(r"(\d{1,6})", headers.get("Retry-After", ""))
        when = f"in {found[1]} s" if found else "in a few minutes"
        return (
            f"could not be downloaded because the hub limits requests (status 429): try again {when}, or set HF_TOKEN"
        )
    remedies = {
        401: "set HF_TOKEN, and check HF_ENDPOINT",
        403: "check HF_TOKEN, HF_ENDPOINT and the proxy",
        404: "check the spelling, MODEL_REVISION and HF_ENDPOINT",
    }
    return f"was refused by the hub with status {status}: {remedies.get(status, 'try again later')}"


def _explain_cache(error: BaseException, cache_dir: Path) -> str:
    """The cache has small text files, such as the commit of a branch."""
    return f"is damaged in {cache_dir}: delete its folder there" if isinstance(error, UnicodeDecodeError) else ""


def _explain_disk(error: BaseException, cache_dir: Path) -> str:
    if not isinstance(error, OSError):
        return ""
    if error.errno in NO_SPACE:
        return (
            f"could not be downloaded because the disk of {cache_dir} is full ({error.strerror}): free some space, "
            "or choose another folder as CACHE_DIR"
        )
    if error.errno in NO_LOCKS:
        return (
            f"could not be downloaded because the file system of {cache_dir} has no locks ({error.strerror}): choose "
            "another folder as CACHE_DIR"
        )
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename is not None:
        return f"could not be downloaded because {error.filename} is not a folder: choose another folder as CACHE_DIR"
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
            remedy = "check HF_ENDPOINT, the proxy, the certificates (SSL_CERT_FILE names your own) and the clock"
        case TimeoutError():
            reason, remedy = "the hub did not answer in time", "check the network, or try again"
        case OSError() if isinstance(error, ConnectionError) or error.errno in UNREACHABLE:
            reason = f"there is no connection to the hub ({detail})"
            remedy = f"check the network{', the proxy' if getproxies() else ''} and HF_ENDPOINT"
        case _ if "onsistency check failed" in detail:
            reason, remedy = f"a file did not arrive whole ({detail})", "try again"
        case _:
            return ""
    return f"could not be downloaded because {reason}: {remedy}"


def _explain_http(error: BaseException, _: Path) -> str:
    """Errors of the HTTP library, and what it raises for a proxy that it cannot use."""
    name, detail = type(error).__name__, _first_line(error)
    match name:
        case "ProxyError":
            return _explain_proxy(detail)
        case "ImportError" if "SOCKS" in detail:
            reason, remedy = "the proxy is one of SOCKS", pip_command("socksio")
        case "InvalidURL":
            reason, remedy = f"the address of the proxy is wrong ({detail})", f"correct {PROXY}"
        case "UnsupportedProtocol" | "TooManyRedirects":
            reason, remedy = f"the hub's address leads nowhere ({detail})", "check HF_ENDPOINT and the proxy"
        case _ if name in NO_ANSWER_OF_A_HUB:
            reason = f"the answer is not that of a hub ({name}: {detail})"
            remedy = "check HF_ENDPOINT and the proxy; some networks have a page for signing in"
        case _ if name in BROKEN_OFF:
            reason = f"the connection broke off ({detail})"
            remedy = "try again"
        case _ if name.endswith("Timeout"):
            reason, remedy = "the hub did not answer in time", "check the network, or try again"
        case _:
            return ""
    return f"could not be downloaded because {reason}: {remedy}"


def _explain_proxy(detail: str) -> str:
    remedy = f"check {PROXY}"
    if "407" in detail:
        remedy = f"put its name and password into {PROXY}, as in http://name:password@proxy:8080"
    return f"could not be downloaded because the proxy refused ({detail}): {remedy}"


def _first_line(text: object) -> str:
    return str(text).partition("\n")[0][:MAX_DETAIL_CHARS]
