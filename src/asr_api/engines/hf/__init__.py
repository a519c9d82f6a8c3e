"""Every speech model of transformers that is no Whisper: CTC models, transducers, and other encoder-decoders."""
