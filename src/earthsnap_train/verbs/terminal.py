"""Where verbs print for people."""

from collections.abc import Mapping
from textwrap import wrap

from rich.console import Console
from rich.text import Text

WIDTH_OF_A_PIPE = 200
ORIGIN = "command line"  # of what the log gets from a verb that a person typed


def console(*, stderr: bool = False) -> Console:
    """As wide as the terminal; where there is none, wide enough that no path and no name is cut or wrapped."""
    found = Console(highlight=False, stderr=stderr)
    return found if found.is_terminal else Console(highlight=False, stderr=stderr, width=WIDTH_OF_A_PIPE)


def say(lines: Mapping[str, str], style: str = "bold") -> None:
    """``next     earthsnap status``: what each line is about, and what there is to say of it, if anything.

    A word is never cut, so that commands and paths can be copied.
    """
    out = console()
    said = {label: text for label, text in lines.items() if text}
    width = max(map(len, said), default=0) + 2
    for label, text in said.items():
        for number, line in enumerate(wrap(text, out.width - width, break_long_words=False, break_on_hyphens=False)):
            out.print(Text.assemble((f"{'' if number else label:<{width}}", style), line), soft_wrap=True)
