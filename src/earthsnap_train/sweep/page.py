"""``sweep.html``: a sweep at one glance, for people who choose among its jobs."""

import time

import jinja2

from earthsnap_train.evaluation.report import environment
from earthsnap_train.sweep.axes import overrides
from earthsnap_train.sweep.objectives import best_of
from earthsnap_train.sweep.parallel import parallel
from earthsnap_train.sweep.record import SweepRecord, done_figures
from earthsnap_train.sweep.secret import masked
from earthsnap_train.sweep.table import short_names, shown, state_of

SAMPLERS = {
    "grid": "Every combination of what was typed",
    "tpe": "Values proposed by a tree-structured Parzen estimator (Bergstra et al. 2011), told of all jobs before",
    "random": "Values drawn at random",
    "nsga2": "Values proposed by NSGA-II (Deb et al. 2002), for several objectives at once",
}


def render(record: SweepRecord) -> str:
    """One self-contained HTML page: no network, no script, light and dark."""
    pages = environment()
    assert pages.loader is not None
    pages.loader = jinja2.ChoiceLoader([jinja2.PackageLoader("earthsnap_train.sweep", "templates"), pages.loader])
    best = best_of(done_figures(record), record.settings.directions)
    return pages.get_template("sweep.html.j2").render(
        record=record,
        best=[job for job in record.jobs if job.number in best],
        columns=list(zip([axis.name for axis in record.axes], short_names(record.axes), strict=True)),
        picture=parallel(record),
        date=time.strftime("%Y-%m-%d", time.localtime(record.started)),
        num_done=sum(job.state == "done" for job in record.jobs),
        seconds=sum(job.seconds or 0 for job in record.jobs),
        sampler=SAMPLERS[record.settings.sampler],
        same=[masked(one) for one in record.overrides if not one.startswith(("json=", "traceback="))],
        varied=lambda job: " ".join(overrides(record.axes, job.values)),
        shown=shown,
        state_of=state_of,
    )
