"""Checkpoints in the format of CTranslate2, which faster-whisper uses: model.bin, its tensors, its configuration."""
