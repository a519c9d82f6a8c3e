"""The asr-api command as scripts and people use it; the scripted engine hears the numbers that `wav` says."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeVar

import av
import psutil
import pytest

from asr_api import __version__
from asr_api.audio.decoding.worker.media import DEMUXERS
from asr_api.audio.sources.spool import Spool
from asr_api.cli.files import AUDIO_ENDINGS, list_sources
from asr_api.errors import PathNotFound
from asr_api.options import TranscribeOptions
from asr_api.settings.declaration import flag_of, is_server_only
from asr_api.settings.settings import Settings
from asr_api.transcriber import Transcriber
from asr_api.transcript import TranscriptPart
from tests.engines.scripted import Script
from tests.server.in_process import Cli, Ended
from tests.server.running import ROOT, command, environment, wav

T = TypeVar("T")


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    return Cli(capfd, monkeypatch, tmp_path)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    (folder / "more").mkdir(parents=True)
    (folder / ".trash").mkdir()
    (folder / "b.wav").write_bytes(wav(2, 22))
    (folder / "a.wav").write_bytes(wav(1, 11, word_s=2))
    (folder / "more" / "c.WAV").write_bytes(wav(3))
    (folder / ".trash" / "d.wav").write_bytes(wav(4))
    (folder / "notes.txt").write_text("not audio")
    return folder


def test_text_goes_to_a_pipe_in_order_and_a_bad_source_stops_no_other(
    cli: Cli, tmp_path: Path, recordings: Path
) -> None:
    (tmp_path / "bad.wav").write_bytes(b"not audio at all" * 100)
    ended = cli.run("transcribe", "recordings", "bad.wav", "nowhere.mp3", "http://[::1", "recordings/b.wav")
    said = ("recordings/a.wav: 1 11", "recordings/b.wav: 2 22", "recordings/more/c.WAV: 3", "recordings/b.wav: 2 22")
    assert ended.stdout.splitlines() == list(said)
    assert ended.code == 1
    bad, missing, no_link = ended.stderr.splitlines()
    assert bad.startswith("asr-api: bad.wav: The format of the file is not supported")
    assert missing == "asr-api: nowhere.mp3: there is no such file; check the spelling."
    assert no_link.startswith("asr-api: http://[::1: The url cannot be parsed")
    assert recordings.exists()


def test_nothing_in_a_folder_is_passed_over_in_silence(
    cli: Cli, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, whom no mode keeps out."""
    closed = recordings / "closed"
    closed.mkdir()
    (recordings / "gone.wav").symlink_to("/nowhere/at/all.wav")
    (recordings / "README.md").symlink_to("/nowhere/at/all.md")
    (recordings / "again").symlink_to(recordings / "more")
    (outside := recordings.parent / "outside").mkdir()
    (outside / "c.WAV").write_bytes((recordings / "more" / "c.WAV").read_bytes())
    (recordings / "zz").symlink_to(outside)
    (recordings / "more" / "back").symlink_to(recordings)
    for module, name in ((os, "listdir"), (os, "scandir"), (os, "open")):
        monkeypatch.setattr(module, name, closed_to(getattr(module, name), closed))
    ended = cli.run("transcribe", "recordings")
    heard = ("a.wav: 1 11", "b.wav: 2 22", "more/c.WAV: 3", "zz/c.WAV: 3")
    assert ended.stdout.splitlines() == [f"recordings/{line}" for line in heard]
    may_not = "The user that asr-api runs as may not read that path; change its owner or its mode."
    assert ended.stderr.splitlines() == [
        f"asr-api: recordings/closed: {may_not}",
        "asr-api: recordings/gone.wav: it is a link that leads nowhere; mend or remove it.",
    ]
    assert ended.code == 1
    monkeypatch.chdir(closed)
    for name in (str(closed), "."):
        ended = cli.run("transcribe", name)
        assert (ended.code, ended.stdout, ended.stderr) == (1, "", f"asr-api: {name}: {may_not}\n")


def closed_to(function: Callable[..., T], folder: Path) -> Callable[..., T]:
    def refuse(path: object, *arguments: object, **named: object) -> T:
        if isinstance(path, str | Path) and Path(path).absolute() == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return function(path, *arguments, **named)

    return refuse


def test_a_source_that_breaks_off_is_told_and_3(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "whole.wav").write_bytes(wav(1))
    (tmp_path / "broken.wav").write_bytes(wav(*range(1, 9))[:-40_000])
    ended = cli.run("transcribe", "broken.wav", "whole.wav")
    assert (ended.code, ended.stdout.splitlines()[1]) == (3, "whole.wav: 1")
    assert ended.stderr == "asr-api: broken.wav: the file breaks off; this is the text of its good part.\n"
    assert cli.run("transcribe", "broken.wav", "nowhere.wav").code == 1


