"""A declaration and a survey become a Plan: which stages there are, and what each reads."""

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import JsonValue

from earthsnap_train.pipeline.one_trunk import HEADS, OneTrunk
from earthsnap_train.pipeline.plan import Plan, Stage
from earthsnap_train.pipeline.slices import Json, of_ingest, of_network, of_photographs
from earthsnap_train.pipeline.survey import Survey
from earthsnap_train.pipeline.teaching import check_engine, check_named_first, check_names, searches_of, teaching_of
from earthsnap_train.spec.architecture import Flat, ParentChild, SharedTrunk
from earthsnap_train.spec.dataset import SyntheticFlora
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.spec.training import OF_RANKS, Teaching
from earthsnap_train.spec.tuning import Search, Sought
from earthsnap_train.spec.written import written

ALL = "all"
SPLITS: Mapping[str, list[JsonValue]] = {
    "train": ["train"],
    "train_val": ["train", "val"],
    "full": ["train", "val", "test"],
}


def compile_plan(spec: RunSpec, found: Survey) -> Plan:
    """Raises ConfigError for what contradicts itself only once the species are known."""
    compiler = _Compiler(spec, found)
    return Plan(
        family=spec.name,
        stages=tuple(compiler.stages()),
        externals=dict(found.externals),
        nodes=tuple(compiler.nodes),
    )


