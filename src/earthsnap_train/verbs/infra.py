"""``infra``: what the family needs on AWS, written as templates, compared with what is deployed, or deployed."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from earthsnap_train.spec.job import Infrastructure
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.terminal import console as console_for_people

if TYPE_CHECKING:
    from launchers.sagemaker.infrastructure.site import Part, Site
    from launchers.sagemaker.infrastructure.stack import Change, Stacks


def run(spec: RunSpec) -> tuple[int, None]:
    """Templates are written in any case. Parts of other accounts are left out, and named."""
    from launchers.sagemaker.infrastructure.site import Site
    from launchers.sagemaker.infrastructure.template import templates

    job = spec.job
    assert isinstance(job, Infrastructure)
    site = Site(family=spec.name, infra=spec.infra)
    found = templates(site)
    console = console_for_people(stderr=spec.json_output)
    tell = partial(console.print, markup=False, soft_wrap=True)
    folder = Path(job.out)
    folder.mkdir(parents=True, exist_ok=True)
    for part, text in found.items():
        (folder / f"{part}.yaml").write_text(text)
        tell(f"{folder / f'{part}.yaml'}  {text.count('  Type: AWS::')} resources")
    changes = {} if job.action == "render" else _changes(site, found, deploys=job.action == "deploy", tell=tell)
    if spec.json_output:
        told = {part: [vars(change) for change in some] for part, some in changes.items()}
        print(json.dumps({"folder": str(folder), "changes": told}, indent=1))  # noqa: T201
    return 0, None


def _changes(
    site: "Site", found: "Mapping[Part, str]", *, deploys: bool, tell: Callable[[str], None]
) -> "dict[Part, tuple[Change, ...]]":
    from launchers.sagemaker.infrastructure.site import OUR_ACCOUNT
    from launchers.sagemaker.infrastructure.stack import connect

    assert site.infra.region is not None
    stacks = connect(site.infra.region)
    account = stacks.account()
    changes: dict[Part, tuple[Change, ...]] = {}
    for part, template in found.items():
        name = site.stack(part)
        if site.account(part) not in (OUR_ACCOUNT, account):
            tell(f"{name}: left out, for it is in account {site.account(part)}, and the credentials are of {account}")
            continue
        changes[part] = (_deploy if deploys else _diff)(stacks, site, name, template, tell)
        if not changes[part]:
            tell(f"{name}: nothing to change")
    return changes


def _diff(
    stacks: "Stacks", site: "Site", name: str, template: str, tell: Callable[[str], None]
) -> "tuple[Change, ...]":
    changes = stacks.diff(name, template, site.tags)
    for one in changes:
        tell(f"{name}: {one.action.lower():<7} {one.name}  {one.kind}{'  (made anew)' if one.replaces else ''}")
    return changes


def _deploy(
    stacks: "Stacks", site: "Site", name: str, template: str, tell: Callable[[str], None]
) -> "tuple[Change, ...]":
    changes = stacks.deploy(name, template, site.tags, tell=lambda line: tell(f"{name}: {line}"))
    for key, value in stacks.outputs(name).items():
        tell(f"{name}: {key} = {value}")
    return changes
