"""Names what a file, a folder or a repository of the hub holds instead of a checkpoint, with the remedy.

Everything is told from names and first bytes; nothing is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from asr_api.engines.checkpoints.json_file import read_json
from asr_api.errors import CheckpointError

MAX_NAMED = 5  # folders in one message
POINTER = b"version https://git-lfs"
MAX_POINTER_BYTES = 1024
GGML_MAGIC = (b"lmgg", b"ggml", b"fmgg", b"tjgg", b"GGUF")
# A file of weights that an engine may read, whatever its format.
WEIGHTS = re.compile(r"model\.safetensors|model\.safetensors\.index\.json|model\.bin")
# base.pt, ggml-base.en-q5_1.bin
OPENAI_SIZE = re.compile(
    r"(?:ggml-)?((?:tiny|base|small|medium)(?:\.en)?|large-v3-turbo|large-v[123]|large|turbo)(?:-q\d_\w+)?\.\w+"
)
OTHER = "choose a checkpoint in safetensors or in CTranslate2's format as MODEL_ID"
CONVERT = (
    "loading a pickle can run code, so convert them once, if you trust them, with transformers: "
    "WhisperForConditionalGeneration.from_pretrained(FOLDER).save_pretrained(FOLDER)"
)


@dataclass(frozen=True, slots=True)
class _Format:
    name: re.Pattern[str]  # of one of its files or folders
    what: str
    remedy: str = OTHER


FORMATS = (
    _Format(re.compile(r"ggml-.*\.bin|.*\.(gguf|ggml)"), "weights of whisper.cpp (GGML)"),
    _Format(re.compile(r"pytorch_model.*\.bin(\.index\.json)?"), "pickled weights", CONVERT),
    _Format(
        re.compile(r"(?!optimizer|scheduler|scaler|rng_state|training_args).*\.(pt|pth|ckpt)"),
        "pickled weights of OpenAI's program or of a training",
        "loading a pickle can run code, so convert them once, if you trust them, with convert_openai_to_hf.py of "
        "transformers' repository",
    ),
    _Format(re.compile(r"openvino_.*\.(xml|bin)"), "an export to OpenVINO", "name the checkpoint that was exported"),
    _Format(re.compile(r".*\.onnx(_data)?"), "an export to ONNX", "name the checkpoint that was exported"),
    _Format(re.compile(r"weights\.(npz|safetensors)|.*\.npz"), "weights of MLX"),
    _Format(re.compile(r"tf_model.*\.h5|.*\.(tflite|pb)"), "weights of TensorFlow"),
    _Format(re.compile(r"flax_model.*\.msgpack"), "weights of Flax"),
    _Format(re.compile(r".*\.nemo"), "an archive of NeMo"),
    _Format(re.compile(r".*\.(mlmodelc|mlpackage|mlmodel)"), "a model of Core ML"),
)


def describe_foreign_format(path: Path) -> str | None:
    """The end of an error sentence about a file, or about a folder that is no complete checkpoint.

    None when nothing is known about it, so that the missing files say more.
    """
    try:
        return _describe_file(path) if path.is_file() else _describe_folder(path)
    except OSError:  # a folder that cannot be listed
        return None


def describe_repository(names: Iterable[str]) -> str | None:
    """The end of an error sentence about a repository of the hub with these files; None when it may be a checkpoint."""
    if not (files := list(names)) or "config.json" in files:
        return describe_foreign_names(files)
    return describe_foreign_names(files) or f"has no config.json on the hub, so it is no checkpoint; {OTHER}."


def describe_foreign_names(names: Iterable[str]) -> str | None:
    """The same from the names of the files alone, such as those of a repository; None when it may have weights."""
    files = sorted({PurePosixPath(name).name for name in names})
    if any(map(WEIGHTS.fullmatch, files)):
        return None
    if any(file.startswith("adapter_model.") for file in files):
        return "has an adapter of PEFT, not a whole checkpoint; merge it into its base model with merge_and_unload()."
    for known in FORMATS:
        if found := next(filter(known.name.fullmatch, files), None):
            return f"has {known.what} ({found}) and no model.safetensors; {_remedy(known, found)}."
    return None


def describe_pointers(paths: Iterable[Path]) -> str | None:
    """The end of an error sentence when one of these files is a pointer of Git LFS."""
    pointer = next((path.name for path in paths if _is_pointer(path)), None)
    return pointer and f"has a pointer of Git LFS in place of {pointer}; run git lfs pull in its folder."


def _describe_file(path: Path) -> str:
    folder = f"name its folder, MODEL_ID={path.parent}"
    if _is_pointer(path):
        return f"is a pointer of Git LFS, not a checkpoint; run git lfs pull, and {folder}."
    known = next((known for known in FORMATS if known.name.fullmatch(path.name)), None)
    if known is None and _is_ggml(path):
        known = FORMATS[0]
    if known is None:
        return f"is a file, and a checkpoint is a folder; {folder}."
    return f"is a file with {known.what}; {_remedy(known, path.name)}."


def _describe_folder(folder: Path) -> str | None:
    children = sorted(folder.iterdir())
    if not children:
        return f"is an empty folder; fetch the checkpoint into it, or {OTHER}."
    if pointers := describe_pointers(children):
        return pointers
    names = [child.name for child in children]
    has_weights = any(map(WEIGHTS.fullmatch, names))
    if "adapter_config.json" in names and not has_weights:
        return _describe_adapter(folder)
    if has_weights and "trainer_state.json" in names:
        return (
            "is a training's checkpoint without all files; copy config.json and the tokenizer's files of the model "
            "that was trained into it."
        )
    if not has_weights and (found := _checkpoints_in(children)):
        others = f" and {len(found) - MAX_NAMED} more" if found[MAX_NAMED:] else ""
        return (
            f"is a folder of checkpoints ({', '.join(path.name for path in found[:MAX_NAMED])}{others}); name one of "
            f"them, such as MODEL_ID={found[-1]}."
        )
    if not has_weights and any(map(_is_ggml, children)):
        names.append("ggml-model.bin")
    return describe_foreign_names(names)


def _describe_adapter(folder: Path) -> str:
    try:
        base = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    except CheckpointError:
        base = None
    of_base = f" of {base}" if isinstance(base, str) and 0 < len(base) < 200 else ""
    return (
        f"has an adapter of PEFT{of_base}, not a whole checkpoint; merge it into its base model with peft: "
        "merge_and_unload(), then save_pretrained(FOLDER), for the processor, too, and name that folder."
    )


def _checkpoints_in(children: Iterable[Path]) -> list[Path]:
    """Subfolders that look like checkpoints, in the order of their numbers; in a cache of the hub, its snapshots."""
    folders = [child for child in children if child.is_dir()]
    folders += [inner for folder in folders if folder.name == "snapshots" for inner in sorted(folder.iterdir())]
    found = [
        folder
        for folder in folders
        if (folder / "config.json").is_file() and any(WEIGHTS.fullmatch(file.name) for file in folder.iterdir())
    ]
    return sorted(found, key=lambda path: [int(part) for part in re.findall(r"\d{1,18}", path.name)])


def _remedy(known: _Format, file: str) -> str:
    """Weights of OpenAI's sizes have a checkpoint on the hub."""
    size = OPENAI_SIZE.fullmatch(file)
    if size is None or known not in (FORMATS[0], FORMATS[2]):
        return known.remedy
    name = {"large-v1": "large", "turbo": "large-v3-turbo"}.get(size[1], size[1])
    return f"set MODEL_ID=openai/whisper-{name}, which is downloaded once"


def _is_pointer(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= MAX_POINTER_BYTES and _first_bytes(path).startswith(POINTER)


def _is_ggml(path: Path) -> bool:
    return path.is_file() and path.suffix == ".bin" and _first_bytes(path).startswith(GGML_MAGIC)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(POINTER))
