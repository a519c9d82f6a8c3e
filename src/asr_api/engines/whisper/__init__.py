"""The parts of Whisper that its engines share: config, tokenizer, log-mel, prompts, decoding, fallback, timestamps."""
