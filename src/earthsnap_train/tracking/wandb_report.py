"""A page in W&B that shows a family run as ``docs/wandb.md`` reads it; ``earthsnap sync report=true`` makes it."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.tracking.links import Links

TITLE_LENGTH = 128  # W&B's limit
FULL, HALF = 24, 12  # columns of W&B's grid


def require_reports() -> None:
    """Raises EnvironmentProblem where the package that makes reports is not installed."""
    if find_spec("wandb_workspaces") is None:
        raise EnvironmentProblem(
            "reports of W&B are made by a package that is not installed",
            where="report=true",
            remedy='pip install "earthsnap_train[wandb-report]", or leave report=true out',
        )


def save_report(folder: Path) -> None:
    """Of the run whose folder it is. Needs the network."""
    from earthsnap_train.tracking.wandb import own_entity

    links = Links.read(folder)
    assert links is not None, folder
    build_report(links, entity=links.entity or own_entity()).save()


def build_report(links: Links, *, entity: str) -> Any:
    """Curves of all nodes side by side, the machine, then what the evaluation found, weakest species first."""
    import wandb_workspaces.reports.v2 as wr

    def runs(name: str, *job_types: str) -> Any:
        kinds = ", ".join(f"'{one}'" for one in job_types)
        only = f" and JobType in [{kinds}]" if job_types else ""
        return wr.Runset(entity=entity, project=links.project, name=name, filters=f"Group = '{links.group}'{only}")

    def half(panel: Any, at: int) -> Any:
        panel.layout = wr.Layout(x=HALF * (at % 2), y=8 * (at // 2), w=HALF, h=8)
        return panel

    curves = [
        wr.LinePlot(title="Loss on the training split", x="Step", y=["loss"], log_y=True),
        wr.LinePlot(title="Loss on the validation split", x="Step", y=["val_loss"], log_y=True),
        wr.LinePlot(title="Named right on the validation split", x="Step", y=["val_top1"]),
        wr.LinePlot(title="Photographs a second", x="Step", y=["images_per_s"]),
        wr.BarPlot(title="Named right on the test split, by node", metrics=["test_top1"]),
        wr.BarPlot(title="Seconds, by job", metrics=["seconds"]),
    ]
    machine = [
        wr.LinePlot(title="Processor, %", x="machine/seconds", y=["machine/cpu_percent"]),
        wr.LinePlot(title="Memory, GB", x="machine/seconds", y=["machine/memory_gb"]),
        wr.LinePlot(title="GPU, %", x="machine/seconds", y=["machine/gpu0_percent"]),
        wr.LinePlot(title="GPU's memory, GB", x="machine/seconds", y=["machine/gpu0_memory_gb"]),
    ]
    found = [
        wr.ScalarChart(title="Named right by the family", metric="top1"),
        wr.ScalarChart(title="Calibration error of the family", metric="ece"),
        wr.MediaBrowser(title="Sure, and wrong", media_keys=["mistakes"], num_columns=3),
        wr.MediaBrowser(title="Look-alikes", media_keys=["look_alikes"], num_columns=3),
    ]
    tables = [
        wr.WeavePanelSummaryTable(table_name=name, layout=wr.Layout(x=0, y=12 * at, w=FULL, h=12))
        for at, name in enumerate(("species", "confusions", "nodes", "gates"))
    ]

    def grid(title: str, panels: list[Any], runset: Any) -> list[Any]:
        return [wr.H2(text=title), wr.PanelGrid(runsets=[runset], panels=panels)]

    nodes = ("train-parent", "train-child", "train-flat")
    return wr.Report(
        project=links.project,
        entity=entity,
        title=links.group[:TITLE_LENGTH],
        description="What was learnt, what it is worth, and where it goes wrong.",
        width="fluid",
        blocks=[
            *grid("What was learnt", [half(panel, at) for at, panel in enumerate(curves)], runs("nodes", *nodes)),
            *grid(
                "What it is worth", [half(panel, at) for at, panel in enumerate(found)], runs("evaluation", "evaluate")
            ),
            *grid("Species, mistakes, nodes, gates", tables, runs("evaluation", "evaluate")),
            *grid("The machine", [half(panel, at) for at, panel in enumerate(machine)], runs("jobs")),
        ],
    )
