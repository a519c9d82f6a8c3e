"""Whisper on a CPU: ONNX graphs built from the checkpoint at start, run by ONNX Runtime."""
