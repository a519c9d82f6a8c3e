"""What every Whisper engine shares and that is not arithmetic: spec, log-mel, rules, slots."""
