"""What the documents say, held against the program: commands, names of files and keys, verbs, links."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override

from earthsnap_train.__main__ import conf_folder, through_the_door, translate, verbs
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.spec.validate import known_keys

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
EXPERIMENTS = sorted((REPOSITORY / "conf" / "experiment").glob("*.yaml"))
# Where a name of a file may start from, as docs/journey.md says.
ROOTS = (REPOSITORY, REPOSITORY / "src" / "earthsnap_train")
WRITTEN_BY_RUNS = {
    "MODEL_CARD.md",
    "NOTES.md",
    "groupings/mine.lock.yaml",
    "curves.csv",
    "runs.csv",
    "suspects.csv",
    "by-genus.yaml",
}
WRITTEN_BY_USERS = {"labels.csv", "species.csv"}
PROGRAMS = (("earthsnap",), ("python", "-m", "earthsnap_train"))
OF_THE_SYSTEM = {"aws", "curl", "docker", "du", "pip", "tail"}


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def commands(document: Path) -> Iterator[str]:
    """Markdown: lines after a prompt in code blocks, and calls of the program in a sentence. YAML: comments that are calls."""
    if document.suffix == ".yaml":
        for line in document.read_text("utf-8").splitlines():
            if re.match(r"#\s+(python -m earthsnap_train|earthsnap) ", line):
                yield line.removeprefix("#").strip()
        return
    variables: dict[str, str] = {}
    for block in re.findall(r"^```console\n(.*?)^```", document.read_text("utf-8"), flags=re.M | re.S):
        for line in (line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")):
            line = re.sub(r"\$([A-Z]+)", lambda name: variables.get(name[1], name[0]), line)
            if line.startswith("export "):
                variables.update(word.split("=", 1) for word in shlex.split(line)[1:])
            else:
                yield line
    yield from sorted(word for word in code(document) if ours(word.split()) and "[VERB]" not in word)


def code(document: Path) -> set[str]:
    """What stands between single backticks outside of code blocks."""
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.M | re.S)
    return set(re.findall(r"`([^`\n]+)`", text))


def words_of(command: str) -> list[str]:
    """Without the comment; shells take a # for one only where a word begins."""
    return shlex.split(command, comments=True)


def ours(words: Sequence[str]) -> list[str] | None:
    """The arguments of a call of our own program, else None."""
    return next((list(words[len(p) :]) for p in PROGRAMS if tuple(words[: len(p)]) == p), None)


def composed(arguments: Sequence[str]) -> RunSpec:
    """As the program would see it; of a sweep, its first job."""
    overrides = get_args_parser().parse_args(translate(arguments)).overrides
    parsed = OverridesParser.create().parse_overrides(overrides)
    first = [
        f"{one.get_key_element()}={_first(one)}" if one.is_sweep_override() else str(one.input_line) for one in parsed
    ]
    if any(one.key_or_group == "hydra.sweeper.resume" for one in parsed):
        first.append("name=as-it-was-declared")
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        return through_the_door(compose("config", overrides=first))


def _first(swept: Override) -> str:
    value = swept.value()
    return str(value.start) if isinstance(value, IntervalSweep) else next(iter(swept.sweep_string_iterator()))


ALL_COMMANDS = [
    pytest.param(command, id=f"{name_of(document)}: {command}")
    for document in (*DOCUMENTS, *EXPERIMENTS)
    for command in commands(document)
]


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_every_command_is_one_that_the_program_or_the_makefile_takes(command: str) -> None:
    words = words_of(command)
    arguments = ours(words)
    if arguments is not None:
        if "--help" not in arguments:
            assert composed(arguments).job.verb in verbs()
    elif words[0] not in OF_THE_SYSTEM:
        assert words[0] == "make", "neither earthsnap nor make"
        targets = re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), flags=re.M)
        assert set(words[1:]) <= set(targets)


def test_the_first_commands_of_the_readme_are_the_demo_and_the_tests() -> None:
    assert list(commands(REPOSITORY / "README.md"))[:2] == ["make demo", "make test"]


def test_every_experiment_opens_with_its_own_command() -> None:
    for path in EXPERIMENTS:
        shown = [argument for command in commands(path) for argument in words_of(command)]
        assert f"+experiment={path.stem}" in shown, path.name


def exists(name: str, *, near: Path) -> bool:
    """A path from where names may start; a bare name anywhere in the code."""
    if any((root / name).exists() for root in (*ROOTS, near)):
        return True
    folders = [REPOSITORY / part for part in ("conf", "docs", "launchers", "src", "tests")]
    return "/" not in name and any(True for folder in folders for _ in folder.rglob(name))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_that_is_named_exists(document: Path) -> None:
    """Names with a suffix of ours, or of a folder that ends with a slash and lies in the repository."""
    named = {word for word in code(document) if re.fullmatch(r"[\w./-]+\.(py|yaml|toml|md|j2|css|csv)", word)}
    named |= {
        word for word in code(document) if re.fullmatch(r"(src|conf|docs|tests|launchers|benchmarks)/[\w./-]*", word)
    }
    lost = {word for word in named - WRITTEN_BY_RUNS - WRITTEN_BY_USERS if not exists(word, near=document.parent)}
    assert not lost


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_key_and_choice_that_is_named_exists(document: Path) -> None:
    """``dataset.split.test`` and ``training.lr=0.1`` are keys; ``grouping=manual`` is a choice."""
    parts = "|".join(RunSpec.model_fields)
    for word in code(document):
        key, _, value = word.partition("=")
        if re.fullmatch(rf"({parts})\.[a-z0-9_.]+", key) and not key.endswith((".py", ".yaml", ".json", ".parquet")):
            assert key in known_keys(), word
        elif value and (folder := conf_folder() / key).is_dir() and re.fullmatch(r"[a-z0-9_]+", value):
            assert (folder / f"{value}.yaml").is_file(), word


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(document: Path) -> None:
    """Links to other sites are none of a test's business."""
    text = document.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if not (document.parent / link.partition("#")[0]).exists()] == []


def test_the_readmes_table_of_verbs_is_the_programs() -> None:
    text = (REPOSITORY / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \|[^|]*\| *([^|]*)\|$", text, flags=re.M)
    assert [verb for verb, _ in rows] == list(verbs())
    for verb, options in rows:
        shown = set(re.findall(r"\b([a-z_]+)=", options))
        assert shown <= set(verbs()[verb].model_fields) - {"verb"}, verb


def test_no_document_names_a_machine() -> None:
    for document in DOCUMENTS:
        assert not re.search(r"(?<![\w.~])/(home|work|tmp|root|Users)/", document.read_text("utf-8")), name_of(document)


def test_the_pictures_are_small() -> None:
    for picture in (REPOSITORY / "docs" / "images").iterdir():
        assert picture.stat().st_size < 300_000, picture.name
