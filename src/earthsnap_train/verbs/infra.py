"""``infra``: what the family needs on AWS, written as templates, compared with what is deployed, or deployed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from earthsnap_train.spec.job import Infrastructure
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.terminal import console as console_for_people

if TYPE_CHECKING:
    from launchers.sagemaker.infrastructure.site import Part, Site
    from launchers.sagemaker.infrastructure.stack import Change


def run(spec: RunSpec) -> tuple[int, None]:
    """Templates are written in any case. Parts of other accounts are left out, and named."""
    from launchers.sagemaker.infrastructure.site import Site
    from launchers.sagemaker.infrastructure.template import templates

    job = spec.job
    assert isinstance(job, Infrastructure)
    site = Site(family=spec.name, infra=spec.infra)
    found = templates(site)
    console = console_for_people(stderr=spec.json_output)
    folder = Path(job.out)
    folder.mkdir(parents=True, exist_ok=True)
    for part, text in found.items():
        (folder / f"{part}.yaml").write_text(text)
        console.print(
            f"{folder / f'{part}.yaml'}  {text.count('  Type: AWS::')} resources", markup=False, soft_wrap=True
        )
    changes = (
        {} if job.action == "render" else _stacks(site, found, deploys=job.action == "deploy", quiet=spec.json_output)
    )
    if spec.json_output:
        told = {part: [vars(change) for change in some] for part, some in changes.items()}
        print(json.dumps({"folder": str(folder), "changes": told}, indent=1))  # noqa: T201
    return 0, None


def _stacks(site: "Site", found: "dict[Part, str]", *, deploys: bool, quiet: bool) -> "dict[Part, tuple[Change, ...]]":
    from launchers.sagemaker.infrastructure.site import OUR_ACCOUNT
    from launchers.sagemaker.infrastructure.stack import Stacks

    console = console_for_people(stderr=quiet)
    assert site.infra.region is not None
    stacks = Stacks(region=site.infra.region)
    account = stacks.account()
    changes: dict[Part, tuple[Change, ...]] = {}
    for part, text in found.items():
        name = site.stack(part)
        if site.account(part) not in (OUR_ACCOUNT, account):
            said = f"{name}: left out, for it is in account {site.account(part)} and the credentials are of {account}"
            console.print(said, markup=False, soft_wrap=True, style="yellow")
            continue
        if deploys:
            tell = lambda line, name=name: console.print(f"{name}: {line}", markup=False, soft_wrap=True)  # noqa: E731
            changes[part] = stacks.deploy(name, text, site.tags, tell=tell)
            for key, value in stacks.outputs(name).items():
                tell(f"{key} = {value}")
        else:
            changes[part] = stacks.diff(name, text, site.tags)
            for one in changes[part]:
                anew = "  (made anew)" if one.replaces else ""
                line = f"{name}: {one.action.lower():<7} {one.name}  {one.kind}{anew}"
                console.print(line, markup=False, soft_wrap=True)
        if not changes[part]:
            console.print(f"{name}: nothing to change", markup=False, soft_wrap=True)
    return changes
