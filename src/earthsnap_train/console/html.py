"""Pages from templates: everything that a template is given is escaped."""

import time
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import jinja2
from starlette.responses import HTMLResponse

from earthsnap_train.console import charts
from earthsnap_train.console.asked import Asked
from earthsnap_train.evaluation.wording import big, count, gate_words, percent, points, short_time
from earthsnap_train.release.ledger import local_time


def page(
    asked: Asked, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: object
) -> HTMLResponse:
    session = asked.session
    common = {
        "session": session,
        "may_decide": session is not None and session.may("approver"),
        "take_said": session.take_said if session is not None else str,
        "here": asked.request.url.path,
    }
    return HTMLResponse(
        environment().get_template(template).render(common | values), status_code=status, headers=headers
    )


@cache
def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("earthsnap_train.console", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = (percent, points, count, short_time, big, when, day, hour, machine_time, ago, plainly)
    made.filters |= {word.__name__: word for word in words}
    made.globals |= {"charts": charts, "gate_words": gate_words}
    return made


@cache
def stylesheet() -> bytes:
    """The report's, and what the console adds to it."""
    report = files("earthsnap_train.evaluation") / "templates" / "report.css"
    return report.read_bytes() + (files("earthsnap_train.console") / "templates" / "console.css").read_bytes()


@cache
def script() -> bytes:
    return (files("earthsnap_train.console") / "templates" / "console.js").read_bytes()


# ---- words


def when(at: float) -> str:
    """Where the console runs."""
    return local_time(at)


def day(at: float) -> str:
    return when(at)[:10]


def hour(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def machine_time(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def ago(at: float) -> str:
    seconds = max(0.0, time.time() - at)
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'' if number == 1 else 's'} ago"
    return "just now"


def plainly(figures: dict[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """(name, value) of everything in a decision's figures, as it can be read."""
    found: list[tuple[str, str]] = []
    for name, value in figures.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            found += plainly(value, f"{label}: ")
        elif isinstance(value, list):
            found.append((label, ", ".join(map(str, value)) or "none"))
        elif isinstance(value, bool):
            found.append((label, "yes" if value else "no"))
        elif isinstance(value, float):
            found.append((label, f"{value:.4g}"))
        elif value is not None:
            found.append((label, str(value)))
    return found
