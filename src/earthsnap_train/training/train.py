"""Stage ``train``: teaches one node.

Writes ``head.safetensors``; ``trunk.safetensors`` too where the trunk was taught; ``model.json`` (classes and their
digest, steps taken); ``notes/curves.json`` (what was measured on the way).
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from earthsnap_train.context import Context, Events
from earthsnap_train.data.examples import Examples
from earthsnap_train.data.shards import classes_digest
from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.models.backbone import empty_trunk
from earthsnap_train.models.embed import Embeddings
from earthsnap_train.models.heads import Floats, save_head
from earthsnap_train.spec.backbone import Backbone
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.spec.training import Teaching
from earthsnap_train.training.head import teach_head
from earthsnap_train.training.network import teach_network


class Settings(SpecModel):
    """``splits``: what is learnt from; ``val`` is watched while it is not among them."""

    training: Teaching
    backbone: Backbone
    classes: list[str]
    splits: list[str]
    seed: int


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = Settings.model_validate(settings)
    torch.set_num_threads(context.resources.threads)
    examples = Examples.read(inputs["examples"])
    curves = _Curves(context.scratch / "curves.jsonl", context.events)
    steps = s.training.num_epochs
    try:
        head: tuple[Floats, Floats] | None = None
        if s.training.method != "full":
            embeddings = Embeddings({name: path for name, path in inputs.items() if name.startswith("embed/")})
            head, steps = teach_head(s, examples, embeddings, context, curves)
        if s.training.method != "head":
            trunk = empty_trunk(s.backbone)
            trunk.load_state_dict(load_file(inputs["trunk"] / "trunk.safetensors"))
            folders = {name: path for name, path in inputs.items() if name.startswith("records/")}
            head, steps = teach_network(s, inputs["examples"], trunk, head, folders, context, curves)
            save_file({name: t.contiguous() for name, t in trunk.state_dict().items()}, out / "trunk.safetensors")
    except torch.cuda.OutOfMemoryError as error:
        raise EnvironmentProblem(
            f"the GPU's memory is too small for a batch of {s.training.batch_size} photographs of {s.backbone.image_px} px",
            where="training.batch_size",
            remedy=f"training.batch_size={max(1, s.training.batch_size // 2)}, or a smaller backbone.image_px",
        ) from error
    assert head is not None
    save_head(out / "head.safetensors", weight_CF=head[0], bias_C=head[1])
    described = {"classes": s.classes, "classes_digest": classes_digest(s.classes), "steps": steps}
    (out / "model.json").write_text(json.dumps(described, ensure_ascii=False, sort_keys=True, indent=1))
    (out / "notes").mkdir()
    (out / "notes" / "curves.json").write_text(json.dumps(curves.read()))


class _Curves(Events):
    """Passes events on and keeps what was measured in the scratch folder, so that a resumed run has the whole curve."""

    def __init__(self, path: Path, events: Events) -> None:
        self._path = path
        self._events = events

    def progress(self, done: int, total: int, unit: str) -> None:
        self._events.progress(done, total, unit)

    def note(self, text: str) -> None:
        self._events.note(text)

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        with self._path.open("a") as f:
            f.write(json.dumps({"step": step, **values}) + "\n")
        self._events.measure(step, values)

    def read(self) -> list[dict[str, float]]:
        """One row a step; of what was measured twice around a kill, the later."""
        rows: dict[float, dict[str, float]] = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            row = json.loads(line)
            rows[row["step"]] = rows.get(row["step"], {}) | row
        return [rows[step] for step in sorted(rows)]
