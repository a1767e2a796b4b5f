"""What a source lists, before any photograph is opened."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earthsnap_train.data.source import FLORA_COLUMNS, Listing, list_source
from earthsnap_train.errors import DataError
from earthsnap_train.spec.dataset import FolderSource, TableSource


def _touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"never opened here")


def _folders(root: Path, ranks: Sequence[str] = (), species_table: Path | None = None) -> Listing:
    source = FolderSource(kind="folder", root="", ranks=list(ranks), species_table=None)
    return list_source(source, root, species_table=species_table)


def _table(root: Path, text: str, above: Sequence[str] = (), **columns: object) -> Listing:
    table = root / "labels.csv"
    table.write_text(text, "utf-8")
    named = {"path": "path", "species": "species"} | columns
    nothing = dict.fromkeys(FLORA_COLUMNS.model_fields_set)
    source = TableSource.model_validate(
        {"kind": "table", "root": "", "table": "", "columns": nothing | named, "ranks": list(above)}
    )
    return list_source(source, root, table)


def _found(listing: Listing) -> list[tuple[str, str]]:
    return sorted((finding.code, finding.path) for finding in listing.findings)


# ---- folders


def test_the_last_folder_is_the_species_and_those_above_are_its_ranks(tmp_path: Path) -> None:
    _touch(tmp_path, "rosales/rosa/dog-rose/1.jpg", "rosales/rosa/dog-rose/2.PNG")
    rows = _folders(tmp_path, ["order", "genus"]).rows
    assert [(row.path, row.species, row.ranks) for row in rows] == [
        ("rosales/rosa/dog-rose/1.jpg", "dog-rose", {"order": "rosales", "genus": "rosa"}),
        ("rosales/rosa/dog-rose/2.PNG", "dog-rose", {"order": "rosales", "genus": "rosa"}),
    ]


def test_the_ranks_of_a_species_come_from_a_table_where_folders_do_not_name_them(tmp_path: Path) -> None:
    _touch(tmp_path / "photos", "dog-rose/1.jpg")
    table = tmp_path / "species.csv"
    table.write_text("species,scientific_name,order,genus\nDog Rose,Rosa canina,Rosales,Rosa\n")
    [row] = _folders(tmp_path / "photos", species_table=table).rows
    assert (row.scientific_name, row.common_name) == ("Rosa canina", None)
    assert list(row.ranks.items()) == [("order", "Rosales"), ("genus", "Rosa")]


def test_litter_empty_folders_and_photographs_out_of_place_are_found(tmp_path: Path) -> None:
    _touch(
        tmp_path,
        "rose/1.jpg",
        "rose/.DS_Store",
        "rose/._1.jpg",
        "rose/notes.txt",
        "loose.jpg",
        "empty/.keep",
        ".git/x.jpg",
    )
    listing = _folders(tmp_path)
    assert _found(listing) == [
        ("empty_class", "empty"),
        ("not_in_labels", "loose.jpg"),
        ("stray_file", ".git"),
        ("stray_file", "empty/.keep"),
        ("stray_file", "rose/.DS_Store"),
        ("stray_file", "rose/._1.jpg"),
        ("stray_file", "rose/notes.txt"),
    ]
    assert [row.path for row in listing.rows] == ["rose/1.jpg"]
    assert listing.unlisted == ("loose.jpg",)


def test_a_link_out_of_the_folder_is_reported_and_not_followed(tmp_path: Path) -> None:
    _touch(tmp_path / "secret", "1.jpg")
    _touch(tmp_path / "root", "rose/1.jpg")
    (tmp_path / "root/rose/2.jpg").symlink_to(tmp_path / "secret/1.jpg")
    (tmp_path / "root/lily").symlink_to(tmp_path / "secret")
    listing = _folders(tmp_path / "root")
    assert _found(listing) == [("path_outside_root", "lily"), ("path_outside_root", "rose/2.jpg")]
    assert [row.path for row in listing.rows] == ["rose/1.jpg"]


@pytest.mark.parametrize(
    ("files", "ranks", "words"),
    [
        ((), (), r"holds no photograph that can be listed(.|\n)*\.jpg"),
        (("rose/notes.txt",), (), "holds no photograph"),
        (("rose/1.jpg",), ("order", "genus"), r"3 folders deep(.|\n)*<order>/<genus>/<species>"),
    ],
)
def test_folders_that_cannot_be_listed_are_refused(
    tmp_path: Path, files: Sequence[str], ranks: Sequence[str], words: str
) -> None:
    _touch(tmp_path, *files)
    with pytest.raises(DataError, match=words):
        _folders(tmp_path, ranks)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.source\.root: there is no folder .*nowhere"):
        _folders(tmp_path / "nowhere")


# ---- tables


def test_a_row_carries_what_its_columns_say(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg")
    text = "path,species,sci,obs,by,part,order\na.jpg,dog rose, Rosa canina ,p1,me,Validation,Rosales\n"
    listing = _table(
        tmp_path, text, ["order"], scientific_name="sci", observation_id="obs", attribution="by", split="part"
    )
    [row] = listing.rows
    assert (row.species, row.scientific_name, row.observation_id) == ("dog rose", "Rosa canina", "p1")
    assert (row.attribution, row.licence, row.split, row.ranks) == ("me", None, "val", {"order": "Rosales"})
    assert _found(listing) == []


def test_parquet_and_semicolons_list_the_same(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg", "b.jpg")
    from_csv = _table(tmp_path, "\ufeffpath;species\na.jpg;rose\nb.jpg;lily, white\n")
    pq.write_table(
        pa.table({"path": ["a.jpg", "b.jpg"], "species": ["rose", "lily, white"]}), tmp_path / "labels.parquet"
    )
    (tmp_path / "labels.csv").unlink()
    source = TableSource(kind="table", root="", table="", columns=_only_names(), ranks=[])
    assert list_source(source, tmp_path, tmp_path / "labels.parquet").rows == from_csv.rows


def _only_names() -> Mapping[str, object]:
    return dict.fromkeys(FLORA_COLUMNS.model_fields_set) | {"path": "path", "species": "species"}


def test_rows_without_files_and_files_without_rows_are_found(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg", "extra.jpg", "UPPER.JPG")
    listing = _table(tmp_path, "path,species\na.jpg,rose\ngone.jpg,rose\nupper.jpg,rose\n")
    assert _found(listing) == [
        ("missing_file", "gone.jpg"),
        ("missing_file", "upper.jpg"),
        ("not_in_labels", "UPPER.JPG"),
        ("not_in_labels", "extra.jpg"),
    ]
    assert any("UPPER.JPG" in finding.detail for finding in listing.findings)


@pytest.mark.parametrize("path", ["../outside.jpg", "/etc/passwd.jpg", "a/../../x.jpg", "C:\\x.jpg"])
def test_a_path_that_leaves_the_folder_is_never_looked_up(tmp_path: Path, path: str) -> None:
    _touch(tmp_path, "root/a.jpg", "outside.jpg", "x.jpg")
    listing = _table(tmp_path / "root", f"path,species\na.jpg,rose\n{path},rose\n")
    assert _found(listing) == [("path_outside_root", path)]


def test_other_ways_to_write_a_path_find_the_file(tmp_path: Path) -> None:
    _touch(tmp_path, "d/a.jpg", "d/b.jpg", "d/e\u0301cole.jpg", "d/c.jpg")
    absolute = tmp_path / "d/c.jpg"
    listing = _table(
        tmp_path, f"path,species\n./d//a.jpg,rose\nd\\b.jpg,rose\nd/\u00e9cole.jpg,rose\n{absolute},rose\n"
    )
    assert [row.path for row in listing.rows] == ["d/a.jpg", "d/b.jpg", "d/c.jpg", "d/e\u0301cole.jpg"]
    assert _found(listing) == []


def test_a_path_listed_twice_is_one_row_and_a_conflict_where_the_species_differ(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg", "b.jpg")
    listing = _table(tmp_path, "path,species\na.jpg,rose\na.jpg,Rose \nb.jpg,rose\nb.jpg,lily\n")
    assert _found(listing) == [("duplicate_row", "a.jpg"), ("label_conflict", "b.jpg")]
    assert [(row.path, row.species) for row in listing.rows] == [("a.jpg", "rose"), ("b.jpg", "rose")]


def test_a_column_that_could_say_more_is_pointed_out(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg")
    listing = _table(tmp_path, "path,species,observation_id,note\na.jpg,rose,p1,x\n")
    assert _found(listing) == [("unused_column", "observation_id")]


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        ("path,specis\na.jpg,rose\n", {}, r"columns\.species: labels\.csv has no column 'species'(.|\n)*'specis'"),
        ("path,species\na.jpg,rose\n", {"above": ["ordre"]}, r"source\.ranks: labels\.csv has no column 'ordre'"),
        ("path,species\na.jpg,rose\n", {"ranks": {"order": "species"}}, "'order' is not among the ranks"),
        ("path,species\n", {}, "has no rows"),
        ("path,path\na.jpg,rose\n", {}, "two columns named 'path'"),
        ("path,species\na.jpg,rose,extra\n", {}, "a row has 3 cells, the header 2"),
        ("path,species,split\na.jpg,rose,tset\n", {"split": "split"}, r"'tset' is no split(.|\n)*'test'"),
        (
            "path,species\nphotos/a.jpg,rose\n",
            {},
            r"None of the table's 1 paths is there, for instance 'photos/a\.jpg'",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_remedy(
    tmp_path: Path, text: str, changes: dict[str, object], words: str
) -> None:
    _touch(tmp_path, "a.jpg")
    with pytest.raises(DataError, match=words):
        _table(tmp_path, text, **changes)  # type: ignore[arg-type]


def test_a_table_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes("path,species\na.jpg,Blåklokke\n".encode("latin-1"))
    source = TableSource.model_validate(
        {"kind": "table", "root": "", "table": "", "columns": _only_names(), "ranks": []}
    )
    with pytest.raises(DataError, match="not text in UTF-8"):
        list_source(source, tmp_path, tmp_path / "labels.csv")


def test_listing_loads_nothing_heavy() -> None:
    code = "import earthsnap_train.data.file_hashes, earthsnap_train.data.limit, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "PIL", "pyarrow", "torch"} & set(loaded)