def test_a_source_that_is_damaged_on_the_way_is_told_and_3(cli: Cli, tmp_path: Path) -> None:
    flac = bytearray((ROOT / "samples" / "code.flac").read_bytes())
    flac[len(flac) // 2 : len(flac) // 2 + 3000] = bytes(3000)
    (tmp_path / "damaged.flac").write_bytes(flac)
    ended = cli.run("transcribe", "damaged.flac")
    notice = "parts of the file can't be decoded; their text is missing, and later times may be early."
    assert (ended.code, ended.stderr) == (3, f"asr-api: damaged.flac: {notice}\n")
    assert json.loads(cli.run("transcribe", "damaged.flac", "--format", "json").stdout)["damaged"] is True


def test_formats_that_cannot_tell_what_is_doubtful_leave_it_to_stderr(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(1, 2, 3))
    script = Script(invented=(2,))
    for name in ("text", "srt", "vtt"):
        ended = cli.run("transcribe", "a.wav", "--format", name, script=script)
        notice = "passages that may be wrong or were left out: 1; --format json tells which."
        assert (ended.code, ended.stderr) == (0, f"asr-api: a.wav: {notice}\n")
    ended = cli.run("transcribe", "a.wav", "--format", "json", script=script)
    assert (ended.stderr, len(json.loads(ended.stdout)["omitted"])) == ("", 1)


def test_a_source_whose_name_is_no_text_is_named_all_the_same(tmp_path: Path) -> None:
    for name in (b"a.wav", b"caf\xe9.wav"):
        (tmp_path / os.fsdecode(name)).write_bytes(wav(1))
    line = command({}, "transcribe", str(tmp_path))
    environ = environment(tmp_path, PYTHONIOENCODING="utf-8:strict")
    ended = subprocess.run(line, check=False, env=environ, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{tmp_path}/a.wav: 1\n{tmp_path}/caf\\xe9.wav: 1\n"


def test_a_text_that_stdout_does_not_take_stops_no_other(tmp_path: Path) -> None:
    for name in ("a.wav", "日本.wav", "日本語.wav"):
        (tmp_path / name).write_bytes(wav(1))
    line = command({}, "transcribe", "日本.wav", "a.wav", "日本語.wav")
    environ = environment(tmp_path, PYTHONIOENCODING="latin-1")
    ended = subprocess.run(line, check=False, env=environ, cwd=tmp_path, capture_output=True)
    assert (ended.returncode, ended.stdout) == (1, b"a.wav: 1\n")
    assert ended.stderr.count(b"its output can't be written where stdout takes only latin-1; set PYTHONUTF8=1.") == 2


def test_every_kind_of_file_that_can_be_read_is_found_in_a_folder() -> None:
    known = {name: av.ContainerFormat(name, "r").extensions or {name} for name in DEMUXERS.split(",")}
    nameless = {"amrnb", "amrwb", "mpegts"}  # whose endings the library does not name: amr, and ts, mts, m2ts
    assert {name for name, endings in known.items() if not endings & set(AUDIO_ENDINGS.split())} == nameless


def test_a_full_disk_is_told() -> None:
    for arguments in (["models"], ["transcribe", "samples/hello.wav"]):
        line = [sys.executable, "-m", "asr_api", *arguments]
        with Path("/dev/full").open("w") as full:
            environ = os.environ | {"MODEL_ID": "builtin"}
            ended = subprocess.run(line, check=False, env=environ, cwd=ROOT, stdout=full, stderr=-1, text=True)
        assert ended.returncode == 1
        assert ended.stderr.endswith("can't be written: No space left on device; choose another place for it.\n")
        assert ended.stderr.count("\n") == 1


def test_stdin_is_a_source(tmp_path: Path, cli: Cli) -> None:
    def run(*arguments: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
        line = command({}, "transcribe", *arguments)
        return subprocess.run(line, check=False, input=given, env=environment(tmp_path), cwd=ROOT, capture_output=True)

    assert run("-", given=wav(4, 5)).stdout == b"4 5\n"
    failed = run("-", given=b"")
    assert (failed.returncode, failed.stderr) == (1, b"asr-api: stdin: The file contains no audio; record it again.\n")
    closed = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *command({}, "transcribe", "-")],
        check=False,
        env=environment(tmp_path),
        cwd=ROOT,
        stderr=-1,
    )
    assert (closed.returncode, closed.stderr) == (1, b"asr-api: stdin: it is closed; pipe a recording into it.\n")
    assert "- is named more than once" in cli.run("transcribe", "-", "-").stderr


def test_every_wish_is_a_flag(cli: Cli, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[TranscribeOptions] = []
    original = Transcriber.transcribe

    def transcribe(self: Transcriber, spool: Spool, options: TranscribeOptions) -> AsyncGenerator[TranscriptPart, None]:
        seen.append(options)
        return original(self, spool, options)

    monkeypatch.setattr(Transcriber, "transcribe", transcribe)
    monkeypatch.setenv("DEFAULT_LANGUAGE", "fr")
    wishes = [
        "--language=de",
        "--languages",
        "de,en",
        "--prompt",
        "Hello.",
        "--hotwords",
        "Ada",
        "--temperature",
        "0.8",
    ]
    wishes += ["--words", "--no-timestamps", "--task", "translate", "--no-vad"]
    ended = cli.run("transcribe", "recordings/b.wav", *wishes, "--format", "json")
    assert (ended.code, json.loads(ended.stdout)["text"]) == (0, "2 22")
    cli.run("transcribe", "recordings/b.wav")
    full = TranscribeOptions("translate", "de", ("de", "en"), "Hello.", "Ada", (0.8, 1.0), timestamps=False, words=True)
    assert seen == [full, TranscribeOptions(language="fr")]


def test_files_are_written_beside_each_other(cli: Cli, tmp_path: Path, recordings: Path) -> None:
    (recordings / "b.mp4").write_bytes(wav(5))
    ended = cli.run("transcribe", "recordings", "--format", "srt", "--output-dir", "subtitles/new")
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    written = sorted(str(path.relative_to(tmp_path / "subtitles/new")) for path in tmp_path.rglob("*.srt"))
    assert written == ["a.srt", "b.mp4.srt", "b.wav.srt", "more/c.srt"]
    expected = "1\n00:00:00,000 --> 00:00:00,500\n3\n\n"
    assert (tmp_path / "subtitles/new/more/c.srt").read_text() == expected


def test_no_output_overwrites_a_source(cli: Cli, tmp_path: Path, recordings: Path) -> None:
    source = recordings / "x.json"
    source.write_bytes(wav(1))
    (tmp_path / "linked").symlink_to(recordings)
    (tmp_path / "outputs").mkdir()
    os.link(source, tmp_path / "outputs" / "x.json")
    for folder in ("recordings", "linked", "outputs"):
        ended = cli.run("transcribe", "recordings/x.json", "--format", "json", "--output-dir", folder)
        sentence = f"--output-dir is '{folder}', where x.json would overwrite recordings/x.json; name another folder."
        assert (ended.code, ended.stderr) == (2, f"asr-api: {sentence}\n")
    assert source.read_bytes() == wav(1)
    assert cli.run("transcribe", "recordings/x.json", "--format", "srt", "--output-dir", "recordings").code == 0


def test_json_is_one_line_for_each_source(cli: Cli, recordings: Path) -> None:
    ended = cli.run("transcribe", str(recordings), "--format", "json")
    bodies = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [body["text"] for body in bodies] == ["1 11", "2 22", "3"]
    assert [Path(body["source"]).name for body in bodies] == ["a.wav", "b.wav", "c.WAV"]
    assert bodies[1]["segments"][1] == {"start": 1.0, "end": 1.5, "text": "22"}


def test_a_terminal_sees_progress_and_a_pipe_does_not(tmp_path: Path, recordings: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with subprocess.Popen(
        command({"step_s": 0.2}, "transcribe", str(recordings)),
        env=environment(tmp_path, TERM="xterm", COLUMNS="100"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as process:
        os.close(theirs)
        stdout, _ = process.communicate(timeout=20)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # how a terminal says that the other side is gone
        pass
    os.close(ours)
    assert [line.rpartition(": ")[2] for line in stdout.splitlines()] == ["1 11", "2 22", "3"]
    assert b"s of audio, 2 of 3 done" in shown
    assert b"100%" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["transcribe", "a.wav", "--language", "klingon"], "klingon"),
        (["transcribe", "a.wav", "--language", "sw"], "language is sw, which this model does not know"),
        (["transcribe", "a.wav", "--temperature", "2"], "temperature is '2'; it must be a number from 0 to 1."),
        (["transcribe", "a.wav", "--task", "sing"], "task is 'sing'"),
        (["transcribe", "a.wav", "--batch-size", "none"], "BATCH_SIZE is 'none'"),
        (["transcribe", "a.wav", "--port", "1"], "unrecognized arguments: --port 1"),
        (["transcribe", "a.wav", "--words"], "--words asks for times, which --format text has none of"),
        (["transcribe", "a.wav", "b.wav", "--format", "srt"], "2 sources do not fit into one srt file"),
        (["transcribe", "x/a.wav", "y/a.wav", "--output-dir", "out"], "2 sources have the same name, a.wav"),
        (["transcribe", "a.wav", "--output-dir", "/dev/null/x"], "--output-dir is '/dev/null/x'"),
        (["transcribe"], "the following arguments are required"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "required"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_2(cli: Cli, arguments: list[str], sentence: str) -> None:
    ended = cli.run(*arguments)
    assert (ended.code, ended.stdout) == (2, "")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_engine_that_cannot_load_is_2(cli: Cli, recordings: Path) -> None:
    ended = cli.run("transcribe", str(recordings), script=Script(load_error="The checkpoint is odd; take another."))
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1] == "asr-api: The checkpoint is odd; take another."


def wait_for_engine(pid: int, timeout_s: float = 20) -> None:
    deadline_s = time.monotonic() + timeout_s
    while "asr-api-engine" not in {child.name() for child in psutil.Process(pid).children()}:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_an_interrupt_is_130_and_leaves_no_process(tmp_path: Path, recordings: Path) -> None:
    script: dict[str, object] = {"step_s": 0.1, "steps_per_window": 600}
    with subprocess.Popen(
        command(script, "transcribe", str(recordings), "--log-level", "info"),
        env=environment(tmp_path),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_for_engine(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_reader_that_leaves_is_no_drama(tmp_path: Path, recordings: Path) -> None:
    with subprocess.Popen(
        command({}, "transcribe", str(recordings)),
        env=environment(tmp_path),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_help_is_quick_and_names_every_setting(tmp_path: Path) -> None:
    def help_of(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "asr_api", *arguments, "--help"],
            env=environment(tmp_path, COLUMNS="200"),
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    assert "3 a source broke off" in " ".join(help_of("transcribe").split())
    assert {"serve", "transcribe", "models"} <= set(help_of().replace("|", " ").split())
    served, transcribed = help_of("serve"), help_of("transcribe")
    for name, field in Settings.model_fields.items():
        assert flag_of(name) in served
        assert (flag_of(name) in transcribed) is not is_server_only(field)
    code = (
        "import sys, asr_api.cli.main; print(sorted({'numpy', 'fastapi', 'tqdm', 'huggingface_hub'} & {*sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded == "[]\n"


def test_a_bad_place_for_uploads_is_told_before_anything_starts(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    for arguments in (["serve", "--port", "0"], ["transcribe", "a.wav"], ["bench"]):
        ended = cli.run(*arguments)
        assert (ended.code, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
        assert ended.stderr.startswith(f"asr-api: TMPDIR is '{tmp_path}/gone', which can't be written")


def test_models_are_listed_without_a_folder_for_them(cli: Cli, tmp_path: Path) -> None:
    assert cli.run("models", "--cache-dir", "new").stdout.startswith("builtin ")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    ended = cli.run("models", "--cache-dir", "file")
    assert (ended.code, ended.stderr) == (
        2,
        "asr-api: CACHE_DIR is 'file', which is no folder that can be read; name another one.\n",
    )


def test_version_and_models(cli: Cli) -> None:
    assert cli.run("--version") == Ended(0, f"asr-api {__version__}\n", "")
    assert cli.run("models").code == 0


@pytest.mark.parametrize("config", ["[]", '{"model_type": "whis'])
def test_a_damaged_model_in_the_cache_hides_no_other(cli: Cli, tmp_path: Path, config: str) -> None:
    for name in ("damaged", "whole"):
        snapshot = tmp_path / f"models--some--{name}" / "snapshots" / "1"
        snapshot.mkdir(parents=True)
        for file in ("config.json", "tokenizer.json", "model.safetensors"):
            (snapshot / file).write_text(config if (name, file) == ("damaged", "config.json") else "{}")
    listed = cli.run("models")
    assert (listed.code, listed.stderr) == (0, "")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["builtin", "some/whole"]


def test_sources_are_listed_in_order(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recordings)
    listed = list_sources([".", "https://example.org/talks/talk.v1.mp3?key=1", "more/c.WAV"])
    assert [source.name for source in listed] == [
        "a.wav",
        "b.wav",
        "more/c.WAV",
        "https://example.org/talks/talk.v1.mp3?key=1",
        "more/c.WAV",
    ]
    assert [str(source.output) for source in listed] == ["a", "b", "more/c", "talk.v1", "c"]
    (recordings / "empty").mkdir()
    with pytest.raises(PathNotFound, match="empty holds no audio file"):
        list_sources(["empty"])
