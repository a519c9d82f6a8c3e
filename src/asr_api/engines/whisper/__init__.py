"""What every Whisper engine shares and that is not arithmetic: config, log-mel, rules, slots."""
