"""Where verbs print for people."""

from rich.console import Console

WIDTH_OF_A_PIPE = 200


def console(*, stderr: bool = False) -> Console:
    """As wide as the terminal; where there is none, wide enough that no path and no name is cut or wrapped."""
    found = Console(highlight=False, stderr=stderr)
    return found if found.is_terminal else Console(highlight=False, stderr=stderr, width=WIDTH_OF_A_PIPE)
