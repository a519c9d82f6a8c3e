"""`AsrError`: a failure with a stable code and a sentence that is safe to show to a client."""

from __future__ import annotations

from typing import ClassVar


class AsrError(Exception):
    """A failure with a stable `code`; `str(error)` is a sentence that is safe to show to a client.

    parameter: of the request, under the client's name, if the failure is about one
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    is_retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after_s: int | None = None, parameter: str | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.parameter = parameter

    def __reduce__(self) -> tuple[type[AsrError], tuple[str], dict[str, object]]:
        return type(self), (str(self),), vars(self)
