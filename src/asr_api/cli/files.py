"""What `asr-api transcribe` reads and writes: FILE|URL|DIR → sources in order, and a transcript → stdout or a file.

Knows nothing about how audio becomes text.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from asr_api.errors import PathNotFound, StartupError
from asr_api.formats import Format
from asr_api.transcript import Transcript

STDIN = "-"
ONE_A_FILE = frozenset({"srt", "vtt"})  # formats that can't be written one behind the other
AUDIO_ENDINGS = (
    "3gp aac ac3 aif aifc aiff amr au avi caf flac m4a m4b mka mkv mov mp2 mp3 mp4 mpeg mpg oga ogg ogv opus ts wav "
    "weba webm wma wmv"
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
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            raise StartupError(f"--output-dir is '{self.folder}', which can't be made; name another folder.") from None

    def write(self, source: Source, transcript: Transcript) -> None:
        body = self.format.write(transcript)
        if self.folder is None:
            sys.stdout.write(self._named(source, body) if self.names_sources else body)
            sys.stdout.flush()
            return
        suffix = "txt" if self.format.name == "text" else self.format.name
        path = self.folder / source.output.with_name(f"{source.output.name}.{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")

    def _named(self, source: Source, body: str) -> str:
        """One line, as grep names the files of its lines."""
        if self.format.name == "json":
            return f'{{"source": {json.dumps(source.name)}, {body.removeprefix("{")}'
        name = os.fsencode(source.name).decode(errors="backslashreplace")  # whatever bytes it has, stdout takes text
        return f"{name}: {body}" if body else f"{name}:\n"


def list_sources(given: Sequence[str]) -> list[Source]:
    """Folders become the audio files in them, in order and without hidden ones."""
    if given.count(STDIN) > 1:
        raise StartupError("- is named more than once, and stdin can be read only once; name it once.")
    sources: list[Source] = []
    for name in given:
        if name == STDIN:
            sources.append(Source("stdin", STDIN, Path("stdin")))
            continue
        path = Path(name)
        if path.is_dir():
            inside = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
            audio = [file for file in inside if file.suffix.lower() in AUDIO_SUFFIXES and "/." not in f"/{file}"]
            if not audio:
                raise PathNotFound(
                    f"{name} holds no audio file; name its files one by one if their endings are unusual."
                )
            sources += [Source(str(path / file), str((path / file).absolute()), file) for file in audio]
        elif "://" in name and not path.exists():
            sources.append(Source(name, name, Path(Path(urlsplit(name).path).name or "audio")))
        else:
            sources.append(Source(name, str(path.absolute()), Path(path.name)))
    return _told_apart(sources)


def _told_apart(sources: Sequence[Source]) -> list[Source]:
    """Outputs lose the ending of their source, a.mp3 → a.srt, unless another source then has the same output."""
    uses = Counter(source.output.with_suffix("") for source in sources)
    return [
        replace(source, output=bare) if uses[bare := source.output.with_suffix("")] == 1 else source
        for source in sources
    ]