class _Compiler:
    """What every stage of one plan is made from."""

    def __init__(self, spec: RunSpec, found: Survey) -> None:
        self.spec = spec
        self.found = found
        present = {one.species_id for one in found.taxonomy.species}
        self.grouping = found.decision.grouping.only(present)
        self.species = list(self.grouping.group_of)
        self.taught_groups = [g for g in self.grouping.groups if len(self.grouping.members(g)) > 1]
        architecture = spec.architecture
        if isinstance(architecture, ParentChild | SharedTrunk):
            self.family_nodes = ["parent", *(f"child/{g}" for g in self.taught_groups)]
        else:
            self.family_nodes = ["flat"]
        with_flat = spec.evaluation.flat != "off" and "flat" not in self.family_nodes
        self.nodes = [*self.family_nodes, *(["flat"] if with_flat else [])]
        self.one_trunk: OneTrunk | None = None
        if isinstance(architecture, SharedTrunk):
            self.one_trunk = OneTrunk(spec, architecture, self.grouping, splits=SPLITS)
        taught = self.one_trunk.taught if self.one_trunk else self.nodes
        self.teaching = {node: self._teaching(node) for node in taught}
        if not taught:
            teaching_of(spec, self.nodes[0], ranks=found.taxonomy.ranks)  # refuses what heads alone do not have
        self.served_trunk = self.one_trunk.trunk if self.one_trunk else "trunk"
        self.photographs: dict[str, str] = {"manifest": "ingest", "photographs": "@photographs"}
        if isinstance(spec.dataset.source, SyntheticFlora):
            self.photographs["photographs"] = "draw:photographs"
        check_names(spec.nodes, "nodes", taught)
        self.searches: Mapping[str, tuple[list[str], Sought]] = {}
        if isinstance(spec.tuning, Search):
            tuned = {node: teaching for node, teaching in self.teaching.items() if not self._is_probe(node)}
            self.searches = searches_of(spec.tuning, tuned, {node: self._ranks(node) for node in tuned})
            check_engine(spec.tuning, spec.launcher)
        self._check_gates()
        check_named_first(architecture.named_first, ranks=found.taxonomy.ranks)

    def stages(self) -> Iterable[Stage]:
        if isinstance(self.spec.dataset.source, SyntheticFlora):
            yield self._stage("draw", "draw", settings=self.spec.dataset.source.model_dump(mode="json"))
        yield self._ingest()
        for group in self.grouping.groups:
            yield self._select(f"child/{group}")
        for node in self.teaching:
            if not node.startswith("child/"):
                yield self._select(node)
        for group in self.grouping.groups:
            yield self._records(group)
        yield self._trunk()
        if any(teaching.method != "full" for teaching in self.teaching.values()):
            for group in self.grouping.groups:
                yield self._embed(group)
        for search in self.searches:
            yield self._tune(search)
        if self.one_trunk:
            for node in self.one_trunk.taught:
                yield self._train(f"train/{node}", node, SPLITS["train"])
            yield from self.one_trunk.stages(
                self._stage, nodes=self.nodes, trunk_settings=self._trunk().settings, photographs=self.photographs,
                species=self.species,
            )  # fmt: skip
        else:
            for node in self.nodes:
                yield from self._node(node)
        yield self._calibrate()
        yield self._evaluate_family()
        yield self._bundle()
        yield self._report()

    # ---- photographs

    def _ingest(self) -> Stage:
        inputs = {"photographs": self.photographs["photographs"]}
        if isinstance(self.spec.dataset.source, SyntheticFlora):
            inputs["table"] = "draw:labels.csv"
        inputs |= {
            name: f"@{name}"
            for name in ("table", "species_table", "reviews", "forgotten", "base")
            if name in self.found.externals
        }
        settings = of_ingest(self.spec)
        if self.found.first_ids:
            settings["first_ids"] = dict(self.found.first_ids)
        return self._stage("ingest", "ingest", inputs=inputs, settings=settings, images=self.species)

    def _select(self, node: str) -> Stage:
        if node == "parent" and isinstance(self.spec.architecture, ParentChild):
            by_group = self.spec.architecture.parent.targets == "groups"
            limit = self.spec.architecture.parent.max_images_per_group
            class_of = {s: g if by_group else s for s, g in self.grouping.group_of.items()}
        else:
            limit = None
            class_of = {s: s for s in self._species_of(node)}
        settings: Json = {
            "classes": list(dict.fromkeys(class_of.values())),
            "class_of": dict(class_of),
            "group_of": {s: self.grouping.group_of[s] for s in class_of} if limit else {},
            "max_train_per_group": limit,
            "seed": self.spec.seed,
        }
        inputs = {"manifest": "ingest"}
        return self._stage(
            f"select/{node}", "select", node=node, inputs=inputs, settings=settings, images=self._species_of(node)
        )

    def _records(self, group: str) -> Stage:
        settings: Json = {
            "shorter_px": self.spec.training.records_px,
            "jpeg_quality": self.spec.training.jpeg_quality,
            "max_megapixels": self.spec.dataset.qa.max_megapixels,
            "classes": list(self.grouping.members(group)),
        }
        return self._stage(
            f"records/{group}", "records", inputs={"examples": f"select/child/{group}"}, sources=self.photographs,
            settings=settings, images=self.grouping.members(group),
        )  # fmt: skip

    # ---- networks

    def _trunk(self) -> Stage:
        weights = self.spec.backbone.weights
        package = weights.package if weights.kind == "package" else None
        # Where a file lies is no part of what it is: its content is an input.
        onnx = self.served_trunk == "trunk" and bool(self.one_trunk)
        onnx |= any(teaching.method != "full" for teaching in self.teaching.values())
        backbone = of_network(self.spec.backbone, exported=onnx) | {
            "weights": {"kind": weights.kind, "file": None, "package": package}
        }
        settings: Json = {"backbone": backbone, "seed": self.spec.seed, "onnx": onnx}
        inputs = {"weights": "@weights"} if "weights" in self.found.externals else {}
        return self._stage("trunk", "trunk", inputs=inputs, settings=settings)

    def _embed(self, group: str) -> Stage:
        return self._stage(
            f"embed/{group}", "embed", inputs={"records": f"records/{group}", "trunk": "trunk"},
            settings={"backbone": of_network(self.spec.backbone, exported=True)}, images=self.grouping.members(group),
        )  # fmt: skip

    def _tune(self, search: str) -> Stage:
        """Members are named by their group, and so not at all where it is one network of all species: whichever node asks."""
        nodes, sought = self.searches[search]
        inputs: dict[str, str] = {}
        members: Json = {}
        for node in nodes:
            groups, teaching = self._groups_of(node), self.teaching[node]
            member = groups[0] if node.startswith("child/") else ALL
            inputs |= {f"examples/{member}": f"select/{node}"} | self._taught_from(teaching, groups)
            members[member] = {
                "training": written(teaching),
                "classes": self._classes(node),
                "groups": list(groups),
                **self._lineages(node, sought.space),
            }
        settings: Json = {
            "search": sought.model_dump(mode="json"),
            "members": members,
            "backbone": of_network(self.spec.backbone),
            "seed": self.spec.seed,
        }
        most = sought.subset and 2 * sought.subset  # of train and of val each
        seen = [self.found.images_of.get(species, 0) for node in nodes for species in self._species_of(node)]
        num_images = sought.most_trials * sum(min(count, most or count) for count in seen)
        return self._stage(f"tune/{search}", "tune", inputs=inputs, settings=settings, num_images=num_images)

    def _taught_from(self, teaching: Teaching, groups: Iterable[str]) -> dict[str, str]:
        """What a network of these groups reads, besides the list of its examples."""
        inputs: dict[str, str] = {}
        if teaching.method != "full":
            inputs |= {f"embed/{g}": f"embed/{g}" for g in groups}
        if teaching.method != "head":
            inputs |= {f"records/{g}": f"records/{g}" for g in groups} | {"trunk": "trunk"}
        return inputs

    def _search(self, node: str) -> tuple[str, Sought] | None:
        """Name of the search that finds this node's settings."""
        return next(((name, sought) for name, (nodes, sought) in self.searches.items() if node in nodes), None)

    def _node(self, node: str) -> Iterable[Stage]:
        """Taught on train, exported and judged; taught once more where the released weights shall have seen more."""
        fit_on = self.spec.training.fit_on
        yield self._train(f"train/{node}", node, SPLITS["train"])
        yield self._export(f"export/{node}", node, taught=f"train/{node}")
        if fit_on != "train":
            yield self._train(f"refit/{node}", node, SPLITS[fit_on], after=f"train/{node}")
            yield self._export(f"reexport/{node}", node, taught=f"refit/{node}", calibrated=f"export/{node}")
        yield self._stage(
            f"evaluate/{node}", "evaluate", node=node,
            inputs={"export": self._judged(node), "trunk": "trunk", "examples": f"select/{node}"}, sources=self.photographs,
            settings=of_photographs(self.spec), images=self._species_of(node),
        )  # fmt: skip

    def _train(self, name: str, node: str, splits: list[JsonValue], after: str | None = None) -> Stage:
        """``after``: the training that knows when to stop, where the splits leave nothing to watch."""
        teaching = self.teaching[node]
        inputs = {"examples": f"select/{node}"}
        search = self._search(node)
        may_stop = teaching.early_stopping_patience is not None
        if search is not None:
            inputs["tune"] = f"tune/{search[0]}"
            may_stop |= "early_stopping_patience" in search[1].space
        if after is not None and may_stop:
            inputs["taught"] = after
        inputs |= self._taught_from(teaching, self._groups_of(node))
        settings: Json = {
            "training": written(teaching),
            "backbone": of_network(self.spec.backbone),
            "classes": self._classes(node),
            "splits": splits,
            "seed": self.spec.seed,
            **self._lineages(node, search[1].space if search else {}),
        }
        return self._stage(name, "train", node=node, inputs=inputs, settings=settings, images=self._species_of(node))

    def _export(self, name: str, node: str, *, taught: str, calibrated: str | None = None) -> Stage:
        inputs = {"train": taught, "trunk": "trunk", "examples": f"select/{node}"}
        inputs |= {f"records/{g}": f"records/{g}" for g in self._groups_of(node)}
        if self.teaching[node].method == "head":
            inputs |= {f"embed/{g}": f"embed/{g}" for g in self._groups_of(node)}
        if calibrated is not None:
            inputs["calibrated"] = calibrated
        settings: Json = {
            "targets": self._targets(node),
            "backbone": of_network(self.spec.backbone, exported=True),
            "classes": self._classes(node),
            "calibrate": calibrated is None,
        }
        return self._stage(name, "export", node=node, inputs=inputs, settings=settings, images=self._species_of(node))

    # ---- what they are worth, and the release

    def _judged(self, node: str) -> str:
        """Where the judged weights come from: those that have seen test can judge nothing."""
        if self.one_trunk:
            return f"{self.one_trunk.judged}:{node}"
        return f"reexport/{node}" if self.spec.training.fit_on == "train_val" else f"export/{node}"

    def _evaluated(self, node: str) -> str:
        return f"evaluate/heads:{node}" if self.one_trunk else f"evaluate/{node}"

    def _released(self, node: str) -> str:
        if self.one_trunk:
            return f"{self.one_trunk.released}:{node}"
        return f"export/{node}" if self.spec.training.fit_on == "train" else f"reexport/{node}"

    def _calibrate(self) -> Stage:
        """By the weights of train, whichever are released: to others the photographs of val are nothing new."""
        inputs = {"manifest": "ingest", "trunk": self.served_trunk}
        if self.one_trunk:
            inputs |= {f"export/{node}": f"{HEADS}:{node}" for node in self.family_nodes} | {
                "originals": "embed/originals"
            }
        else:
            inputs |= {f"export/{node}": f"export/{node}" for node in self.family_nodes}
        settings: Json = {
            "family": self._family() | {"named_first": "likeliest"},  # it asks how likely names are, not which is first
            "certain": self.spec.architecture.certain.model_dump(),
            "seed": self.spec.seed,
        }
        return self._stage(
            "calibrate/family", "calibrate", inputs=inputs,
            sources={"photographs": self.photographs["photographs"]}, settings=settings, images=self.species,
        )  # fmt: skip

    def _evaluate_family(self) -> Stage:
        inputs = {"manifest": "ingest", "trunk": self.served_trunk, "calibrated": "calibrate/family"}
        inputs |= {f"export/{node}": self._judged(node) for node in self.nodes}
        inputs |= {f"evaluate/{node}": self._evaluated(node) for node in self.nodes}
        if self.one_trunk:
            inputs["originals"] = "embed/originals"
        settings: Json = {
            "family": self._family(),
            "evaluated": list(self.nodes),
            "gates": {name: gate.model_dump() for name, gate in self.spec.evaluation.own_gates.items()},
        }
        return self._stage(
            "evaluate/family", "evaluate_family", inputs=inputs,
            sources={"photographs": self.photographs["photographs"]}, settings=settings, images=self.species,
        )  # fmt: skip

    def _bundle(self) -> Stage:
        inputs = {
            "manifest": "ingest",
            "trunk": self.served_trunk,
            "calibrated": "calibrate/family",
            "evaluated": "evaluate/family",
        }
        inputs |= {f"export/{node}": self._released(node) for node in self.family_nodes}
        settings: Json = {
            "name": self.spec.name,
            "family": self._family(),
            "taught_on": SPLITS[self.spec.training.fit_on],
            "backbone": self.spec.backbone.name,
        }
        if self.found.ids_now:
            settings["ids_now"] = dict(self.found.ids_now)
        return self._stage(
            "bundle",
            "bundle",
            inputs=inputs,
            sources={"photographs": self.photographs["photographs"]},
            settings=settings,
        )

    def _report(self) -> Stage:
        inputs = {"manifest": "ingest", "family": "evaluate/family"}
        for node in self.nodes:
            inputs |= {f"export/{node}": self._judged(node), f"evaluate/{node}": self._evaluated(node)}
            if not self.one_trunk:
                inputs[f"train/{node}"] = f"train/{node}"
        if self.one_trunk:
            inputs["heads"] = HEADS
        if self.one_trunk and self.one_trunk.ablates:
            inputs["ablation"] = "ablate"
        settings: Json = {
            "name": self.spec.name,
            "architecture": self.spec.architecture.kind,
            "fit_on": self.spec.training.fit_on,
            "group_of": dict(self.grouping.group_of),
            "nodes": {node: len(self._species_of(node)) for node in self.nodes},
            "routing": self._family()["routing"],
            "trunk_is_taught": self.one_trunk is not None and bool(self.one_trunk.taught),
        }
        return self._stage(
            "report",
            "report",
            inputs=inputs,
            sources={"photographs": self.photographs["photographs"]},
            settings=settings,
        )

    # ---- pieces

    def _stage(
        self, name: str, kind: str, *, settings: Json, node: str | None = None, inputs: Mapping[str, str] = {},
        sources: Mapping[str, str] = {}, images: Iterable[str] = (), num_images: int | None = None,
    ) -> Stage:  # fmt: skip
        """``images``: the species whose photographs it looks at, once each; else ``num_images`` says how many."""
        count = sum(self.found.images_of.get(species, 0) for species in images)
        return Stage(
            name=name,
            kind=kind,
            node=node,
            inputs=dict(inputs),
            sources=dict(sources),
            settings=settings,
            num_images=count if num_images is None else num_images,
        )

    def _species_of(self, node: str) -> list[str]:
        if node.startswith("child/"):
            return list(self.grouping.members(node.removeprefix("child/")))
        return self.species

    def _groups_of(self, node: str) -> list[str]:
        return [node.removeprefix("child/")] if node.startswith("child/") else list(self.grouping.groups)

    def _targets(self, node: str) -> Literal["groups", "species"]:
        architecture = self.spec.architecture
        return architecture.parent.targets if node == "parent" and isinstance(architecture, ParentChild) else "species"

    def _classes(self, node: str) -> list[JsonValue]:
        return list(self.grouping.groups) if self._targets(node) == "groups" else list(self._species_of(node))

    def _family(self) -> Json:
        architecture = self.spec.architecture
        routing = architecture.routing.model_dump() if not isinstance(architecture, Flat) else None
        return {
            "architecture": architecture.kind,
            "nodes": list(self.family_nodes),
            "species": list(self.species),
            "group_of": dict(self.grouping.group_of),
            "routing": routing,
            "named_first": architecture.named_first,
            "photographs": of_photographs(self.spec),
        }

    def _is_probe(self, node: str) -> bool:
        return node == "flat" and node not in self.family_nodes and self.spec.evaluation.flat == "probe"

    def _teaching(self, node: str) -> Teaching:
        if self._is_probe(node):
            return self.spec.training.probe()
        teaching = teaching_of(self.spec, node, ranks=self.found.taxonomy.ranks)
        return teaching if self._ranks(node) else teaching.without_ranks()

    def _ranks(self, node: str) -> tuple[str, ...]:
        """Those above the node's classes: groups are no part of the taxonomy."""
        return () if self._targets(node) == "groups" else self.found.taxonomy.ranks

    def _lineages(self, node: str, sought: Iterable[str]) -> Json:
        """Only where the loss asks for them, so that nothing else is taught anew when a taxon gets another name."""
        if not self.teaching[node].asks_ranks and not OF_RANKS & set(sought):
            return {}
        species = [self.found.taxonomy.get(one) for one in self._species_of(node)]
        return {"lineages": [[one.taxon(rank) for rank in self._ranks(node)] for one in species]}

    def _check_gates(self) -> None:
        if self.spec.evaluation.gates:
            from earthsnap_train.evaluation.figures import metric_names
            from earthsnap_train.evaluation.gates import champion_metric_names
            from earthsnap_train.evaluation.gates import check_names as check_metrics

            # Those beside a flat baseline are known where there is none, too: they are then not judged.
            own = metric_names(self.nodes, flat=True)
            check_metrics(self.spec.evaluation.gates, own | champion_metric_names())
