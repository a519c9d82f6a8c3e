"""The program of the process that decodes one media file: started by decode_process.py, confined to the bone.

FFmpeg is imported in here and nowhere else. Knows nothing of requests, and of the server only what `Job` says.
"""
