"""What servers keep of their answers: whole lines, whoever else writes, and no harm where they cannot be written."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from earthsnap_train.serving.journal import Journal


def test_every_entry_is_a_line_with_its_time_in_the_file_of_its_day(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "plants")
    journal.add("answers", {"request_id": "a", "name": "Weiß-Tanne"})
    journal.add("feedback", {"request_id": "a"})
    journal.close()
    files = sorted((tmp_path / "plants").iterdir())
    assert [file.name[:8] for file in files] == ["answers-", "feedback"]
    (line,) = [json.loads(one) for one in files[0].read_text("utf-8").splitlines()]
    assert (line["request_id"], line["name"]) == ("a", "Weiß-Tanne")
    assert files[0].name == f"answers-{line['at'][:10]}.jsonl"


def test_journals_that_write_one_file_at_once_tear_no_line(tmp_path: Path) -> None:
    journals = [Journal(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for number, journal in enumerate(journals):
            pool.submit(
                lambda j=journal, n=number: [j.add("answers", {"who": n, "what": "x" * 500}) for _ in range(300)]
            )
    for journal in journals:
        journal.close()
    lines = [json.loads(line) for file in tmp_path.iterdir() for line in file.open()]
    assert sorted(line["who"] for line in lines) == sorted(list(range(4)) * 300)
    assert sum(journal.num_lost for journal in journals) == 0


def test_a_journal_that_cannot_be_written_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder can be here")
    journal = Journal(tmp_path / "file" / "plants")
    for _ in range(3):
        journal.add("answers", {})
    journal.close()
    assert journal.num_lost == 3
