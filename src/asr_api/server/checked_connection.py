"""`CheckedConnection`: h11's connection, which reports malformed requests by our errors and refuses tiny chunks."""

from __future__ import annotations

import h11

from asr_api.errors import AsrError, HeadersTooLarge, InvalidRequest
from asr_api.server.error_responses import error_response

# A chunk costs as much time as 1 KiB of audio, however small it is.
MIN_CHUNK_BYTES = 64  # on average
MAX_SMALL_CHUNKS = 256  # before that average counts


class CheckedConnection(h11.Connection):
    def __init__(self) -> None:
        super().__init__(h11.SERVER)
        self._num_chunks = 0
        self._num_bytes = 0
        self._is_head = False

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Raises InvalidRequest and HeadersTooLarge."""
        is_in_body = self.their_state is h11.SEND_BODY
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == HeadersTooLarge.status and not is_in_body:
                raise HeadersTooLarge("The headers are too large; send fewer.") from None
            raise InvalidRequest("The request is not valid HTTP/1.1; correct it.") from None
        if isinstance(event, h11.Request):
            self._num_chunks = self._num_bytes = 0
            self._is_head = event.method == b"HEAD"
        elif isinstance(event, h11.Data):
            self._check_chunks(event)
        return event

    def _check_chunks(self, data: h11.Data) -> None:
        self._num_chunks += data.chunk_start
        self._num_bytes += len(data.data)
        num_before = self._num_chunks - 1  # the last one may not be complete
        if num_before >= MAX_SMALL_CHUNKS and self._num_bytes < num_before * MIN_CHUNK_BYTES:
            raise InvalidRequest(
                f"The chunks of the body have fewer than {MIN_CHUNK_BYTES} bytes on average; send larger ones."
            )

    def error_reply(self, error: AsrError, request_id: str, status: int | None = None) -> bytes:
        """After which the connection has to be closed. status: in place of the error's own"""
        reply = error_response(error, request_id)
        headers = [*reply.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
        events = (
            h11.Response(status_code=status or error.status, headers=headers),
            h11.Data(data=b"" if self._is_head else bytes(reply.body)),
            h11.EndOfMessage(),
        )
        return b"".join(self.send(event) or b"" for event in events)
