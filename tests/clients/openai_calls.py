"""Calls of OpenAI's Python client, blocking and asynchronous in one form; a stream comes as the list of its events."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from openai import AsyncOpenAI, AsyncStream, OpenAI, Stream

from tests.server.running import Server

Kind = Literal["sync", "async"]
MODEL = "whisper-1"


def openai_options(server: Server) -> dict[str, Any]:
    """No retries, so that each call is one request."""
    return {"base_url": f"http://127.0.0.1:{server.port}/v1", "api_key": "any", "max_retries": 0}


def transcribe(kind: Kind, server: Server, audio: bytes, **options: Any) -> Any:
    return _call(kind, server, "transcriptions", {"file": ("audio.wav", audio), "model": MODEL, **options})


def translate(kind: Kind, server: Server, audio: bytes, **options: Any) -> Any:
    return _call(kind, server, "translations", {"file": ("audio.wav", audio), "model": MODEL, **options})


def _call(kind: Kind, server: Server, resource: str, options: dict[str, Any]) -> Any:
    if kind == "async":
        return asyncio.run(_call_async(server, resource, options))
    with OpenAI(**openai_options(server)) as client:
        reply = getattr(client.audio, resource).create(**options)
        return list(reply) if isinstance(reply, Stream) else reply


async def _call_async(server: Server, resource: str, options: dict[str, Any]) -> Any:
    async with AsyncOpenAI(**openai_options(server)) as client:
        reply = await getattr(client.audio, resource).create(**options)
        return [event async for event in reply] if isinstance(reply, AsyncStream) else reply
