"""``advice.html``: everything that was found, for the people who know the species."""

import jinja2

from earthsnap_train.advice.figures import WIDEST, Advice
from earthsnap_train.advice.files import SUSPECTS, grouping_file
from earthsnap_train.advice.trade_off import trade_off
from earthsnap_train.evaluation.report import environment

MOST_SCARCE = 24


def render(advice: Advice, *, folder: str, use: str) -> str:
    """One self-contained HTML page: no network, light and dark. ``use``: the command that takes the best grouping."""
    pages = environment()
    assert pages.loader is not None
    pages.loader = jinja2.ChoiceLoader([jinja2.PackageLoader("earthsnap_train.advice", "templates"), pages.loader])
    return pages.get_template("advice.html.j2").render(
        advice=advice,
        best=advice.best,
        shown=[one for one in advice.suspects if one.picture],
        scarce=advice.scarce[:MOST_SCARCE],
        inseparable=[one for one in advice.pairs if one.is_inseparable],
        picture=trade_off(advice),
        folder=folder,
        use=use,
        suspects_file=f"{folder}/{SUSPECTS}",
        grouping_file=grouping_file,
        widest=WIDEST,
    )
