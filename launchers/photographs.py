"""Photographs that a plan is made of and that are not on this machine yet."""

from pathlib import Path

from earthsnap_train.pipeline.plan import Plan


def are_in_a_bucket(plan: Plan) -> bool:
    source = plan.stage("ingest").settings["source"]
    return isinstance(source, dict) and source["kind"] == "s3"


def bring_photographs(plan: Plan, root: Path) -> None:
    """Brings what is listed and lacking from its bucket. Raises DataError for what is not as it was listed."""
    if are_in_a_bucket(plan):
        from earthsnap_train.data.source_s3 import fetch, read_listing

        listing = read_listing(root)
        assert listing is not None, "the plan was made of it"
        fetch(listing, root)
