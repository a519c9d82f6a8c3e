"""Output of `asr-api transcribe`: files and stdout, names that are not text, encodings and a full disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asr_api.cli.output import Output, print_out
from asr_api.cli.sources import Source
from asr_api.options import SubtitleOptions
from asr_api.transcript import Segment, Transcript
from tests.server.in_process import Cli
from tests.server.running import ROOT, command, run_command, wav


def test_a_file_name_that_is_not_valid_text_is_escaped(tmp_path: Path) -> None:
    for name in (b"a.wav", b"caf\xe9.wav"):
        (tmp_path / os.fsdecode(name)).write_bytes(wav(1))
    ended = run_command(tmp_path, *command({}, "transcribe", str(tmp_path)), PYTHONIOENCODING="utf-8:strict")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.decode() == f"{tmp_path}/a.wav: 1\n{tmp_path}/caf\\xe9.wav: 1\n"


def test_names_cannot_forge_lines_or_command_the_terminal(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for name in ("\x1b[2Ja.wav", "b.wav: forged\nc.wav", "d\u202egpj.wav"):
        (tmp_path / "many" / name).write_bytes(wav(1))
    (tmp_path / "many" / "\x1b]0;t\x07e.wav").write_bytes(b"not audio")
    ended = cli.run("transcribe", "many")
    names = ["\\x1b[2Ja.wav", "b.wav: forged\\nc.wav", "d\\u202egpj.wav"]
    assert ended.stdout == "".join(f"many/{name}: 1\n" for name in names)
    assert ended.stderr.startswith("asr-api: many/\\x1b]0;t\\x07e.wav: ")
    assert ended.stderr.count("\n") == 1
    ended = cli.run("transcribe", "\x1b[2J.wav\n", "--output-dir", "/dev/null/\x1b[2J")
    assert ended.stderr.startswith("asr-api: --output-dir is '/dev/null/\\x1b[2J'")


def test_controls_in_a_text_reach_files_but_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_out("a\x1b[2J\tb\n")
    assert capsys.readouterr().out == "a\x1b[2J\tb\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_out("a\x1b[2J\tb\n")
    assert capsys.readouterr().out == "a\\x1b[2J\tb\n"


def test_a_transcript_outside_the_encoding_of_stdout_fails_alone(tmp_path: Path) -> None:
    for name in ("a.wav", "日本.wav", "日本語.wav"):
        (tmp_path / name).write_bytes(wav(1))
    line = command({}, "transcribe", "日本.wav", "a.wav", "日本語.wav")
    ended = run_command(tmp_path, *line, cwd=tmp_path, PYTHONIOENCODING="latin-1")
    assert (ended.returncode, ended.stdout) == (1, b"a.wav: 1\n")
    assert ended.stderr.count(b"cannot be written: the encoding of stdout is latin-1; set PYTHONUTF8=1.") == 2


def test_a_full_disk_is_reported() -> None:
    for arguments in (["models"], ["transcribe", "samples/hello.wav"]):
        line, environ = [sys.executable, "-m", "asr_api", *arguments], os.environ | {"MODEL_ID": "builtin"}
        with Path("/dev/full").open("w") as full:
            ended = subprocess.run(line, check=False, env=environ, cwd=ROOT, stdout=full, stderr=-1, text=True)
        assert ended.returncode == 1
        assert ended.stderr.endswith("cannot be written: No space left on device; write it to another place.\n")
        assert ended.stderr.count("\n") == 1


def test_each_source_has_a_file_in_the_output_folder(cli: Cli, tmp_path: Path, recordings: Path) -> None:
    (recordings / "b.mp4").write_bytes(wav(5))
    ended = cli.run("transcribe", "recordings", "--format", "srt", "--output-dir", "subtitles/new")
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    written = sorted(str(path.relative_to(tmp_path / "subtitles/new")) for path in tmp_path.rglob("*.srt"))
    assert written == ["a.srt", "b.mp4.srt", "b.wav.srt", "more/c.srt"]
    expected = "1\n00:00:00,000 --> 00:00:01,000\n3\n\n"
    assert (tmp_path / "subtitles/new/more/c.srt").read_text() == expected


def test_an_output_never_overwrites_a_source(cli: Cli, tmp_path: Path, recordings: Path) -> None:
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


def test_cues_have_the_layout_that_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    spoken = Transcript((Segment(0, 3000, " one two three"),), 3000)
    output = Output("srt", None, subtitles=SubtitleOptions(max_line_width=7))
    output.write(Source("a.wav", "a.wav", Path("a")), spoken)
    assert capsys.readouterr().out == "1\n00:00:00,000 --> 00:00:03,000\none two\nthree\n\n"


def test_json_is_one_line_for_each_source(cli: Cli, recordings: Path) -> None:
    ended = cli.run("transcribe", str(recordings), "--format", "json")
    bodies = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [body["text"] for body in bodies] == ["1 11", "2 22", "3"]
    assert [Path(body["source"]).name for body in bodies] == ["a.wav", "b.wav", "c.WAV"]
    assert bodies[1]["segments"][1] == {"start": 1.0, "end": 1.5, "text": "22"}
