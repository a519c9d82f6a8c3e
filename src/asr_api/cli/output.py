"""Output of `asr-api transcribe`: each transcript in its format, to stdout or to a file of its own in a folder."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_api.cli.sources import STDIN, Source
from asr_api.errors import CannotWrite, StartupError
from asr_api.formats import FORMATS
from asr_api.options import SubtitleOptions
from asr_api.text.printable import printable, printable_lines
from asr_api.transcript import Transcript

SINGLE_TRANSCRIPT_FORMATS = frozenset({"srt", "vtt", "tsv"})  # files of these formats cannot be concatenated


@dataclass(frozen=True, slots=True)
class Output:
    """How and where transcripts are written.

    format:        a key of FORMATS
    folder:        None is stdout
    names_sources: write the source before a transcript
    subtitles:     the layout of cues, for formats that have some
    """

    format: str
    folder: Path | None
    names_sources: bool = False
    subtitles: SubtitleOptions = SubtitleOptions()

    def check(self, sources: Sequence[Source]) -> None:
        """Raises StartupError when the transcripts of all sources cannot be written there."""
        if self.folder is None:
            if len(sources) > 1 and self.format in SINGLE_TRANSCRIPT_FORMATS:
                raise StartupError(f"{len(sources)} sources do not fit into one {self.format}; add --output-dir DIR.")
            return
        output, count = Counter(source.output for source in sources).most_common(1)[0]
        if count > 1:
            raise StartupError(f"{count} sources have the same output, {output}; rename the sources.")
        self._check_overwrites(sources, self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            raise StartupError(f"--output-dir is '{self.folder}', which cannot be created; name another.") from None

    def write(self, source: Source, transcript: Transcript) -> None:
        """Raises CannotWrite, or BrokenPipeError."""
        body = FORMATS[self.format](transcript, self.subtitles)
        if self.folder is None:
            print_out(self._with_name(source, body) if self.names_sources else body)
            return
        path = self._path(source, self.folder)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")
        except OSError as error:
            raise _cannot_write(error) from error

    def _check_overwrites(self, sources: Sequence[Source], folder: Path) -> None:
        names = {_file_identity(source.reference): source.name for source in sources}
        names.pop(None, None)
        for source in sources:
            path = self._path(source, folder)
            if overwritten := names.get(_file_identity(path)):
                problem = f"where {path.name} would overwrite {overwritten}"
                raise StartupError(f"--output-dir is '{folder}', {problem}; name another folder.")

    def _path(self, source: Source, folder: Path) -> Path:
        extension = "txt" if self.format == "text" else self.format
        return folder / source.output.with_name(f"{source.output.name}.{extension}")

    def _with_name(self, source: Source, body: str) -> str:
        """The name comes first, as in the output of grep; in JSON it is a key."""
        if self.format == "json":
            return f'{{"source": {json.dumps(source.name)}, {body.removeprefix("{")}'
        name = printable(source.name)
        return f"{name}: {body}" if body else f"{name}:\n"


def print_error(sentence: str) -> None:
    """One line on stderr; the sentence may name files and hold text of others."""
    sys.stderr.write(f"asr-api: {printable(sentence)}\n")


def print_out(text: str) -> None:
    """To stdout; on a terminal without controls, which a model may write, too.

    Raises CannotWrite, or BrokenPipeError when the reader of stdout has left.
    """
    if sys.stdout is None:
        raise CannotWrite("The output cannot be written: stdout is closed; add --output-dir DIR.")
    try:
        sys.stdout.write(printable_lines(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_write(error) from error
    except UnicodeEncodeError as error:
        problem = f"the encoding of stdout is {error.encoding}"
        raise CannotWrite(f"The output cannot be written: {problem}; set PYTHONUTF8=1.") from error


def _cannot_write(error: OSError) -> CannotWrite:
    return CannotWrite(f"The output cannot be written: {error.strerror}; write it to another place.")


def _file_identity(reference: str | Path) -> tuple[int, int] | None:
    """Device and inode of the file behind any links; None when there is no file."""
    try:
        status = os.stat(0 if reference == STDIN else reference)  # noqa: PTH116  # stdin has no path
    except OSError:
        return None
    return status.st_dev, status.st_ino
