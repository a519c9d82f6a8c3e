"""`asr-api download`: puts the model of MODEL_ID into CACHE_DIR, so that a start needs no network."""

from __future__ import annotations

from asr_api.cli.exit_codes import ExitCode
from asr_api.cli.output import print_out
from asr_api.compose import find_checkpoint
from asr_api.engines.checkpoints.open import open_checkpoint
from asr_api.settings.settings import Settings
from asr_api.text.printable import printable


def download_model(settings: Settings) -> int:
    """The exit code. Prints the folder of the checkpoint, which is downloaded only if it is not there.

    Raises CheckpointError when there is none, or when its configuration or headers cannot be read.
    """
    files = find_checkpoint(settings)
    open_checkpoint(files.folder, files.weight_files).tensors.forget()  # after their headers were read
    print_out(f"{printable(settings.model_id)} is in {printable(str(files.folder))}\n")
    return ExitCode.OK
