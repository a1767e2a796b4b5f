"""``predict``: names the species on photographs, as a server of the release would. Never imports torch."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from earthsnap_train.data.image_file import ImageRefused
from earthsnap_train.data.preprocess import prepare_file
from earthsnap_train.data.scan import is_photograph
from earthsnap_train.errors import ConfigError, NotFoundError, did_you_mean
from earthsnap_train.evaluation.wording import NAMED_FIRST
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.load import open_release
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.serving.answer import Words
from earthsnap_train.serving.engine import Engine
from earthsnap_train.spec.job import Predict
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.taxonomy.tree import SPECIES_RANK
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.terminal import console as console_for_people

LEAST_SHOWN = 0.005  # a further name that is less likely says nothing to a reader; --json has it all the same


def run(spec: RunSpec) -> tuple[int, None]:
    """Exit code 2 when a photograph could not be read; the others are answered all the same."""
    job = spec.job
    assert isinstance(job, Predict)
    if not job.photos:
        raise ConfigError("no photograph was given", where="photos", remedy="earthsnap predict PHOTO.jpg FOLDER/")
    photos = list(_files(job.photos))
    release, why = _release(open_registry(spec), job.release, spec.name)
    console = console_for_people()
    if job.release is None and not spec.json_output:
        console.print(f"answered by {release.name}, {why}", markup=False)
    opened = open_release(release.path)
    family = opened.engine.family
    words = Words(family, opened.taxonomy, job.top)
    answers = [_answer(photo, opened.engine, words, spec.dataset.qa.max_megapixels) for photo in photos]
    if spec.json_output:
        print(json.dumps({"release": release.name, "photographs": answers}, indent=1, ensure_ascii=False))  # noqa: T201
    else:
        _show(answers, family.unsure_below, console)
        if why_first := NAMED_FIRST[family.named_first]:
            console.print(why_first, markup=False, style="dim")
    return (2 if any("refused" in answer for answer in answers) else 0), None


def _files(given: Sequence[str]) -> Iterator[Path]:
    for name in given:
        path = Path(name).expanduser()
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and is_photograph(p.name))
            if not inside:
                raise NotFoundError(
                    "the folder holds no photograph",
                    where=str(path),
                    remedy="name a photograph, or a folder that holds some",
                )
            yield from inside
        elif path.is_file():
            yield path
        else:
            beside = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
            remedy = did_you_mean(path.name, beside) or "check the path; it starts from the current folder"
            raise NotFoundError("there is no such file or folder", where=str(path), remedy=remedy)


def _release(registry: Registry, wanted: str | None, family: str) -> tuple[Release, str]:
    """(what answers, why that one). Without a name the champion; where there is more than one, the newest of them."""
    if wanted is not None:
        return registry.get(wanted), "as asked"
    known = registry.releases(None if family == "any" else family)
    deployments = Deployments(registry.ledger)
    champions = {one: deployments.champion(one) for one in {release.family for release in known}}
    live = [release for release in known if champions[release.family] == release.number]
    usable = live or [release for release in known if release.state != "Rejected"]
    if not usable:
        raise NotFoundError(
            "there is no release to answer with",
            where=str(registry.root),
            remedy="make one: earthsnap +experiment=plants",
        )
    newest = max(usable, key=lambda release: release.created)
    return newest, "which is live" if live else "the newest that nobody rejected"


def _answer(photo: Path, engine: Engine, words: Words, max_megapixels: float) -> dict[str, Any]:
    """What a server says of a request with this one photograph."""
    try:
        image = prepare_file(photo.read_bytes(), engine.family.preprocessing, max_megapixels=max_megapixels)
    except ImageRefused as refusal:
        return {"photograph": str(photo), "refused": refusal.code, "why": refusal.what}
    answer = engine.answer(image[None])
    said = words.say(answer.species_BS, answer.groups_BG)
    del said["photographs"]  # of which each would be said alone
    return {"photograph": str(photo), **said}


def _show(answers: Sequence[Mapping[str, Any]], unsure_below: float, console: Console) -> None:
    """A photograph's path on a line of its own, however long it is; beneath it what is on it, then what it may be."""
    named = [one for answer in answers for one in answer.get("species", [])]
    width = max((len(one["scientific_name"]) for one in named), default=0)
    common_width = max((len(one["common_name"] or "") for one in named), default=0)
    for answer in answers:
        console.print(answer["photograph"], markup=False, soft_wrap=True, style="bold")
        if "refused" in answer:
            console.print(
                f"  refused ({answer['refused']}): {answer['why']}", markup=False, soft_wrap=True, style="red"
            )
            continue
        console.print(f"  {in_words(answer, unsure_below)}", markup=False, soft_wrap=True)
        for place, one in enumerate(answer["species"]):
            if place and one["probability"] < LEAST_SHOWN:
                break
            line = (
                f"  {100 * one['probability']:5.1f} %  {one['scientific_name']:<{width}}  "
                f"{one['common_name'] or '':<{common_width}}  {one['group']}"
            )
            console.print(line, markup=False, soft_wrap=True, style="dim")


def in_words(said: Mapping[str, Any], unsure_below: float) -> str:
    """The answer, and why it is no finer: the next taxon of its lineage, which is not likely enough."""
    answer, lineage = said["answer"], said["lineage"]
    if answer["rank"] is None:
        name, below = "not recognised", lineage[0]
    else:
        name = f"{answer['rank']} {answer['scientific_name']}, {100 * answer['probability']:.1f} %"
        if answer["rank"] == SPECIES_RANK:
            return name
        below = lineage[[taxon["rank"] for taxon in lineage].index(answer["rank"]) + 1]
    # A near miss must not read as "90.0 %, and 90.0 % is asked for".
    digits = 1 if unsure_below - below["probability"] >= 0.001 else 3
    return (
        f"{name}; the likeliest {below['rank']}, {below.get('scientific_name', below['name'])}, has "
        f"{100 * below['probability']:.{digits}f} %, and {100 * unsure_below:.{digits}f} % is asked for"
    )
