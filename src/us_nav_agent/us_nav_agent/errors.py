"""Errors of us_nav_agent. Every message says what was wrong, where, and what would be right."""


class UsNavAgentError(Exception):
    """Root of every error that this package raises on purpose."""


class ModelError(UsNavAgentError):
    """A model file is missing, corrupt or of another kind."""


class TrainingError(UsNavAgentError):
    """A training run cannot start or go on."""


class BagError(UsNavAgentError):
    """A bag cannot be written or read."""


class LaunchError(UsNavAgentError):
    """A launch file or its arguments are wrong, or a node of it failed."""


class ConsoleError(UsNavAgentError):
    """The console cannot be opened, or cannot show what comes."""
