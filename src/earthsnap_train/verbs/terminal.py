"""Where verbs print for people."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_OF_A_PIPE = 200
ORIGIN = "command line"  # of what the log gets from a verb that a person typed


def console(*, stderr: bool = False) -> Console:
    """As wide as the terminal; where there is none, wide enough that no path and no name is cut or wrapped."""
    found = Console(highlight=False, stderr=stderr)
    return found if found.is_terminal else Console(highlight=False, stderr=stderr, width=WIDTH_OF_A_PIPE)


def say(lines: Mapping[str, str], style: str = "bold") -> None:
    """``next     earthsnap status``: what each line is about, and what there is to say of it, if anything."""
    console().print(labelled(lines, style))


def labelled(lines: Mapping[str, str], style: str = "bold") -> Table:
    said = {label: text for label, text in lines.items() if text}
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style=style)
    table.add_column(overflow="fold")
    for label, text in said.items():
        table.add_row(Text(label), Text(text))
    return table
