"""benchmarks/quality with fake systems: results that are kept, failures, choices on the command line, and tables."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.quality.__main__ import chosen_models, chosen_systems, forget
from benchmarks.quality.alignment import Errors
from benchmarks.quality.catalogue import CATALOGUE
from benchmarks.quality.decoding import Plan, decode
from benchmarks.quality.figures import Figures, Score, TimedRun, figures
from benchmarks.quality.model import Model
from benchmarks.quality.normalizer import Normalizer
from benchmarks.quality.recording import Missing, Recording, Word
from benchmarks.quality.report import Panel, Report, tables
from benchmarks.quality.results import append_result, key_of, read_results, results_path
from benchmarks.quality.transcription import Transcription
from benchmarks.quality.word_times import WordTimes
from tests.benchmarks.fake_systems import FAILING, FAKES, GOOD, MISSING
from tests.server.running import ROOT


@pytest.fixture(autouse=True)
def fake_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("from tests.benchmarks.fake_systems import install\ninstall()\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    for name, system in FAKES.items():
        monkeypatch.setitem(CATALOGUE, name, system)


def given(folder: Path) -> list[Recording]:
    for name in "abc":
        (folder / f"{name}.wav").write_bytes(name.encode())
    recordings = [Recording("read", folder / f"{name}.wav", "en", f"text of {name}", 1) for name in "abc"]
    return [*recordings[:2], replace(recordings[2], words=(Word(0.4, "text"), Word(0.9, "of")))]


def test_each_recording_is_decoded_once_and_results_are_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recordings = given(tmp_path)
    plan, model = Plan((GOOD, FAILING, MISSING), 1, tmp_path / "results"), Model("tiny", tmp_path, tmp_path)
    for _ in range(2):
        failures = decode(plan, model, recordings)
        assert failures[FAILING] == "1 recordings have no result (status 0); the log says why."
        assert failures[MISSING] == (
            "not-installed is not installed: pip install -r benchmarks/quality/requirements.txt"
        )
        assert GOOD not in failures
    assert (tmp_path / "opened").read_text().count("1\n") == 3, "the good one once, the failing one twice"
    assert "ValueError: it is not audio" in capfd.readouterr().err
    results = read_results(results_path(plan.results, "tiny", GOOD))
    assert [results[key_of(each)].text for each in recordings] == ["text of a", "text of b", "text of c"]
    assert [len(results[key_of(each)].words) for each in recordings] == [0, 0, 1]
    assert key_of(recordings[1]) not in read_results(results_path(plan.results, "tiny", FAILING))

    forget(replace(plan, systems=(GOOD,)), [model], {key_of(recordings[0])})
    assert len(read_results(results_path(plan.results, "tiny", GOOD))) == 2
    decode(replace(plan, systems=(GOOD,)), model, recordings)
    assert len(read_results(results_path(plan.results, "tiny", GOOD))) == 3


def test_a_changed_recording_has_another_key(tmp_path: Path) -> None:
    recording = given(tmp_path)[0]
    before = key_of(recording)
    recording.path.write_bytes(b"changed")
    assert key_of(recording) != before


def test_a_line_that_was_cut_off_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    append_result(path, "one", Transcription("text", "en", (Word(0.5, "text"),)), 1)
    with path.open("a") as file:
        file.write('{"key": "two", "te')
    assert read_results(path) == {"one": Transcription("text", "en", (Word(0.5, "text"),))}


def test_systems_are_chosen_by_the_beginnings_of_their_names() -> None:
    assert chosen_systems("") == tuple(CATALOGUE)
    assert chosen_systems("asr-api,transformers") == ("asr-api auto", "asr-api best", "asr-api float32", "transformers")
    with pytest.raises(Missing, match=r"There is no system 'whisper'; the systems are asr-api auto, "):
        chosen_systems("asr-api,whisper")


def test_a_model_is_a_name_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (model,) = chosen_models(f"tiny.en={tmp_path}", tmp_path / "results")
    assert (model.name, model.is_english, model.converted) == ("tiny.en", True, tmp_path / "results/tiny.en")
    with pytest.raises(Missing, match="is not NAME=FOLDER"):
        chosen_models(str(tmp_path), tmp_path)


def test_figures_are_those_of_the_recordings_that_have_results(tmp_path: Path) -> None:
    recordings = {key_of(recording): recording for recording in given(tmp_path)}
    (first, _, last) = recordings
    results = {
        first: Transcription("text of", "en"),
        last: Transcription("text of c", "de", (Word(0.5, " text"), Word(1.3, " of"))),
    }
    found = figures("any", recordings, results, Normalizer(str.lower, str.lower))
    assert [score.errors for score in found.scores.values()] == [Errors(3, 0, 1, 0), Errors(3, 0, 0, 0)]
    assert [score.is_language_right for score in found.scores.values()] == [True, False]
    assert found.words == WordTimes(2, 2, 0.25, 0.37, 1)


def test_tables_have_a_column_for_each_system() -> None:
    def score(row: str, errors: Errors, num_invented: int = 0, lost: tuple[TimedRun, ...] = ()) -> Score:
        is_right = True if errors.num_units else None
        return Score(f"{row}.wav", row, errors, num_invented, is_right, lost, (), ("a b c",) if lost else (), "")

    ours = {
        "1": score("read", Errors(10, 1, 0, 0)),
        "2": score("read", Errors(10, 0, 1, 0)),
        "3": score("silence", Errors(), 2),
        "4": score("long", Errors(100, 1, 4, 0), lost=(TimedRun(1.5, "x y z u", 4),)),
        "5": score("other, characters", Errors(20, 5, 0, 0)),
    }
    theirs = {"1": ours["1"]}
    systems = [
        Figures("ours", ours, WordTimes(140, 110, 0.1, 0.25, 6)),
        Figures("theirs", theirs),
        Figures("absent", failure="It is not installed."),
    ]
    num_recordings = {"read": 2, "silence": 1, "long": 1, "other, characters": 1}
    text = tables(Report("2 cores", "2026-11-30", {"asr-api": "1"}, [Panel("tiny", num_recordings, systems)]))
    lines = text.splitlines()
    assert "absent: It is not installed." in lines
    assert "| set | words | ours | theirs |" in lines
    assert "| read | 20 | 10.0 (1/1/0) | 10.0 (1/0/0), 1 of 2 |" in lines
    assert "| other, characters | 20 | 25.0 (5/0/0) | – |" in lines
    assert "| all words in common | 10 | 10.0 (1/0/0) | 10.0 (1/0/0) |" in lines, "of recordings that both have"
    assert "| long | 100 | 5.0; 4, 0, 3 | – |" in lines
    assert "| words invented in recordings without speech (recordings with words) | 2 (1 of 1) | – |" in lines
    assert (
        "| short recordings of one language: words lost, invented, doubled in runs of 3 and more | 0, 0, 0 | 0, 0, 0 |"
        in lines
    )
    assert "| language right | 4 of 4 | 1 of 1 |" in lines
    assert lines[-1].endswith("| 0.100, 0.250 s; 6; 110 of 140 | – |")
