"""`ApiCall`: a request that was admitted, with what the steps after that need."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from asr_api.compose import Service
from asr_api.engines.protocol import EngineInfo
from asr_api.request import RequestScope


@dataclass(frozen=True, slots=True)
class ApiCall:
    request: Request
    service: Service
    scope: RequestScope
    info: EngineInfo

    @property
    def content_type(self) -> str:
        return self.request.headers.get("content-type", "")
