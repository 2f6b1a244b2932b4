"""The documentation is what it is made from: no figure by hand, no link into nothing, a page for every method."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilothouse.core.cards import Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.methods.base import methods
from pilothouse.methods.measuring import gather
from pilothouse.methods.pages.files import house_files
from pilothouse.methods.pages.markdown import prose, replace_block
from pilothouse.methods.pages.settings import own_settings
from pilothouse.methods.pages.write import adopt, pages, write_pages
from pilothouse.reports.evidence import read_evidence

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EVIDENCE = sorted((DOCS / "methods").glob("*-small.json"))
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
REMAKE = "run 'pilothouse claims --write docs' (make docs) and commit what it writes"


def test_every_made_page_is_what_its_sources_make() -> None:
    stale = [str(path.relative_to(ROOT)) for path, text in pages(DOCS, methods()).items() if path.read_text() != text]
    assert not stale, f"{', '.join(stale)}: {REMAKE}"


@pytest.mark.parametrize("path", EVIDENCE, ids=lambda path: path.name)
def test_a_verdict_follows_from_its_claims(path: Path) -> None:
    evidence = read_evidence(path)
    assert evidence.verdict == Evidence.judge(evidence.claims, evidence.scale)
    assert evidence.claims, "evidence without a claim says nothing"
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", evidence.date), "when was it measured?"
    assert evidence.method in methods()


@pytest.mark.parametrize("path", EVIDENCE, ids=lambda path: path.name)
def test_what_a_page_says_by_hand_of_verdict_and_bars_is_what_the_evidence_says(path: Path) -> None:
    evidence = read_evidence(path)
    by_hand = " ".join((DOCS / "methods" / f"{evidence.method}.md").read_text().split("<!-- made by")[0].split())
    assert set(re.findall(r"\*\*((?:partly |not )?reproduced)\*\*", by_hand)) <= {str(evidence.verdict)}
    told = re.findall(r"(\d+) of (?:the )?(\d+) (?:bars reached|claims that could be measured)", by_hand)
    assert {tuple(map(int, pair)) for pair in told} <= {(evidence.reached, len(evidence.claims))}
    assert "not measured yet" not in by_hand.lower(), "it is"


def test_every_evidence_is_in_the_list_of_methods_with_its_verdict_and_bars() -> None:
    listed = (DOCS / "methods" / "README.md").read_text()
    for name, evidence in gather(methods(), "small", DOCS / "methods").items():
        row = next(line for line in listed.splitlines() if line.startswith(f"| [{name}]({name}.md) |"))
        assert f"| {evidence.verdict} | {evidence.reached} of {len(evidence.claims)} |" in row


@pytest.mark.parametrize("name", methods())
def test_every_method_has_a_page_with_its_sections(name: str) -> None:
    path = DOCS / "methods" / f"{name}.md"
    assert path.is_file(), f"write {path.relative_to(ROOT)}, then {REMAKE}"
    text = path.read_text()
    title, *headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), flags=re.M)
    assert title.lower().replace(" ", "-") == name
    assert "When, and when not" in headings
    assert any(heading.startswith("The claim") for heading in headings)
    assert "Reference" in headings
    assert re.search(rf"pilothouse \w+ (\w+ )?{name}\b", text), "how is it called?"


def intervals(text: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r"\[\+?(-?\d+\.?\d*), \+?(-?\d+\.?\d*)\]", text)


def test_every_interval_that_advice_rests_on_was_measured() -> None:
    """Each is, rounded or turned round, one of the evidence, of a method's page, or of the comparisons."""
    known = {(claim.low, claim.high) for path in EVIDENCE for claim in read_evidence(path).claims}
    for path in (*(DOCS / "methods").glob("*.md"), DOCS / "credits.md", DOCS / "benchmarks.md"):
        known |= {(float(low), float(high)) for low, high in intervals(path.read_text())}
    known |= {(-high, -low) for low, high in known}

    def measured(low: str, high: str) -> bool:
        digits = len(low.partition(".")[2])
        room = 0.501 * 10**-digits
        return any(abs(a - float(low)) <= room and abs(b - float(high)) <= room for a, b in known)

    quoted = list(intervals((DOCS / "which-method.md").read_text()))
    assert len(quoted) > 20
    assert [pair for pair in quoted if not measured(*pair)] == []


