"""Stage ``train``: teaches one node.

Writes ``head.safetensors``; ``trunk.safetensors`` too where the trunk was taught; ``model.json`` (classes and their
digest; the steps and the epochs of the weights that were kept, per phase); ``notes/curves.json`` (what was measured).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch.multiprocessing.spawn import ProcessRaisedException

from earthsnap_train.context import Context
from earthsnap_train.data.examples import Examples
from earthsnap_train.data.shards import classes_digest
from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.models.backbone import Trunk, empty_trunk
from earthsnap_train.models.embeddings import Embeddings
from earthsnap_train.models.heads import Floats, save_head
from earthsnap_train.spec.backbone import Backbone
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.spec.written import Written
from earthsnap_train.training.curves import Curves
from earthsnap_train.training.fit import Taught
from earthsnap_train.training.head import teach_head
from earthsnap_train.training.network import teach_network


class Settings(SpecModel):
    """``splits``: what is learnt from; ``val`` is watched while it is not among them.

    ``lineages``: of each class, highest rank first, where the loss asks for them.
    """

    training: Written
    backbone: Backbone
    classes: list[str]
    splits: list[str]
    seed: int
    lineages: list[list[str | None]] | None = None


class Learnt(NamedTuple):
    """What came of a teaching. ``trunk`` is None where it was not taught; ``phases``: how long each took."""

    head: tuple[Floats, Floats]
    trunk: Trunk | None
    phases: dict[str, Taught]


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    """Input ``taught``, where there is one: the same node taught with val to watch; this one ends after as many epochs.

    Input ``tune``, where there is one: the settings that a search found, which take the place of those declared.
    """
    s = Settings.model_validate(settings)
    if "tune" in inputs:
        found = json.loads((inputs["tune"] / "best.json").read_text())["settings"]
        s = s.model_copy(update={"training": s.training.replaced(found)})
    torch.set_num_threads(context.resources.threads)
    curves = Curves(context.scratch / "curves.jsonl", context.events)
    with or_out_of_memory(s):
        learnt = teach(s, inputs, context, curves)
    if learnt.trunk is not None:
        save_file({name: t.contiguous() for name, t in learnt.trunk.state_dict().items()}, out / "trunk.safetensors")
    save_head(out / "head.safetensors", weight_CF=learnt.head[0], bias_C=learnt.head[1])
    described = {
        "classes": s.classes,
        "classes_digest": classes_digest(s.classes),
        "steps": {phase: taught.step for phase, taught in learnt.phases.items()},
        "epochs": {phase: taught.num_epochs for phase, taught in learnt.phases.items()},
    }
    (out / "model.json").write_text(json.dumps(described, ensure_ascii=False, sort_keys=True, indent=1))
    (out / "notes").mkdir()
    (out / "notes" / "curves.json").write_text(json.dumps(curves.read()))


@contextmanager
def or_out_of_memory(s: Settings) -> Iterator[None]:
    """Raises EnvironmentProblem where the GPU's memory is too small, in this process or in one of several."""
    try:
        yield
    except (torch.cuda.OutOfMemoryError, ProcessRaisedException) as error:
        if isinstance(error, ProcessRaisedException) and "OutOfMemoryError" not in str(error):
            raise
        raise EnvironmentProblem(
            f"the GPU's memory is too small for a batch of {s.training.batch_size} photographs of {s.backbone.image_px} px",
            where="training.batch_size",
            remedy=f"training.batch_size={max(1, s.training.batch_size // 2)}, or a smaller backbone.image_px",
        ) from error


def teach(s: Settings, inputs: Mapping[str, Path], context: Context, curves: Curves) -> Learnt:
    """Goes on where a killed one stopped. In the curves the network's steps count on from the head's."""
    epochs = json.loads((inputs["taught"] / "model.json").read_text())["epochs"] if "taught" in inputs else {}
    phases: dict[str, Taught] = {}
    head: tuple[Floats, Floats] | None = None
    trunk: Trunk | None = None
    if s.training.method != "full":
        examples = Examples.read(inputs["examples"])
        embeddings = Embeddings({name: path for name, path in inputs.items() if name.startswith("embed/")})
        head, phases["head"] = teach_head(s, examples, embeddings, context, curves, num_epochs=epochs.get("head"))
    if s.training.method != "head":
        trunk = empty_trunk(s.backbone)
        trunk.load_state_dict(load_file(inputs["trunk"] / "trunk.safetensors"))
        folders = {name: path for name, path in inputs.items() if name.startswith("records/")}
        events = curves
        if "head" in phases and s.training.head_first is not None:
            events = curves.after(s.training.head_first.num_epochs * phases["head"].steps_per_epoch)
        head, phases["network"] = teach_network(
            s, inputs["examples"], trunk, head, folders, context, events, num_epochs=epochs.get("network")
        )
    assert head is not None
    return Learnt(head, trunk, phases)
