"""The engine for speech models of transformers other than Whisper: CTC models, transducers, encoder-decoders."""
