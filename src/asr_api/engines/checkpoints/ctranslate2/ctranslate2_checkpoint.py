"""A checkpoint in CTranslate2's format: dimensions from the tensors of model.bin, settings from config.json."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from asr_api.engines.checkpoints.completeness import CTRANSLATE2_FILE
from asr_api.engines.checkpoints.ctranslate2.model_file import ModelFile
from asr_api.engines.checkpoints.ctranslate2.tensors import Ctranslate2Reader
from asr_api.engines.checkpoints.ctranslate2.vocabulary import read_vocabulary
from asr_api.engines.checkpoints.json_file import read_json
from asr_api.engines.checkpoints.mapped_files import MappedFiles
from asr_api.engines.checkpoints.tokenizer_files import TokenizerFiles, read_tokenizer_files

ACTIVATIONS = ("relu", "gelu_new", "silu", "gelu", "quick_gelu", "tanh", "sigmoid")  # in the order of their codes
GELU = ACTIVATIONS.index("gelu")
# config.json → generation_config.json of transformers. The languages (lang_ids) are in the tokenizer, too.
SETTINGS = {
    "suppress_ids": "suppress_tokens",
    "suppress_ids_begin": "begin_suppress_tokens",
    "alignment_heads": "alignment_heads",
}
# Of transformers' config.json: the variable, and which of its dimensions.
DIMENSIONS = {
    "vocab_size": ("decoder/embeddings/weight", 0),
    "d_model": ("decoder/embeddings/weight", 1),
    "num_mel_bins": ("encoder/conv1/weight", 1),
    "max_source_positions": ("encoder/position_encodings/encodings", 0),
    "max_target_positions": ("decoder/position_encodings/encodings", 0),
    "encoder_ffn_dim": ("encoder/layer_0/ffn/linear_0/weight", 0),
    "decoder_ffn_dim": ("decoder/layer_0/ffn/linear_0/weight", 0),
}


class Ctranslate2Checkpoint:
    """Implements `asr_api.engines.checkpoints.checkpoint.Checkpoint`."""

    model_type = "whisper"

    def __init__(self, folder: Path, weight_files: Sequence[Path] = ()) -> None:
        """weight_files: model.bin in parts, where it is not in the folder

        Raises CheckpointError when model.bin is damaged, or holds another kind of model.
        """
        self._folder = folder
        self._file = ModelFile(MappedFiles(weight_files or [folder / CTRANSLATE2_FILE]))

    @cached_property
    def config(self) -> dict[str, object]:
        """Where a variable is missing its key is, too, and the engine names the key."""
        variables = self._file.variables
        config: dict[str, object] = {
            key: variables[name].dims[axis]
            for key, (name, axis) in DIMENSIONS.items()
            if name in variables and len(variables[name].dims) > axis
        }
        for side in ("encoder", "decoder"):
            config[f"{side}_layers"] = self._num_layers(side)
            config[f"{side}_attention_heads"] = self._file.scalar(f"{side}/num_heads", 0)
        code = self._file.scalar("decoder/activation", GELU)
        config["activation_function"] = ACTIVATIONS[code] if 0 <= code < len(ACTIVATIONS) else code
        projection, embedding = variables.get("decoder/projection/weight"), variables.get("decoder/embeddings/weight")
        config["tie_word_embeddings"] = projection is None or projection == embedding
        return config

    @cached_property
    def generation_config(self) -> dict[str, object]:
        settings = read_json(self._folder / "config.json")
        return {ours: settings[theirs] for theirs, ours in SETTINGS.items() if theirs in settings}

    @cached_property
    def tensors(self) -> Ctranslate2Reader:
        return Ctranslate2Reader(self._file)

    @cached_property
    def tokenizer(self) -> TokenizerFiles:
        files = read_tokenizer_files(self._folder)
        return files if files.tokenizer_json is not None else read_vocabulary(self._folder)

    def _num_layers(self, side: str) -> int:
        prefix = f"{side}/layer_"
        indices = {name[len(prefix) :].partition("/")[0] for name in self._file.variables if name.startswith(prefix)}
        return sum(index.isdecimal() for index in indices)
