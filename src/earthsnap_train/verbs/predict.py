"""``predict``: names the species on photographs, as a server of the release would. Never imports torch."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from earthsnap_train.data.image_file import ImageRefused
from earthsnap_train.data.preprocess import prepare_file
from earthsnap_train.data.scan import is_photograph
from earthsnap_train.errors import ConfigError, NotFoundError, did_you_mean
from earthsnap_train.evaluation.wording import NAMED_FIRST
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.load import Opened, open_release
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.spec.job import Predict
from earthsnap_train.spec.run import RunSpec
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
    answers = [_answer(photo, opened, job.top, spec.dataset.qa.max_megapixels) for photo in photos]
    if spec.json_output:
        print(json.dumps({"release": release.name, "photographs": answers}, indent=1, ensure_ascii=False))  # noqa: T201
    else:
        _show(answers, console)
        if why_first := NAMED_FIRST[opened.engine.family.named_first]:
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


def _answer(photo: Path, opened: Opened, top: int, max_megapixels: float) -> dict[str, object]:
    engine, family = opened.engine, opened.engine.family
    try:
        image = prepare_file(photo.read_bytes(), family.preprocessing, max_megapixels=max_megapixels)
    except ImageRefused as refusal:
        return {"photograph": str(photo), "refused": refusal.code, "why": refusal.what}
    answer = engine.answer(image[None])
    named = [
        {
            "species_id": species,
            "scientific_name": opened.taxonomy.get(species).scientific_name,
            "common_name": opened.taxonomy.get(species).common_name,
            "group": family.group_of[species],
            "probability": round(probability, 4),
        }
        for species, probability in opened.naming.top(answer.species_BS[0], top)
    ]
    return {"photograph": str(photo), "species": named}


def _show(answers: Sequence[dict[str, object]], console: Console) -> None:
    """A photograph's path on a line of its own, however long it is; beneath it what is on it."""
    named = [one for answer in answers for one in _species(answer)]
    width = max((len(one["scientific_name"]) for one in named), default=0)
    common_width = max((len(one["common_name"] or "") for one in named), default=0)
    for answer in answers:
        console.print(str(answer["photograph"]), markup=False, soft_wrap=True, style="bold")
        if "refused" in answer:
            console.print(
                f"  refused ({answer['refused']}): {answer['why']}", markup=False, soft_wrap=True, style="red"
            )
        for place, one in enumerate(_species(answer)):
            if place and one["probability"] < LEAST_SHOWN:
                break
            line = (
                f"  {100 * one['probability']:5.1f} %  {one['scientific_name']:<{width}}  "
                f"{one['common_name'] or '':<{common_width}}  {one['group']}"
            )
            console.print(line, markup=False, soft_wrap=True, style="dim" if place else "")


def _species(answer: dict[str, object]) -> list[dict[str, Any]]:
    species = answer.get("species", [])
    assert isinstance(species, list)
    return species
