"""Starts real proxies with the files of deploy/proxy, where only paths and ports are replaced, and their clients."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.test_docs import ROOT

FILES = ROOT / "deploy/proxy"
HOST = "asr.example.org"
NAMES = ("nginx", "caddy", "traefik")
START_S = 20
ADDRESSES = itertools.count(2)

# What the packages of nginx have in their main file, for a user without rights.
NGINX_MAIN = """
worker_processes 1;
pid {folder}/nginx.pid;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/nginx.conf;
}}
"""


def program(name: str) -> str | None:
    """The path of the program, which pip may have installed beside Python."""
    return shutil.which(name, path=os.pathsep.join((os.environ["PATH"], "/usr/sbin", str(Path(sys.executable).parent))))


@dataclass(frozen=True)
class Proxy:
    port: int
    certificate: Path
    log: Path

    @property
    def host(self) -> str:
        return f"{HOST}:{self.port}"

    def http(self, address: str | None = None) -> httpx.Client:
        """address: of the client on this machine; by default a new one, because limits count for each"""
        transport = httpx.HTTPTransport(verify=self._trust(), local_address=address or new_address())
        return _Client(
            transport=transport, base_url=f"https://127.0.0.1:{self.port}", headers={"host": self.host}, timeout=60
        )

    @contextmanager
    def connect(self, *protocols: str) -> Iterator[ssl.SSLSocket]:
        """A connection for bytes that are no complete request. protocols: that the client offers in TLS"""
        context = self._trust()
        if protocols:
            context.set_alpn_protocols(protocols)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(new_address(), 0))
        with context.wrap_socket(plain, server_hostname=HOST) as connection:
            yield connection

    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))


class _Client(httpx.Client):
    def build_request(self, *arguments: object, **options: object) -> httpx.Request:
        request = super().build_request(*arguments, **options)  # type: ignore[arg-type]
        request.extensions["sni_hostname"] = HOST  # the certificate is not for the address
        return request


def new_address() -> str:
    return f"127.0.0.{next(ADDRESSES)}"


@contextmanager
def proxying(name: str, folder: Path, server_port: int) -> Iterator[Proxy]:
    """Runs the proxy of this name before the server on this port."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    certificate = _make_certificate(folder)
    replaced = {
        "127.0.0.1:8000": f"127.0.0.1:{server_port}",
        f"/etc/ssl/{HOST}.pem": str(certificate),
        f"/etc/ssl/{HOST}.key": str(certificate.with_suffix(".key")),
    }
    line = {"nginx": _nginx, "caddy": _caddy, "traefik": _traefik}[name](folder, port, replaced)
    log = folder / "proxy.log"
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    with log.open("wb") as output:
        process = subprocess.Popen([program(name) or "", *line], env=environment, stdout=output, stderr=output)
    try:
        _wait_until_ready(process, proxy := Proxy(port, certificate, log))
        yield proxy
    finally:
        process.terminate()
        process.wait(15)


def _nginx(folder: Path, port: int, replaced: dict[str, str]) -> list[str]:
    _copy("nginx.conf", folder, replaced | {"listen 443 ": f"listen {port} ", "[::]:443 ": f"[::]:{port} "})
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "main.conf").write_text(user + NGINX_MAIN.format(folder=folder))
    return ["-p", str(folder), "-c", "main.conf", "-e", "stderr", "-g", "daemon off;"]


def _caddy(folder: Path, port: int, replaced: dict[str, str]) -> list[str]:
    _copy(
        "Caddyfile",
        folder,
        replaced | {f"\n{{$ASR_HOST:{HOST}}} {{": f"\n{HOST}:{port} {{", "\n{\n": "\n{\n\tadmin off\n"},
    )
    return ["run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def _traefik(folder: Path, port: int, replaced: dict[str, str]) -> list[str]:
    _copy("traefik-dynamic.yaml", folder, replaced)
    _copy("traefik.yaml", folder, {":443": f":{port}", "filename: /etc/traefik/": f"filename: {folder}/"})
    return [f"--configfile={folder / 'traefik.yaml'}"]


def _copy(file: str, folder: Path, replaced: dict[str, str]) -> None:
    text = (FILES / file).read_text(encoding="utf-8")
    for old, new in replaced.items():
        assert old in text, (file, old)
        text = text.replace(old, new)
    (folder / file).write_text(text, encoding="utf-8")


def _make_certificate(folder: Path) -> Path:
    files = ["-out", str(folder / "asr.pem"), "-keyout", str(folder / "asr.key")]
    names = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", *key, *names, *files], check=True, capture_output=True)
    return folder / "asr.pem"


def _wait_until_ready(process: subprocess.Popen[bytes], proxy: Proxy) -> None:
    """Traefik listens before it has read its routes and certificates."""
    deadline = time.monotonic() + START_S
    with proxy.http() as http:
        while not _is_ready(http):
            assert process.poll() is None, proxy.log.read_text()
            assert time.monotonic() < deadline, proxy.log.read_text()
            time.sleep(0.05)


def _is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/livez").status_code == 200
    except httpx.TransportError:
        return False
