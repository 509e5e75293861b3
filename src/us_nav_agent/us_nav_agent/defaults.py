"""What is taken where nothing else is asked for."""

DEFAULT_MODEL = "belief"
"""Name of the model."""
