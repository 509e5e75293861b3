"""Frame sources: one protocol (``base``), an implementation a file."""
