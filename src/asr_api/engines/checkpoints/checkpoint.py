"""The `Checkpoint` port between engines and file formats: configuration, tensors, tokenizer files.

Each file format has one reader that implements `Checkpoint`; `open.py` picks it. A reader hides the differences between
formats, so engines use one set of names, those of transformers:

- configuration keys are those of config.json and generation_config.json. A reader of a format with a header of its own
  translates it.
- tensor names are those of transformers without the leading "model.", such as
  "encoder.layers.0.self_attn.q_proj.weight". A reader maps the names of its format to them and takes fused tensors,
  such as one matrix for query, key and value, apart.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.checkpoints.stored_tensor import StoredTensor
from asr_api.engines.checkpoints.tokenizer_files import TokenizerFiles


class TensorReader(Protocol):
    """Tensors of one checkpoint by name."""

    def tensor(self, name: str, dims: tuple[int, ...]) -> StoredTensor:
        """Raises CheckpointError when the tensor is missing or has other dimensions."""

    def numbers(self, name: str, dims: tuple[int, ...]) -> NDArray[np.float32]:
        """The values of any dtype as float32. Raises CheckpointError also for NaN and infinity."""

    def forget(self) -> None:
        """Frees the memory that reading took; tensors stay valid and are read again where they are needed."""


class Checkpoint(Protocol):
    """One opened checkpoint. Tensors and tokenizer files are read when they are first asked for.

    model_type:        such as "whisper"
    config:            the object of config.json
    generation_config: the object of generation_config.json; empty when the checkpoint has none
    """

    @property
    def model_type(self) -> str: ...

    @property
    def config(self) -> dict[str, object]: ...

    @property
    def generation_config(self) -> dict[str, object]: ...

    @property
    def tensors(self) -> TensorReader: ...

    @property
    def tokenizer(self) -> TokenizerFiles: ...
