"""The pages for people: one to try the release, one that documents the routes. Each is one file and loads nothing."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response

from earthsnap_train.serving.service import Service

_TEMPLATES = Path(__file__).parent / "templates"
_NONE = "'none'"
_HEADERS = {
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def add_pages(app: FastAPI, service: Service) -> None:
    """``GET /`` and ``GET /docs``."""

    @cache
    def try_page() -> Response:
        names = [service.taxonomy.get(one) for one in service.family.species]
        species = [
            {
                "id": one.species_id,
                "scientific": one.scientific_name,
                "common": one.common_name or "",
                "label": f"{one.common_name} ({one.scientific_name})" if one.common_name else one.scientific_name,
            }
            for one in names
        ]
        script = _read("try.js")
        style = _read("page.css", "try.css")
        html = _rendered(
            "try.html.j2",
            style=style,
            script=script,
            release=service.identity.release,
            num_species=len(service.family.species),
            num_groups=len(service.family.groups),
            max_photographs=service.settings.max_photographs,
            max_body_mb=f"{service.settings.max_body_mb:g}",
            species=sorted(species, key=lambda one: one["label"]),
        )
        return _page(html, styles=[style], scripts=[script])

    @cache
    def docs_page() -> Response:
        style = _read("page.css", "docs.css")
        return _page(_rendered("docs.html.j2", style=style, api=app.openapi()), styles=[style])

    @app.get("/", include_in_schema=False, response_model=None)
    async def root(request: Request) -> Response:
        return try_page()

    @app.get("/docs", include_in_schema=False, response_model=None)
    async def docs(request: Request) -> Response:
        return docs_page()


def _rendered(template: str, **values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader  # only where somebody looks at a page

    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True)
    return environment.get_template(template).render(**values)


def _page(html: str, *, styles: Sequence[str], scripts: Sequence[str] = ()) -> Response:
    """Nothing but what stands in the page may run, and it may speak to this server alone."""
    policy = [
        "default-src 'none'",
        f"style-src {' '.join(map(_hash, styles))}",
        f"script-src {' '.join(map(_hash, scripts)) or _NONE}",
        "img-src blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return Response(html, media_type="text/html", headers=_HEADERS | {"Content-Security-Policy": "; ".join(policy)})


def _hash(inline: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"


def _read(*names: str) -> str:
    return "".join((_TEMPLATES / name).read_text("utf-8") for name in names)
