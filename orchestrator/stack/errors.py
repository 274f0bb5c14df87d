"""The one error that the operator is meant to read."""


class StackError(Exception):
    """Something the operator can put right; its text is one line that says what and how."""
