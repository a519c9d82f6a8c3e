"""HOST and PORT become listening sockets, or an error that names the wrong one of them."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from asr_api.errors import SettingsError
from asr_api.server.listen import UNREAD_BYTES, open_sockets


def test_an_ipv4_address_in_the_form_of_ipv6_is_listened_on() -> None:
    (listening,) = open_sockets("::ffff:127.0.0.1", 0)
    with listening:
        assert listening.getsockname()[0] == "127.0.0.1"
        socket.create_connection(listening.getsockname(), timeout=5).close()


HERE = "HOST is '127.0.0.1' and PORT is 8000, where the server cannot listen"


@pytest.mark.parametrize(
    ("code", "port", "sentence"),
    [
        (errno.EACCES, 80, "PORT is 80, and this user may not listen there; set one from 1024 up."),
        (errno.EADDRINUSE, 8000, "PORT is 8000, and another program is listening there; stop it or set another PORT."),
        (errno.EACCES, 8000, f"{HERE} (Permission denied); use * for every interface."),
        (errno.EINVAL, 8000, f"{HERE} (Invalid argument); use * for every interface."),
    ],
)
def test_the_error_names_the_setting(monkeypatch: pytest.MonkeyPatch, code: int, port: int, sentence: str) -> None:
    class Refusing(socket.socket):
        def bind(self, _address: object) -> None:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(SettingsError) as caught:
        open_sockets("127.0.0.1", port)
    assert str(caught.value) == sentence


def test_the_kernel_holds_little_of_a_reply_that_nobody_reads() -> None:
    (listening,) = open_sockets("127.0.0.1", 0)
    with listening, socket.create_connection(listening.getsockname(), timeout=5), listening.accept()[0] as accepted:
        held_bytes = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    assert held_bytes == 2 * UNREAD_BYTES  # Linux counts its own records as well
