"""People see how far a rollout is, on a terminal and in a log."""

import io

from rich.console import Console

from earthsnap_train.release.rollout import Verdict
from launchers.rollout_progress import Follower, Watched


def watched(left_s: float | None = 12.0) -> Watched:
    side = {"requests": 120, "errors": 0, "unsure": 9, "p50_ms": 15.2, "p95_ms": 40.4, "memory_mb": 217.0}
    verdict = Verdict(
        decision="go on",
        doubts=("slow: a p95 of 90 ms",),
        figures={"canary": {**side, "compared": 40, "agreed": 39}, "champion": {**side, "requests": 1080}},
    )
    return Watched(step=1, num_steps=2, share=0.1, left_s=left_s, verdict=verdict)


def test_a_log_gets_plain_lines_now_and_then() -> None:
    out = io.StringIO()
    with Follower(Console(file=out, width=300), family="plants") as follower:
        follower.line("load: p99 22 ms", good=True)
        for _ in range(50):
            follower.watching(watched())
    assert [line[10:] for line in out.getvalue().splitlines()] == ["plants  passed  load: p99 22 ms"]


def test_a_line_of_a_log_says_all_that_the_table_says() -> None:
    out = io.StringIO()
    Follower(Console(file=out, width=300)).watching(watched())
    assert out.getvalue()[10:] == (
        "step 1 of 2, 12 s left: 120 requests beside the champion's 1080, errors 0 and 0, p95 40 ms and 40 ms, "
        "same answer 39 of 40; watched on for slow: a p95 of 90 ms\n"
    )


def test_a_terminal_shows_both_sides_and_leaves_the_lines_alone() -> None:
    out = io.StringIO()
    with Follower(Console(file=out, width=100, force_terminal=True, color_system=None)) as follower:
        follower.watching(watched())
        follower.watching(watched(left_s=None))
        follower.line("memory: 5000 MB", good=False)
    shown = out.getvalue()
    assert "canary, step 1 of 2: 10 % of the requests, 12 s left" in shown
    assert "canary, step 1 of 2: 10 % of the requests, being loaded" in shown
    assert "requests          120     1,080" in shown
    assert "same answer  39 of 40" in shown
    assert "watched on for slow: a p95 of 90 ms" in shown
    assert "failed  memory: 5000 MB" in shown
