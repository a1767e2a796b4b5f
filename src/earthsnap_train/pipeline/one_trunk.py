"""The stages of an ``architecture=shared_trunk`` between its photographs and what the family is worth.

One trunk, left as it is or taught once; what it makes of every photograph; and all heads at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic import JsonValue

from earthsnap_train.errors import ConfigError
from earthsnap_train.pipeline.plan import Stage
from earthsnap_train.pipeline.slices import Json, of_network, of_photographs
from earthsnap_train.spec.architecture import SharedTrunk
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.spec.tuning import Search
from earthsnap_train.taxonomy.grouping import Grouping

NODE = "trunk"  # whose training is set as any node's
HEADS = "heads"
CHECK = "check/parent"

Make = Callable[..., Stage]


class OneTrunk:
    """``taught``: nodes that are trained rather than solved. ``trunk``: the stage whose trunk is served."""

    def __init__(
        self, spec: RunSpec, architecture: SharedTrunk, grouping: Grouping, *, splits: Mapping[str, list[JsonValue]]
    ) -> None:
        """Raises ConfigError for settings of a training, or a search for them, where nothing is trained."""
        self._spec = spec
        self._architecture = architecture
        self._grouping = grouping
        self._splits = splits
        self._has_base = spec.base is not None
        self.taught = () if spec.training.method == "head" else (NODE,)
        self.trunk = "trunk/taught" if self.taught else "trunk"
        for name in spec.nodes:
            if name not in self.taught:
                raise ConfigError(
                    f"{name} is not trained: the heads of a shared trunk are all solved alike",
                    where=f"nodes.{name}",
                    allowed=", ".join(self.taught) or "none, for the trunk stays as it is",
                    remedy="architecture.heads has their settings",
                )
        if "method" in spec.nodes.get(NODE, {}):
            raise ConfigError(
                "whether the trunk is taught, and how, is said for the whole family",
                where=f"nodes.{NODE}.method",
                remedy="training=head, full or head_then_full",
            )
        own = spec.nodes.get(NODE, {}).get("augmentation")
        flips = spec.training.augmentation.horizontal_flip
        if isinstance(own, Mapping) and own.get("horizontal_flip", flips) != flips:
            raise ConfigError(
                "a mirror image shows the same species to the trunk and to its heads, or to neither",
                where=f"nodes.{NODE}.augmentation.horizontal_flip",
                allowed=f"{flips}, as training.augmentation.horizontal_flip is".lower(),
                remedy="training.augmentation.horizontal_flip is for both",
            )
        if isinstance(spec.tuning, Search) and not self.taught:
            raise ConfigError(
                "the heads of a frozen trunk are solved to their optimum: there is nothing to search",
                where="tuning",
                remedy="tuning=none, or training=head_then_full, which teaches the trunk",
            )

    @property
    def judged(self) -> str:
        """The stage whose heads are evaluated: those that have seen test can judge nothing."""
        return "reheads" if self._spec.training.fit_on == "train_val" else HEADS

    @property
    def ablates(self) -> bool:
        """Whether the heads that are judged are those that an ablation would solve: none kept, none that have seen val."""
        return self._spec.evaluation.ablation and not self._has_base and self.judged == HEADS

    @property
    def released(self) -> str:
        return HEADS if self._spec.training.fit_on == "train" else "reheads"

    def stages(
        self,
        make: Make,
        *,
        nodes: Sequence[str],
        trunk_settings: Json,
        photographs: Mapping[str, str],
        species: Sequence[str],
    ) -> Iterator[Stage]:
        """``make``: builds a stage as every other of the plan is built."""
        spec = self._spec
        examples = {f"examples/{group}": f"select/child/{group}" for group in self._grouping.groups}
        if self.taught:
            yield make(
                self.trunk,
                "trunk",
                node=NODE,
                inputs={"taught": f"train/{NODE}"},
                settings=self._exported(trunk_settings),
            )
        for group in self._grouping.groups:
            yield make(
                self._embed(group), "embed", node=NODE if self.taught else None,
                inputs={"records": f"records/{group}", "trunk": self.trunk},
                settings={
                    "backbone": of_network(spec.backbone, exported=True),
                    "splits": list(self._splits[spec.training.fit_on]),
                    "mirrored": spec.training.augmentation.horizontal_flip,
                },
                images=self._grouping.members(group),
            )  # fmt: skip
        yield make(
            "embed/originals", "embed_originals", node=NODE if self.taught else None,
            inputs=examples | {"trunk": self.trunk},
            sources=photographs,
            settings={
                "backbone": of_network(spec.backbone, exported=True),
                "photographs": of_photographs(spec),
                "splits": ["val", "test"],
            },
            images=species,
        )  # fmt: skip
        if self._has_base:
            yield make(
                CHECK, "check_parent", node=HEADS,
                inputs=examples | {"release": "@release", "trunk": self.trunk, "originals": "embed/originals"},
                settings={
                    "groups": self._groups(),
                    "min_routing": self._architecture.keep_parent.min_routing,
                },
                images=species,
            )  # fmt: skip
        yield self._heads(make, HEADS, "train", examples | {"originals": "embed/originals"}, species)
        if self.released != HEADS:
            yield self._heads(make, "reheads", spec.training.fit_on, examples | {"calibrated": HEADS}, species)
        if self.ablates:
            seen = {"originals": "embed/originals", "manifest": "ingest", "heads": HEADS}
            yield self._heads(make, "ablate", "train", examples | seen, species, kind="ablate")
        yield make(
            "evaluate/heads", "evaluate_heads", node=HEADS,
            inputs=examples | {"manifest": "ingest", "originals": "embed/originals", "heads": self.judged},
            settings={"nodes": list(nodes)}, images=species,
        )  # fmt: skip

    def _heads(
        self,
        make: Make,
        name: str,
        fit_on: str,
        inputs: Mapping[str, str],
        species: Sequence[str],
        *,
        kind: str = HEADS,
    ) -> Stage:
        training = self._spec.training
        settings: Json = {
            "groups": self._groups(),
            "parent": self._architecture.parent.model_dump(),
            "routing": self._architecture.routing.model_dump(),
            "lesson": {
                "heads": self._architecture.heads.model_dump(),
                "label_smoothing": training.label_smoothing,
            },
            "splits": list(self._splits[fit_on]),
            "flat": self._spec.evaluation.flat != "off",
            "quantization": self._spec.backbone.quantization,
        }
        if kind == "ablate":
            settings["named_first"] = self._architecture.named_first
        check = {"check": CHECK} if self._has_base else {}
        embeds = {f"embed/{group}": self._embed(group) for group in self._grouping.groups}
        return make(
            name,
            kind,
            node=HEADS,
            inputs={**inputs, **embeds, **check, "trunk": self.trunk},
            settings=settings,
            images=species,
        )

    def _exported(self, trunk_settings: Json) -> Json:
        backbone = trunk_settings["backbone"]
        assert isinstance(backbone, dict)
        own = self._spec.backbone
        return trunk_settings | {
            "onnx": True,
            "backbone": backbone | {"quantization": own.quantization, "looks": own.looks},
        }

    def _groups(self) -> Json:
        return {group: list(self._grouping.members(group)) for group in self._grouping.groups}

    def _embed(self, group: str) -> str:
        return f"embed/{self.trunk}/{group}"
