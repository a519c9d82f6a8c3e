"""Audio sources: uploads, URLs and local paths, each opened as one bounded, seekable `Spool`."""
