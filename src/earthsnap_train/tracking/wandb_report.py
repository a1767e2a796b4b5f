"""A page in W&B that shows a family run as ``docs/wandb.md`` reads it; ``earthsnap sync report=true`` makes it."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.tracking.links import Links, Page

TITLE_LENGTH = 128  # W&B's limit
GRID_COLUMNS, HEIGHT = 24, 9  # of W&B's grid; of a panel
MOST_GPUS = 8  # those that are not there draw nothing


def require_reports() -> None:
    """Raises EnvironmentProblem where the package that makes reports is not installed."""
    if find_spec("wandb_workspaces") is None:
        raise EnvironmentProblem(
            "reports of W&B are made by a package that is not installed",
            where="report=true",
            remedy='pip install "earthsnap_train[wandb-report]", or leave report=true out',
        )


def save_report(folder: Path) -> None:
    """Of the run whose folder it is; made again it replaces the one before. Needs the network."""
    from earthsnap_train.tracking.wandb import own_entity

    links = Links.read(folder)
    assert links is not None, folder
    report = build_report(links, entity=links.entity or own_entity())
    if links.report is not None:
        report.id = links.report.id
    report.save()
    links.model_copy(update={"report": Page(id=report.id, url=report.url)}).write(folder)


def build_report(links: Links, *, entity: str) -> Any:
    """What was searched and learnt, what it is worth with the weakest species first, and how busy the machine was."""
    import wandb_workspaces.reports.v2 as wr

    def runs(name: str, beginning: str = "") -> Any:
        kinds = [one for one in links.job_types if one.startswith(beginning)]
        only = f"JobType in [{', '.join(repr(one) for one in kinds)}]"
        return wr.Runset(entity=entity, project=links.project, name=name, filters=f"Group = {links.group!r} and {only}")

    def section(title: str, panels: list[Any], runset: Any, *, columns: int = 2) -> list[Any]:
        for at, panel in enumerate(panels):
            width = GRID_COLUMNS // columns
            panel.layout = wr.Layout(x=width * (at % columns), y=HEIGHT * (at // columns), w=width, h=HEIGHT)
        return [wr.H2(text=title), wr.PanelGrid(runsets=[runset], panels=panels)]

    searched = [
        wr.ScatterPlot(title="Value by learning rate", x="param/lr", y="trial/value", log_x=True),
        wr.LinePlot(title="Value by trial", x="Step", y=["trial/value"]),
        wr.WeavePanelSummaryTable(table_name="trials"),
        wr.WeavePanelSummaryTable(table_name="trial_curves"),
    ]
    learnt = [
        wr.LinePlot(title="Loss on the training split", x="Step", y=["loss"], log_y=True),
        wr.LinePlot(title="Loss on the validation split", x="Step", y=["val_loss"], log_y=True),
        wr.LinePlot(title="Named right on the validation split", x="Step", y=["val_top1"]),
        wr.LinePlot(title="Photographs a second", x="Step", y=["images_per_s"]),
        wr.BarPlot(title="Named right on the test split, by node", metrics=["test_top1"]),
        wr.BarPlot(title="Seconds, by node", metrics=["seconds"]),
    ]
    worth = [
        wr.ScalarChart(title="Named right by the family", metric="top1"),
        wr.ScalarChart(title="Calibration error of the family", metric="ece"),
        wr.MediaBrowser(title="Sure, and wrong", media_keys=["mistakes"], num_columns=3),
        wr.MediaBrowser(title="Look-alikes", media_keys=["look_alikes"], num_columns=3),
    ]
    tables = [wr.WeavePanelSummaryTable(table_name=name) for name in ("species", "confusions", "nodes", "gates")]
    gpus = range(MOST_GPUS)
    machine = [
        wr.LinePlot(
            title="Processor and GPUs, %",
            x="machine/seconds",
            y=["machine/cpu_percent", *(f"machine/gpu{number}_percent" for number in gpus)],
        ),
        wr.LinePlot(
            title="Memory of machine and GPUs, GB",
            x="machine/seconds",
            y=["machine/memory_gb", *(f"machine/gpu{number}_memory_gb" for number in gpus)],
        ),
    ]
    was_searched = any(one.startswith("tune-") for one in links.job_types)
    return wr.Report(
        project=links.project,
        entity=entity,
        title=links.group.replace("/", " ")[:TITLE_LENGTH],
        description="What was learnt, what it is worth, and where it goes wrong.",
        width="fluid",
        blocks=[
            *(section("What was searched", searched, runs("searches", "tune-")) if was_searched else ()),
            *section("What was learnt", learnt, runs("nodes", "train-")),
            *section("What it is worth", worth, runs("evaluation", "evaluate")),
            *section("Species, mistakes, nodes, gates", tables, runs("evaluation", "evaluate"), columns=1),
            *section("How busy the machine was", machine, runs("jobs")),
        ],
    )
