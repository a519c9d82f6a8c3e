"""Sources of `asr-api transcribe`: FILE, URL, DIR and - on the command line → one `Source` for each recording."""

from __future__ import annotations

import os
import stat
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from asr_api.errors import PathNotFound, StartupError

STDIN = "-"
_EXTENSIONS = (
    "3g2 3gp aac ac3 act aif aifc aiff amr asf au avi caf dss dts eac3 ec3 f4v flac flv latm lbc loas m2ts m4a m4b m4v "
    "mka mkv mov mp2 mp3 mp4 mpeg mpg mts nist oga ogg ogv opus qcp qt ra rm snd sph ts tta voc vob w64 wav weba webm "
    "wma wmv wv"
)
AUDIO_EXTENSIONS = frozenset(_EXTENSIONS.split())


@dataclass(frozen=True, slots=True)
class Source:
    """One recording.

    name:      as given, for messages
    reference: a link, an absolute path or STDIN
    output:    path of its transcript below the output folder, without the extension of the format
    """

    name: str
    reference: str
    output: Path


def list_sources(names: Sequence[str]) -> list[Source]:
    """The sources in order; a folder stands for the audio files in it, sorted and without hidden ones.

    A folder that cannot be read and a broken link are sources too: opening them gives the error. Raises PathNotFound
    for a folder without audio, and StartupError when stdin is named twice.
    """
    if names.count(STDIN) > 1:
        raise StartupError("- is named more than once, but stdin can be read only once; name it once.")
    sources: list[Source] = []
    for name in names:
        path = Path(name)
        if name == STDIN:
            sources.append(Source("stdin", STDIN, Path("stdin")))
        elif os.path.isdir(path):  # noqa: PTH112  # Path.is_dir raises in an unreadable folder
            sources += _sources_in(path)
        elif is_link(name):
            sources.append(Source(name, name, Path(_file_name_of(name) or "audio")))
        else:
            sources.append(Source(name, str(path.absolute()), Path(path.absolute().name)))
    return _without_extensions(sources)


def is_audio_file(path: Path) -> bool:
    return path.suffix.lower().removeprefix(".") in AUDIO_EXTENSIONS


def is_link(name: str) -> bool:
    """A name with :// is a link unless a file has that name."""
    return "://" in name and not os.path.exists(name)  # noqa: PTH110  # Path.exists raises in an unreadable folder


def _sources_in(folder: Path) -> list[Source]:
    files = _find_audio(folder)
    if not files:
        raise PathNotFound(f"{folder} contains no audio file; name its files one by one if their extensions differ.")
    own_name = Path(folder.absolute().name)
    outputs = [own_name if file == folder else file.relative_to(folder) for file in files]
    return [Source(str(file), str(file.absolute()), output) for file, output in zip(files, outputs, strict=True)]


def _file_name_of(link: str) -> str:
    try:
        return Path(urlsplit(link).path).name
    except ValueError:  # not a valid link; fetching it gives the error
        return ""


def _find_audio(folder: Path) -> list[Path]:
    """The audio files in a folder, and every entry in it that may be audio and cannot be examined.

    Links to folders are followed, but no folder is searched twice.
    """
    found: list[Path] = []
    searched: set[Path] = set()
    folders, linked_folders = deque([folder]), deque[Path]()
    while folders or linked_folders:  # real folders first, so that their files keep their own paths
        current = (folders or linked_folders).popleft()
        real = current.resolve()
        if real in searched:
            continue
        searched.add(real)
        try:
            entries = [entry for entry in current.iterdir() if not entry.name.startswith(".")]
        except OSError:
            found.append(current)
            continue
        for entry in entries:
            if is_folder := _is_folder(entry):
                (linked_folders if entry.is_symlink() else folders).append(entry)
            elif is_audio_file(entry) or (is_folder is None and not entry.suffix):
                found.append(entry)
    return sorted(found)


def _is_folder(path: Path) -> bool | None:
    """None when it is unknown: a broken link, or an entry of an unreadable folder."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return None


def _without_extensions(sources: Sequence[Source]) -> list[Source]:
    """Outputs lose the extension of their source (a.mp3 → a.srt) unless two of them would then be the same."""
    uses = Counter(source.output.with_suffix("") for source in sources)
    return [
        replace(source, output=bare) if uses[bare := source.output.with_suffix("")] == 1 else source
        for source in sources
    ]
