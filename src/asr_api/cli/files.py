"""What `asr-api transcribe` reads and writes: FILE|URL|DIR → sources in order, and a transcript → stdout or a file.

Knows nothing about how audio becomes text.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from asr_api.errors import CannotWrite, PathNotFound, StartupError
from asr_api.formats import Format
from asr_api.transcript import Transcript

STDIN = "-"
ONE_A_FILE = frozenset({"srt", "vtt"})  # formats that can't be written one behind the other
AUDIO_ENDINGS = (
    "3g2 3gp aac ac3 aif aifc aiff amr asf au avi caf dts eac3 ec3 f4v flac flv latm loas m2ts m4a m4b m4v mka mkv mov "
    "mp2 mp3 mp4 mpeg mpg mts nist oga ogg ogv opus qt snd sph ts tta voc vob w64 wav weba webm wma wmv wv"
)
AUDIO_SUFFIXES = frozenset(f".{ending}" for ending in AUDIO_ENDINGS.split())


@dataclass(frozen=True, slots=True)
class Source:
    """name: as people know it; place: link, absolute path or STDIN; output: path of its output, below the folder."""

    name: str
    place: str
    output: Path


@dataclass(frozen=True, slots=True)
class Output:
    """Where transcripts go. folder: None is stdout; names_sources: there, for there are several"""

    format: Format
    folder: Path | None
    names_sources: bool = False

    def check(self, sources: Sequence[Source]) -> None:
        """Raises StartupError when not all transcripts can go there."""
        name = self.format.name
        if self.folder is None:
            if len(sources) > 1 and name in ONE_A_FILE:
                raise StartupError(f"{len(sources)} sources do not fit into one {name} file; add --output-dir DIR.")
            return
        output, count = Counter(source.output for source in sources).most_common(1)[0]
        if count > 1:
            raise StartupError(
                f"{count} sources have the same name, {output}, and so would their outputs; rename them."
            )
        self._check_overwrites_none(sources, self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            raise StartupError(f"--output-dir is '{self.folder}', which can't be made; name another folder.") from None

    def _check_overwrites_none(self, sources: Sequence[Source], folder: Path) -> None:
        files = {_identity(source.place): source.name for source in sources}
        files.pop(None, None)
        for source in sources:
            path = self._path(source, folder)
            if victim := files.get(_identity(path)):
                raise StartupError(
                    f"--output-dir is '{folder}', where {path.name} would overwrite {victim}; name another folder."
                )

    def write(self, source: Source, transcript: Transcript) -> None:
        """Raises CannotWrite, or BrokenPipeError."""
        body = self.format.write(transcript)
        if self.folder is None:
            print_out(self._named(source, body) if self.names_sources else body)
            return
        path = self._path(source, self.folder)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")
        except OSError as error:
            raise CannotWrite(f"its output can't be written: {error.strerror}; choose another place for it.") from error

    def _path(self, source: Source, folder: Path) -> Path:
        suffix = "txt" if self.format.name == "text" else self.format.name
        return folder / source.output.with_name(f"{source.output.name}.{suffix}")

    def _named(self, source: Source, body: str) -> str:
        """One line, as grep names the files of its lines."""
        if self.format.name == "json":
            return f'{{"source": {json.dumps(source.name)}, {body.removeprefix("{")}'
        name = os.fsencode(source.name).decode(errors="backslashreplace")  # whatever bytes it has, stdout takes text
        return f"{name}: {body}" if body else f"{name}:\n"


def print_out(text: str) -> None:
    """To stdout. Raises CannotWrite, or BrokenPipeError: the reader of stdout has left, and what is there is enough."""
    if sys.stdout is None:
        raise CannotWrite("its output can't be written: stdout is closed; add --output-dir DIR.")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWrite(f"its output can't be written: {error.strerror}; choose another place for it.") from error
    except UnicodeEncodeError as error:
        raise CannotWrite(
            f"its output can't be written where stdout takes only {error.encoding}; set PYTHONUTF8=1."
        ) from error


def list_sources(given: Sequence[str]) -> list[Source]:
    """Folders become the audio files in them, in order and without hidden ones.

    What can't be looked at, a closed folder or a link to nothing, is a source as well: opening it tells why.
    """
    if given.count(STDIN) > 1:
        raise StartupError("- is named more than once, and stdin can be read only once; name it once.")
    sources: list[Source] = []
    for name in given:
        if name == STDIN:
            sources.append(Source("stdin", STDIN, Path("stdin")))
            continue
        path = Path(name)
        # Not Path's questions, which raise in closed folders.
        inside = _walk(path) if os.path.isdir(path) else [path]  # noqa: PTH112
        if inside != [path]:
            if not inside:
                raise PathNotFound(
                    f"{name} holds no audio file; name its files one by one if their endings are unusual."
                )
            sources += [Source(str(file), str(file.absolute()), file.relative_to(path)) for file in inside]
        elif is_link(name):
            sources.append(Source(name, name, Path(_name_in_link(name) or "audio")))
        else:
            sources.append(Source(name, str(path.absolute()), Path(path.absolute().name)))
    return _told_apart(sources)


def is_link(name: str) -> bool:
    """And no file: a file may have any name."""
    return "://" in name and not os.path.exists(name)  # noqa: PTH110 - Path's question raises in closed folders


def _name_in_link(link: str) -> str:
    try:
        return Path(urlsplit(link).path).name
    except ValueError:  # no link after all; fetching it tells why
        return ""


def _walk(folder: Path) -> list[Path]:
    """The audio files in a folder, and everything in it that may be audio and can't be looked at.

    Links to folders are followed, but no folder is walked twice.
    """
    found: list[Path] = []
    walked: set[Path] = set()
    folders, linked = deque([folder]), deque[Path]()
    while folders or linked:  # what is really here goes first, and keeps its name
        folder = (folders or linked).popleft()
        real = folder.resolve()
        if real in walked:
            continue
        walked.add(real)
        try:
            entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        except OSError:
            found.append(folder)
            continue
        for entry in entries:
            is_folder = _is_folder(entry)
            if is_folder:
                (linked if entry.is_symlink() else folders).append(entry)
            elif entry.suffix.lower() in AUDIO_SUFFIXES or (is_folder is None and not entry.suffix):
                found.append(entry)
    return sorted(found)


def _is_folder(path: Path) -> bool | None:
    """None where it can't be told: behind a link that leads nowhere, or in a folder that is closed."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return None


def _identity(place: str | Path) -> tuple[int, int] | None:
    """Of the file that a name leads to, by whatever links; None when there is none."""
    try:
        status = os.stat(0 if place == STDIN else place)  # noqa: PTH116  # stdin has no path
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _told_apart(sources: Sequence[Source]) -> list[Source]:
    """Outputs lose the ending of their source, a.mp3 → a.srt, unless another source then has the same output."""
    uses = Counter(source.output.with_suffix("") for source in sources)
    return [
        replace(source, output=bare) if uses[bare := source.output.with_suffix("")] == 1 else source
        for source in sources
    ]
