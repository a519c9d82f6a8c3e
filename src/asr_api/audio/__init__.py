"""Audio: from a source (upload, link, local path) to decoded PCM and windows of it. Floor 1."""
