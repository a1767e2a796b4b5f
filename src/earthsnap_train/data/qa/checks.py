"""From facts, names and pairs to findings. Thresholds enter here, and nothing is opened any more."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from earthsnap_train.data.formats import READABLE, named_like
from earthsnap_train.data.qa.duplicates import near_pairs
from earthsnap_train.data.qa.facts import OUTLINE_PX, Facts
from earthsnap_train.data.qa.findings import Finding
from earthsnap_train.data.qa.verdict import Rank
from earthsnap_train.spec.dataset import FindingCode, Qa

NO_CONTENT_BELOW = 0.012  # standard deviation of grey values, 0 to 1: three of 255 steps
LONGEST_NAME = 100
_HOSTILE = frozenset(",;'\"#%?*<>|\\:&$!`\t\n\r")


def file_findings(path: str, facts: Facts, qa: Qa) -> Iterator[Finding]:
    """What one file's facts say about it."""

    def found(code: FindingCode, detail: str = "", undecodable: bool = False) -> Finding:
        return Finding(code=code, path=path, detail=detail, undecodable=undecodable)

    extension = path.rpartition(".")[2].lower()
    if facts.refused is not None:
        promised = facts.refused == "unsupported_format" and extension in READABLE
        yield found("not_an_image" if promised else facts.refused, facts.detail, undecodable=True)
        return
    for code, detail in facts.notes:
        yield found(code, detail)
    size = f"{facts.width} x {facts.height}"
    shorter, longer = sorted((facts.width, facts.height))
    if not named_like(facts.format, extension):
        yield found("extension_mismatch", f"a {facts.format} file named .{extension}")
    if facts.format not in ("JPEG", "PNG", "MPO"):
        yield found("format", facts.format)
    if longer > qa.max_aspect * shorter:
        yield found("aspect_ratio", size)
    if shorter < qa.min_px:
        yield found("too_small", size)
        return
    if facts.width * facts.height > qa.huge_megapixels * 1e6:
        yield found("huge_image", f"{facts.width * facts.height / 1e6:.0f} megapixels")
    if facts.contrast < NO_CONTENT_BELOW:
        yield found("no_content", f"brightness {facts.brightness:.2f} everywhere")
    elif facts.sharpness < qa.blur_below:
        yield found("blur", f"sharpness {facts.sharpness:.3f}")
    elif not qa.dark_below <= facts.brightness <= qa.bright_above:
        yield found("exposure", f"mean brightness {facts.brightness:.2f}")


def name_findings(paths: Iterable[str]) -> Iterator[Finding]:
    """Names that break elsewhere, and those that are one and the same on another system."""
    same: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        name = path.rpartition("/")[2]
        same[_folded(path)].append(path)
        if complaint := _complaint(name):
            yield Finding(code="file_name", path=path, detail=complaint)
    for first, *others in same.values():
        for other in others:
            detail = "the same name where case, accents or spaces do not count"
            yield Finding(code="file_name", path=other, related=first, detail=detail)


def pairs_of_one_photograph(facts: Mapping[str, Facts], qa: Qa) -> list[tuple[str, str, str]]:
    """Pairs (path, path, how they differ), exact ones too; sorted. ``facts``: of files that can be decoded."""
    by_bytes: dict[str, list[str]] = defaultdict(list)
    for path in sorted(facts):
        by_bytes[facts[path].sha256].append(path)
    exact = [(first, other, "") for first, *others in by_bytes.values() for other in others]
    paths = [group[0] for group in by_bytes.values() if facts[group[0]].contrast >= NO_CONTENT_BELOW]
    outlines = np.frombuffer(b"".join(facts[path].outline for path in paths), np.uint8)
    near = near_pairs(
        np.array([facts[path].phash for path in paths], np.uint64),
        np.array([facts[path].phash_mirrored for path in paths], np.uint64),
        outlines.reshape(-1, OUTLINE_PX, OUTLINE_PX),
        max_bits=qa.near_duplicate_bits,
        max_difference=qa.near_duplicate_difference,
    )
    described = [
        (paths[a], paths[b], f"{'mirrored, ' if mirrored else ''}difference {difference:.3f}")
        for a, b, difference, mirrored in near
    ]
    return sorted(exact + described)


def better_first(facts: Mapping[str, Facts], splits: Mapping[str, str | None], old: Iterable[str]) -> Rank:
    """A sort key: of two files of one photograph, the one to keep comes first.

    One that an earlier manifest holds, one that the user tests with, the larger, the one not named like a copy.
    ``old``: image ids of the earlier manifest.
    """
    known = frozenset(old)
    of_split = {"test": 0, "val": 1}

    def key(path: str) -> tuple[Any, ...]:
        fact = facts[path]
        name = path.rpartition("/")[2].lower()
        copied = any(word in name for word in ("copy", "copie", "kopie", "(1)", "(2)", " - "))
        pixels = fact.width * fact.height
        return (fact.sha256 not in known, of_split.get(splits.get(path) or "", 2), -pixels, copied, -fact.num_bytes,
                len(name), path)  # fmt: skip

    return key


def pair_findings(
    pairs: Sequence[tuple[str, str, str]],
    facts: Mapping[str, Facts],
    species: Mapping[str, str],
    splits: Mapping[str, str | None],
    key: Rank,
) -> Iterator[Finding]:
    """One finding for each pair, about the file that is worth less. ``species``, ``splits``: by path."""
    for a, b, how in pairs:
        kept, other = sorted((a, b), key=key)
        code: FindingCode
        if species[a] != species[b]:
            code, how = "label_conflict", f"{species[other]} here, {species[kept]} there" + (f"; {how}" if how else "")
        elif splits[a] and splits[b] and splits[a] != splits[b]:
            code, how = (
                "leak_across_splits",
                f"{splits[other]} here, {splits[kept]} there" + (f"; {how}" if how else ""),
            )
        else:
            code = "duplicate_near" if how else "duplicate_exact"
        yield Finding(code=code, path=other, related=kept, detail=how)


def _complaint(name: str) -> str:
    stem = name.rpartition(".")[0]
    complaints = {
        "spaces": name != name.strip() or "  " in name or stem != stem.strip(),
        "letters beyond ASCII": not name.isascii(),
        "accents stored apart from their letters": unicodedata.normalize("NFC", name) != name,
        "characters that shells, tables or URLs take for their own": not _HOSTILE.isdisjoint(name),
        "a leading dash": name.startswith("-"),
        f"more than {LONGEST_NAME} characters": len(name) > LONGEST_NAME,
    }
    return ", ".join(text for text, applies in complaints.items() if applies)


def _folded(path: str) -> str:
    plain = unicodedata.normalize("NFKD", path.casefold())
    return "".join(c for c in plain if not unicodedata.combining(c) and not c.isspace())
