"""Names that the service takes: readable where they fit, and never the same for two different things."""

import hashlib
import re

STEP = 64  # characters of a step, a channel or a property file
TUNING_JOB = 32
PIPELINE = 63  # of 256: the console and the names of jobs show no more of it
_DIGITS = 8


def short(name: str, limit: int) -> str:
    """Letters, digits and single dashes, at most ``limit``; a digest of the whole where anything had to give way.

    A slash or a dot alone becomes a dash, so that ``child/rosa`` is read as ``child-rosa``; two names that would then be
    one are kept apart by ``distinct``.
    """
    plain = re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-")
    if len(plain) <= limit and re.fullmatch(r"[a-zA-Z0-9]+([-/.][a-zA-Z0-9]+)*", name):
        return plain
    return f"{plain[: limit - _DIGITS - 1].strip('-')}-{_digest(name)}".strip("-")


def distinct(names: list[str], limit: int) -> dict[str, str]:
    """Name -> its short form; those that share one get a digest each."""
    forms = [short(name, limit) for name in names]
    return {
        name: form if forms.count(form) == 1 else f"{form[: limit - _DIGITS - 1].strip('-')}-{_digest(name)}"
        for name, form in zip(names, forms, strict=True)
    }


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
