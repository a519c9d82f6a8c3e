"""Floor 3: long-form transcription, from the windows of a recording to segments in absolute time."""
