from __future__ import annotations

import pytest

from asr_api.engines.checkpoints.hub_address import check_hub_address
from asr_api.errors import CheckpointError


@pytest.mark.parametrize("address", ["https://hub.example", "http://127.0.0.1:8080/path", "https://[::1]:443"])
def test_address_of_http_passes(address: str) -> None:
    check_hub_address(address)


@pytest.mark.parametrize(
    "address", [None, "", "hub.example", "//hub.example", "ftp://hub", "http://hub:0", "http://h:x"]
)
def test_other_address_is_refused(address: str | None) -> None:
    with pytest.raises(CheckpointError, match=r"^HF_ENDPOINT is .*no address like .*; correct or unset it\.$"):
        check_hub_address(address)
