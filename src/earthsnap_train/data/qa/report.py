from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Overview:
    header: Any
    manifest: Any
    facts: Any
    taxonomy: Any
    remarks: Any
    dropped: Any


def write_report(overview: Overview, verdict: Any, root: Any, notes: Any, *, max_megapixels: float) -> None: ...
