"""Whisper on a CPU: graphs built by us, run by ONNX Runtime."""
