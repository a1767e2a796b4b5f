import html.parser
import re
from collections import Counter
from collections.abc import Callable

import pytest

from earthsnap_train.evaluation.family_panel import worth
from earthsnap_train.evaluation.figures import Estimate
from earthsnap_train.evaluation.gates import GateResult, judge
from earthsnap_train.evaluation.report import ReportData, Variation, render
from earthsnap_train.evaluation.report_rows import BUDGET_BYTES
from earthsnap_train.spec.evaluation import Gate

MakeReport = Callable[..., ReportData]
HOSTILE = "<script>alert(1)</script>"


class Page(html.parser.HTMLParser):
    """What a browser would find: tags, ids, links, and whether every element is closed in order."""

    VOID = frozenset({"meta", "img", "br", "input", "path", "circle", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        for name in ("href", "src"):
            address = values.get(name) or ""
            if address.startswith("#"):
                self.anchors.append(address[1:])
            elif address:
                self.addresses.append(address)
        if tag == "img":
            assert values.get("alt")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_the_page_is_well_formed_and_asks_nothing_of_the_network(make_report: MakeReport) -> None:
    text = render(make_report())
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:image/webp;base64,") for address in page.addresses)
    assert not re.search(r"https?://|url\(|@import", text)
    assert set(page.anchors) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_equal_data_give_an_equal_page(make_report: MakeReport) -> None:
    assert render(make_report()) == render(make_report())


def test_the_page_comes_back_from_json_unchanged(make_report: MakeReport) -> None:
    data = make_report()
    assert render(ReportData.model_validate_json(data.model_dump_json())) == render(data)


def test_every_name_is_escaped(make_report: MakeReport) -> None:
    data = make_report(gates={"family.top1": Gate(min=0.1)})
    name = data.species[0].name.model_copy(update={"common": HOSTILE, "scientific": f'"{HOSTILE}'})
    species = tuple(
        row.model_copy(update={"name": name, "group": HOSTILE, "confused_with": name}) for row in data.species
    )
    mistakes = tuple(one.model_copy(update={"truth": name, "predicted": name, "uri": HOSTILE}) for one in data.mistakes)
    nodes = tuple(node.model_copy(update={"node": HOSTILE}) for node in data.nodes)
    text = render(
        data.model_copy(
            update={
                "species": species,
                "mistakes": mistakes,
                "nodes": nodes,
                "release": HOSTILE,
                "run": HOSTILE,
                "family": HOSTILE,
                "date": HOSTILE,
                "next_command": HOSTILE,
            }
        )
    )
    assert "<script>alert" not in text
    assert Page(text).tags["script"] == 1
    assert Page(text).text.count("alert(1)") > 10


def test_a_release_that_passed_its_gates_awaits_approval(make_report: MakeReport) -> None:
    text = Page(render(make_report(gates={"family.top1": Gate(min=0.01), "family.ece": Gate(max=1.0)}))).text
    assert "Awaiting approval" in text
    assert "passed all 2 gates" in text
    assert "earthsnap approve plants-3" in text


def test_a_gate_that_could_not_be_judged_is_shown_and_not_counted(make_report: MakeReport) -> None:
    data = make_report(gates={"family.top1": Gate(min=0.01)})
    beside = judge({}, {"family.minus_flat": Gate(min=0.0)})
    page = render(data.model_copy(update={"gates": (*data.gates, *beside)}))
    text = Page(page).text

    assert "passed its one gate that could be judged" in text
    assert "not judged: there is no flat baseline" in text
    assert page.count('<li class="unjudged">') == 1
    assert "None of its gates could be judged" in Page(render(data.model_copy(update={"gates": beside}))).text


def test_a_release_that_missed_a_gate_says_which_before_all_else(make_report: MakeReport) -> None:
    data = make_report(gates={"family.ece": Gate(max=1.0), "family.top1": Gate(min=0.999)})
    assert data.verdict == "rejected"
    assert data.reasons[0].startswith("family.top1 is only")
    text = Page(render(data)).text
    assert "It missed 1 of its 2 gates." in text
    assert text.index("at least 99.9%") < text.index("at most 100.0%")


def test_a_release_that_learnt_from_the_test_photographs_does_not_claim_otherwise(make_report: MakeReport) -> None:
    honest = Page(render(make_report(fit_on="full"))).text
    assert "never seen" not in honest
    assert "taught on the training split alone" in honest
    assert "never seen" in Page(render(make_report(fit_on="train_val"))).text


def test_it_says_where_not_the_likeliest_is_named_first(make_report: MakeReport) -> None:
    usual = make_report()
    nearest = usual.metrics.model_copy(update={"named_first": "least_expected_distance"})
    words = "The species named first is not always the likeliest"
    assert words not in render(usual)
    assert words in render(usual.model_copy(update={"metrics": nearest}))


def test_mistakes_are_split_by_cause_beside_the_ceiling_and_the_baseline(make_report: MakeReport) -> None:
    text = Page(render(make_report())).text
    for words in ("This release", "With perfect routing", "One flat network", "The parent sends"):
        assert words in text


def test_the_dots_and_the_headline_are_one_number(make_report: MakeReport) -> None:
    data = make_report()
    for misrouted in (0.0, 0.007):
        shares = {"top1": 0.986, "misnamed": 0.014 - misrouted, "misrouted": misrouted}
        estimates = {name: Estimate(value=value, low=value, high=value) for name, value in shares.items()}
        text = render(data.model_copy(update={"metrics": data.metrics.model_copy(update=estimates)}))
        assert "99 of 100 photographs it has never seen get the right name." in Page(text).text
        assert "This release: of 100 photographs 99 right" in text


@pytest.mark.parametrize(
    ("flat", "words"),
    [(0.979, "−0.7 points beside this release, less than a dot"),
     (0.986, "0.0 points beside this release, exactly as many"),
     (0.95, None)],
)  # fmt: skip
def test_a_difference_of_less_than_a_dot_is_said(make_report: MakeReport, flat: float, words: str | None) -> None:
    data = make_report()
    assert data.metrics.flat is not None
    own, other = (Estimate(value=value, low=value, high=value) for value in (0.986, flat))
    metrics = data.metrics.model_copy(
        update={
            "top1": own,
            "oracle_top1": Estimate(value=1.0, low=1.0, high=1.0),
            "flat": data.metrics.flat.model_copy(update={"top1": other}),
        }
    )
    text = Page(render(data.model_copy(update={"metrics": metrics}))).text
    assert ("points beside this release" in text) == (words is not None)
    assert words is None or words in text


def test_it_answers_whether_a_family_is_worth_it_and_says_how_it_is_built(make_report: MakeReport) -> None:
    data = make_report()
    assert data.build is not None
    assert data.metrics.minus_flat is not None
    text = Page(render(data)).text
    assert f"Is a family worth it here? {worth(data.metrics.minus_flat)} {data.build.new_species_in_words}" in text
    assert f"{data.build.parent_in_words} {data.build.routing_in_words}" in text
    without = make_report(architecture="flat", with_flat=False, build=None)
    assert "Is a family worth it here?" not in Page(render(without)).text


def test_every_section_but_the_method_is_in_the_contents(make_report: MakeReport) -> None:
    part = Variation(
        name="hard routing", top1=0.9, macro_recall=0.9, mistake_severity=2.0, ece=0.1, minus_declared=None
    )
    page = render(make_report(ablation=(part,)))
    contents = page[page.index('<nav aria-label="Contents">') : page.index("</nav>")]
    assert re.findall(r'href="#(\w+)"', contents) == re.findall(r'<section id="(\w+)"', page)[:-1]


def test_a_gate_beside_another_release_names_it_and_the_species(make_report: MakeReport) -> None:
    gate = GateResult(
        metric="champion.num_worse", direction="max", bound=0, value=1, passed=False, words="rosa: recall 1.00 -> 0.31",
        beside="plants-2",
    )  # fmt: skip
    data = make_report()
    text = Page(render(data.model_copy(update={"gates": (gate,)}))).text
    assert "species that got worse, beside plants-2 1 at most 0 rosa: recall 1.00 -> 0.31" in text
    assert "champion" not in text.replace("champion.num_worse", "")


def test_a_flat_release_has_no_parent_and_no_ceiling(make_report: MakeReport) -> None:
    text = Page(render(make_report(architecture="flat", with_flat=False))).text
    for words in ("With perfect routing", "One flat network", "The parent sends", "misrouted when"):
        assert words not in text


@pytest.mark.parametrize("changes", [{"with_ranks": False}, {"has_photos": False}, {"untested": 2}, {"gates": None}])
def test_what_is_missing_leaves_no_hole(make_report: MakeReport, changes: dict[str, object]) -> None:
    text = Page(render(make_report(**changes))).text
    assert "None" not in text
    assert ("not tested" in text) == ("untested" in changes)
    assert "nan" not in text.lower().split()


def test_120_species_of_24_groups_stay_under_three_megabytes(make_report: MakeReport) -> None:
    assert len(render(make_report(num_groups=24, per_group=5, photo_px=300)).encode()) < 3_000_000


@pytest.mark.slow
def test_pictures_of_many_species_stop_at_the_budget(make_report: MakeReport) -> None:
    data = make_report(num_groups=20, per_group=30)
    pictures = re.findall(r'src="(data:[^"]+)"', render(data))
    assert sum(map(len, pictures)) <= BUDGET_BYTES
    assert data.species[0].picture
    assert data.species[-1].picture is None


def test_it_says_when_it_answers_and_what_stands_behind_that(make_report: MakeReport) -> None:
    data = make_report()
    page = Page(render(data))
    said = data.metrics.answering
    assert said is not None
    assert "answers" in page.ids
    assert f"It answers {100 * said.answered.value:.0f}% of the test photographs" in page.text
    assert "Of species that it knows, at least 95% of what it says is right." in page.text
    assert "Were it to say a species or nothing" in page.text
    assert all(row.rank in page.text for row in said.by_rank)


def test_weights_that_learnt_from_val_are_said_to_have_been_calibrated_before(make_report: MakeReport) -> None:
    words = "It was found with the networks taught on the training split alone."
    assert words in Page(render(make_report(fit_on="full"))).text
    assert words not in Page(render(make_report())).text


def test_a_report_without_figures_of_answers_has_no_section_of_them(make_report: MakeReport) -> None:
    metrics = make_report().metrics.model_copy(update={"answering": None})
    page = Page(render(make_report(metrics=metrics)))
    assert "answers" not in page.ids
    assert set(page.anchors) <= {*page.ids, ""}
