"""The process cannot start, or the command line cannot write."""

from __future__ import annotations

from asr_api.errors.asr_error import AsrError


class StartupError(AsrError):
    code = "startup_error"


class SettingsError(StartupError):
    code = "invalid_setting"


class CheckpointError(StartupError):
    code = "checkpoint_unusable"


class CannotWrite(AsrError):
    code = "cannot_write"
