"""Audio decoding: any media file to 16 kHz PCM, in sandboxed worker processes."""
