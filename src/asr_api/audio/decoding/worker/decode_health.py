"""Health of a decoding: whether its errors were in the headers, in between or at the end."""

from __future__ import annotations

import av

PARSER_DELAY_PACKETS = 1  # a read error is reported this many packets before the packet that it affects


class Health:
    """Counts errors that do not stop the decoding; FFmpeg often reports them in its log alone."""

    def __init__(self, messages: list[tuple[int, str, str]]) -> None:
        self.has_bad_headers = False
        self.num_errors = 0  # behind the headers
        self.has_recovered = False  # good packets came after an error
        self._num_good = PARSER_DELAY_PACKETS + 1  # packets since the latest error
        self._messages = messages  # (level, source, text); the library appends to it

    def note_headers(self) -> None:
        """Call it once after the headers: errors in them, in pictures or in other tracks, lose no audio."""
        self.has_bad_headers = self._has_new_error()

    def skip_messages(self) -> None:
        """Call it after packets that were noted before."""
        self._messages.clear()

    def note(self, *, is_packet: bool, has_failed: bool) -> None:
        """Call it once for each packet, and once for the end."""
        if self._has_new_error() or has_failed:
            self.num_errors += 1
            self._num_good = 0
        else:
            self.has_recovered |= is_packet and self._num_good == PARSER_DELAY_PACKETS
            self._num_good += is_packet

    @property
    def has_errors(self) -> bool:
        return self.has_bad_headers or self.num_errors > 0

    @property
    def is_bad_at_the_end(self) -> bool:
        return self._num_good <= PARSER_DELAY_PACKETS

    def _has_new_error(self) -> bool:
        has_error = any(level <= av.logging.ERROR or "corrupt" in text for level, _, text in self._messages)
        self._messages.clear()
        return has_error
