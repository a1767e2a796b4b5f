"""What ``advise`` leaves in a folder: groupings that ``grouping=file`` reads, doubtful labels, and the page."""

import csv
import io
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import yaml

from earthsnap_train.advice.figures import Advice, GroupingFigures
from earthsnap_train.errors import ConfigError

PAGE, SUSPECTS, FIGURES = "advice.html", "suspects.csv", "advice.json"
SUSPECT_COLUMNS = ("path", "decision", "reason", "suggestion", "labelled", "margin")


def grouping_file(name: str) -> str:
    return f"{name}.yaml"


def check_free(folder: Path) -> None:
    """Raises ConfigError where advice lies in the folder already; for advice that is still to be drawn, which will differ."""
    for name in (FIGURES, PAGE, SUSPECTS):
        if (folder / name).exists():
            raise _taken(folder, f"{folder / name} is there already, of other advice")


def write_files(folder: Path, contents: Mapping[str, str]) -> None:
    """Raises ConfigError, before anything is written, where another file of that name is there."""
    for name, text in contents.items():
        path = folder / name
        if path.exists() and path.read_bytes() != text.encode():
            raise _taken(folder, f"{path} is there already and says something else")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name).write_bytes(text.encode())


def _taken(folder: Path, what: str) -> ConfigError:
    others = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    free = next(other for other in others if not other.exists())
    return ConfigError(
        what,
        where="out",
        allowed="A folder without files of these names: nothing is replaced that may be committed.",
        remedy=f"Give another folder, such as out={free}, or remove this one.",
    )


def grouping_yaml(advice: Advice, one: GroupingFigures) -> str:
    """Group -> its species, as ``taxonomy.by_hand.read_groups`` takes it, under what is known of it."""
    head = [
        f"# {one.made_by}: {one.num_groups} groups, the largest of {one.largest} of {advice.num_species} species.",
        f"# Expected top-1 {_percent(one.top1.value)} ({_percent(one.top1.low)} to {_percent(one.top1.high)}), beside "
        f"{_percent(advice.flat.value)} of one flat head, on {advice.num_images:,} photographs not seen.",
    ]
    groups = {group: list(members) for group, members in one.groups.items()}
    return "\n".join(head) + "\n" + yaml.safe_dump(groups, sort_keys=False, allow_unicode=True, width=120)


def suspects_csv(advice: Advice) -> str:
    """Rows that ``dataset.reviews`` takes as they are, and then keep every photograph: a person decides, row by row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SUSPECT_COLUMNS)
    for one in advice.suspects:
        suggestion = f"relabel:{one.suggested.species_id}"
        labelled = one.labelled.species_id
        writer.writerow([one.uri, "keep", "label looked at", suggestion, labelled, f"{one.margin:.3f}"])
    return text.getvalue()


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