def slugs(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+?)\s*$", text, flags=re.M)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def links(path: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```|^(?:    ).*$|`[^`\n]*`", "", path.read_text(), flags=re.M | re.S)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_leads_into_nothing(path: Path) -> None:
    for link in links(path):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{link} is not there"
        if anchor:
            assert anchor in slugs(target.read_text()), f"{link}: no such heading"


@pytest.mark.parametrize("name", methods())
def test_every_setting_of_a_method_is_explained(name: str) -> None:
    assert [one.name for one in own_settings(methods()[name]) if not one.meaning] == []


def test_settings_are_the_methods_own_and_what_it_sets_otherwise() -> None:
    dot = {one.name: one.value for one in own_settings(methods()["dot"])}
    assert dot["select"] == "outlier-truncation + zero-variance + predictive-sampling"
    assert dot["outlier-truncation: alpha"] == "3"
    assert (dot["program.n"], dot["training.prompts"]) == ("32", "128")
    assert not {"training.steps", "program.sampling.top_p", "scorer", "critic.network"} & set(dot), "at their defaults"
    ppo = {one.name: one.value for one in own_settings(methods()["ppo"])}
    assert ppo["objective"] == "clipped + 0.5*value"
    assert own_settings(methods()["debiasing"]) == []


@pytest.mark.parametrize("name", methods())
def test_files_of_a_method_are_there_and_begin_with_its_own(name: str) -> None:
    files = house_files(methods()[name])
    house = ROOT / "src" / "pilothouse"
    assert all((house / file).exists() for file in files), files
    assert files[0].startswith("methods/")
    assert "METHOD" in (house / files[0]).read_text()
    assert len(files) == len(set(files)) > 1


def test_prose_is_shown_as_it_is_written() -> None:
    assert prose("a*b_c _d_ <x> & ~y [z](u)") == r"a\*b_c \_d\_ &lt;x> &amp; &#126;y [z]\(u)"


def test_a_made_block_is_replaced_where_it_stands_and_nothing_else_is() -> None:
    once = replace_block("# Page\n\nBy hand.\n", "one")
    page = once + "\nMore by hand.\n"
    again = replace_block(page, "two")
    assert again == page.replace("one", "two")
    assert replace_block(again, "two") == again
    with pytest.raises(ConfigError, match="restore these two lines"):
        replace_block(page.replace("<!-- end of what is made -->", ""), "x")
    with pytest.raises(ConfigError, match="must stand once"):
        replace_block(page + page, "x")


def test_own_evidence_is_taken_over_with_its_figure(tmp_path: Path) -> None:
    runs, docs = tmp_path / "runs", tmp_path / "docs"
    (docs / "methods").mkdir(parents=True)
    experiment = runs / "reproduce-treepo-small"
    experiment.mkdir(parents=True)
    (experiment / "treepo-small.json").write_bytes((DOCS / "methods" / "treepo-small.json").read_bytes())
    (experiment / "claims.png").write_bytes(b"figure")
    adopt(gather(methods(), "small", runs), runs, docs)
    assert (docs / "methods" / "treepo.png").read_bytes() == b"figure"
    (docs / "methods" / "treepo.md").write_text("# treepo\n")
    written = write_pages(docs, methods())
    assert docs / "claims.md" in written
    assert docs / "methods" / "treepo.md" in written
    assert "**partly reproduced**" in (docs / "methods" / "treepo.md").read_text()
    assert "27 of" not in (docs / "claims.md").read_text()
    assert f"1 of {len(methods())} methods are measured" in (docs / "claims.md").read_text()
    assert write_pages(docs, methods()) == [], "what is as it should be is not written again"


def test_the_site_sets_lists_and_tables_off_from_text() -> None:
    spec = importlib.util.spec_from_file_location("site_hooks", DOCS / "site_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    text = "a\n- b\n  c\n- d\n\n| e |\n|---|\nf\n1. g\n```\nx\n- y\n```"
    assert hooks.on_page_markdown(text, page=None) == text.replace("a\n-", "a\n\n-").replace("f\n1.", "f\n\n1.")


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed")
def test_the_site_builds_strictly_and_asks_no_server_for_anything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ), timeout=120)
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text()
        assert not re.search(r"<(?:script|img|iframe)[^>]+src=[\"']?(?:https?:)?//", text), page
        assert not re.search(r"<link[^>]+href=[\"']?(?:https?:)?//", text), page
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(?:url\([\"']?|@import [\"'])(?:https?:)?//", sheet.read_text()), sheet
