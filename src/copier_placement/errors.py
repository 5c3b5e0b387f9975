"""The errors that end a command with a message instead of a traceback."""

NOTHING_CHANGED = "Nothing was changed"


class MaintenanceError(Exception):
    """A problem, and what to do about it."""

    def __init__(self, problem: str, fix: str = "") -> None:
        """Store both; together they are the message."""
        super().__init__(f"{problem}\n{fix}".rstrip())
        self.problem, self.fix = problem, fix


class CopierTooOldError(MaintenanceError):
    """A version of the template that needs a newer Copier than this tool brings."""
