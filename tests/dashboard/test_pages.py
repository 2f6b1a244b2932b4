"""Every page over every kind of folder; whatever is in it, a page comes and says what is wrong."""

from __future__ import annotations

import json
import os
import re
import time
from urllib.parse import quote

import pytest

from pilothouse.core.errors import RunError
from pilothouse.dashboard.launch import Dashboard
from pilothouse.dashboard.view import House

NASTY = 'it\'s "quoted" & <b onload=x>100%</b> #?'.replace("/", "|")


def text(answer, status=200):
    assert answer.status_code == status, answer.text[:2000]
    return answer.text


def test_the_list_shows_every_run_with_how_it_stands(pages):
    page = text(pages.get("/"))
    assert "4 in" in page
    assert "20.0 % →" in page
    assert "60.0 %" in page
    assert "+40.0 [+30.0, +50.0]" in page
    assert 'pill training">training' in page  # not finished, and written a moment ago
    assert "compare-grpo-rloo/runs/" in page
    assert "&lt;b onload=x&gt;" in page
    assert "<b onload" not in page


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("q=grpo", 3),
        ("q=GRPO seed-3 -sums", 3),
        ("q=nothing", 0),
        ("method=ppo", 1),
        ("task=sums", 4),
        ("status=finished", 3),
        ("status=training", 1),
        ("status=nonsense", 4),
        ("method=ppo&status=finished", 0),
        ("page=999", 4),
    ],
)
def test_filters(pages, query, count):
    page = text(pages.get(f"/?{query}"))
    assert page.count('class="row"') == count
    assert ("No run fits" in page) is (count == 0)


def test_order_and_pages(pages, runs, kit):
    for at in range(105):
        folder = runs / f"many-{at:03}"
        folder.mkdir()
        (folder / "config.toml").write_text('method = "dapo"\n')
    rising = re.findall(r"many-\d+", text(pages.get("/?method=dapo&sort=name")))
    assert rising[0] == "many-000"
    falling = text(pages.get("/?method=dapo&sort=-name"))
    assert falling.count('class="row"') == 100
    assert "1–100 of 105 runs" in falling
    assert "many-104" in falling
    assert text(pages.get("/?method=dapo&sort=-name&page=2")).count('class="row"') == 5
    assert "descending" in falling


def test_a_run(pages):
    page = text(pages.get("/run/grpo-sums"))
    for part in ("60.0 %", "6<small> of 10", "best of step 6", "worst of step 6", "Greedy, before", "versions", "3.12"):
        assert part in page
    assert page.count('<svg class="plot"') == 6  # held-out, reward, accuracy, loss, length, entropy
    assert "/file/grpo-sums/figures/training.svg" in page
    assert 'aria-label="Held-out: 20.0 % at step 0, 60.0 % at step 6"' in page
    chosen = text(pages.get("/run/grpo-sums?m=seconds&m=unknown"))
    assert chosen.count('<svg class="plot"') == 1
    assert 'data-metric="seconds"' in chosen


def test_names_with_anything_in_them_lead_to_their_run(pages):
    page = text(pages.get(f"/run/{quote(NASTY)}"))
    assert f"/live/{quote(NASTY)}" in page
    assert "<b onload" not in page
    assert "step 2" in text(pages.get(f"/rollouts/{quote(NASTY)}?step=2")).lower()


def test_what_is_new_comes_without_the_page(pages, runs, kit):
    name = quote(NASTY)
    first = pages.get(f"/live/{name}").json()
    assert set(first["regions"]) == {"head", "curves", "samples"}
    assert first["again"] == 2
    assert pages.get(f"/live/{name}", params={"have": first["state"]}).json()["regions"] == {}
    with (runs / NASTY / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps(kit.metrics(7)) + "\n" + '{"step": 8, "rew')
    then = pages.get(f"/live/{name}", params={"have": first["state"]}).json()
    assert "7<small> of 10" in then["regions"]["head"]
    assert "0.7" in then["regions"]["curves"]
    assert pages.get("/live/grpo-sums").json()["again"] == 0


def test_a_run_that_was_resumed_is_read_anew(pages, runs, kit):
    assert "at step 6" in text(pages.get("/run/grpo-sums"))
    path = runs / "grpo-sums" / "metrics.jsonl"
    other = path.with_name("new")
    kit.write_rows(other, [kit.metrics(step) for step in range(1, 5)])
    os.replace(other, path)
    assert 'aria-label="Reward: 0.1 at step 1, 0.4 at step 4"' in text(pages.get("/run/grpo-sums"))


def test_a_run_that_wrote_nothing_for_long_has_stopped(pages, runs):
    for file in ("config.toml", "metrics.jsonl", "result.json"):
        os.utime(runs / NASTY / file, (time.time() - 500,) * 2)
    assert 'pill stopped">stopped' in text(pages.get(f"/run/{quote(NASTY)}"))


def test_curves_of_several_runs_together(pages, runs):
    names = ["grpo-sums", NASTY, "none", "compare-grpo-rloo/runs/rloo-sums-seed-0-abc"]
    page = text(pages.get("/overlay", params={"run": names, "m": "reward"}))
    assert page.count('<svg class="plot"') == 1
    assert [f'class="curve k{place}"' in page for place in range(4)] == [True, True, True, False]
    assert "there is no run &#39;none&#39;" in page
    assert "No runs chosen" in text(pages.get("/overlay"))
    many = text(pages.get("/overlay", params={"run": [*names[:1], *(f"x{i}" for i in range(20))]}))
    assert "13 more were chosen" in many
    (runs / "grpo-sums" / "metrics.jsonl").unlink()
    (runs / "grpo-sums" / "result.json").unlink()
    assert "recorded a step yet" in text(pages.get("/overlay?run=grpo-sums"))


def test_rollouts_of_a_step(pages):
    page = text(pages.get("/rollouts/grpo-sums"))
    assert "Step 6" in page
    assert page.count('class="row"') == 8
    assert text(pages.get("/rollouts/grpo-sums?step=2&verdict=wrong")).count('class="row"') == 4
    assert text(pages.get("/rollouts/grpo-sums?step=2&least=0.5")).count('class="row"') == 4
    assert text(pages.get("/rollouts/grpo-sums?step=2&group=1&verdict=right")).count('class="row"') == 2
    assert "No rollout fits" in text(pages.get("/rollouts/grpo-sums?verdict=unjudged"))
    assert "Step 1" in text(pages.get("/rollouts/grpo-sums?step=-5"))


def test_rollouts_of_a_problem_through_the_steps(pages, runs, kit):
    rows = [kit.rollout(step, 0, at, problem='the "same" ü one') for step in (1, 2, 3) for at in range(2)]
    kit.write_rows(runs / "grpo-sums" / "rollouts.jsonl", [*rows, kit.rollout(4, 0, 0)])
    page = text(pages.get("/rollouts/grpo-sums", params={"problem": 'the "same" ü one'}))
    assert page.count('class="row"') == 6
    assert "No rollout fits" in text(pages.get("/rollouts/grpo-sums?problem=other"))


def test_a_rollout_token_by_token(pages):
    link = re.findall(r'href="(/rollout/grpo-sums\?at=\d+)"', text(pages.get("/rollouts/grpo-sums?step=2")))[1]
    page = text(pages.get(link))
    assert "Next<kbd>" in page
    assert "Previous<kbd>" in page
    assert '<span class="t p2" title="#1 &#39;1&#39;: advantage 0.75, log-prob -0.05, gap 0, trains"' in page
    assert '<span class="t n4" title="#2 &#39;.&#39;: advantage -1.5, log-prob -2.5, gap 0.02, trains"' in page
    assert 'class="t z given blank" title="#3 token 1: advantage 0, log-prob 0, not chosen by the policy"' in page
    assert "4 responses of this group" in page
    assert 'class="t p4" title="#2' in text(pages.get(f"{link}&show=gap"))
    assert 'class="t s4" title="#2' in text(pages.get(f"{link}&show=logprob"))
    assert 'class="t mx given blank"' in text(pages.get(f"{link}&show=mask"))


def test_neighbours_of_a_rollout_keep_to_the_filter(pages):
    first = text(pages.get("/rollout/grpo-sums?at=0&verdict=right"))
    following = re.search(r'rel="next" href="([^"]*)"', first)[1].replace("&amp;", "&")
    assert "verdict=right" in following
    page = text(pages.get(following))
    assert "2." in page
    assert 'mark right">right' in page


def test_rows_of_earlier_versions(pages, runs, kit):
    text_alone = {k: v for k, v in kit.rollout(1, 0, 0).items() if k not in ("tokens", "actions", "logprobs", "gap")}
    words = kit.rollout(1, 0, 1, response="two words", widths=None, credit=0.5)
    lacking = {"step": 1, "something": "else"}
    kit.write_rows(runs / "grpo-sums" / "rollouts.jsonl", [text_alone, words, lacking])
    at = re.findall(r"rollout/grpo-sums\?at=(\d+)", text(pages.get("/rollouts/grpo-sums?step=1")))
    assert len(at) == 3
    assert "recorded text alone" in text(pages.get(f"/rollout/grpo-sums?at={at[0]}"))
    shown = text(pages.get(f"/rollout/grpo-sums?at={at[1]}"))
    assert "⟨5⟩" in shown
    assert "two words" in shown
    assert "(empty)" in text(pages.get("/rollouts/grpo-sums?step=1"))
    text(pages.get(f"/rollout/grpo-sums?at={at[2]}"))


def test_searches_and_their_trees(pages):
    assert "search one" in text(pages.get("/searches"))
    page = text(pages.get("/search/search%20one"))
    assert "50.0 %" in page
    trace = text(pages.get("/trace/search%20one?at=0"))
    assert trace.count("<circle") == 4 + 4 + 1  # the tree's, the particles' and the button's
    assert "first &lt;i&gt;" in trace
    assert "<i>" not in trace
    assert "a note" in trace
    at = re.search(r'rel="next" href="[^"]*at=(\d+)', trace)[1]
    assert "keeps no trace" in text(pages.get(f"/trace/search%20one?at={at}"))


@pytest.mark.parametrize(
    "nodes",
    [
        [{"id": 0}],
        [{"id": 0, "parent": None, "text": "", "state": "x"}, {"id": 1, "parent": 1, "text": "", "state": "x"}],
        "no",
        [1, 2],
        [{"id": 0, "parent": 3, "text": "", "state": "x"}],
        [],
    ],
)
def test_a_trace_that_is_no_tree_is_told(pages, runs, kit, nodes):
    kit.write_rows(runs / "search one" / "traces.jsonl", [{"prompt": "p", "answer": 3, "trace": {"nodes": nodes}}])
    page = text(pages.get("/trace/search%20one?at=0"))
    assert "not a tree" in page or "holds no steps" in page


def test_comparisons(pages):
    assert "compare-grpo-rloo" in text(pages.get("/comparisons"))
    page = text(pages.get("/comparison/compare-grpo-rloo"))
    for part in ("50.0 % [40.0, 60.0]", "accuracy (IQM)", "10 steps a run", "rloo-sums-seed-0-abc"):
        assert part in page
    report = pages.get("/file/compare-grpo-rloo/report.html")
    assert report.status_code == 200
    assert "sandbox" in report.headers["content-security-policy"]


def test_claims(pages, runs, kit):
    page = text(pages.get("/claims"))
    for part in ("it &lt;b&gt;rises&lt;/b&gt;", "3.5 points [1, 6]", "<td>none</td>", "partly reproduced"):
        assert part in page
    assert "riskpo" not in text(pages.get("/claims?verdict=reproduced")).partition('id="results"')[2]
    assert "1 min 01 s" in text(pages.get("/evidence/reproduce-riskpo-small/riskpo-small.json"))
    kit.make_evidence(runs / "reproduce-x-small", "x", claims=3)
    broken = text(kit.browser(runs).get("/claims"))  # another house: a walk through the folder stands for a second
    assert "holds no evidence" in broken
    assert str(runs) not in broken


def test_methods(pages):
    page = text(pages.get("/methods"))
    assert 'href="/method/grpo"' in page
    assert text(pages.get("/methods?uses=acts&q=diffusion")).count('class="card"') >= 2
    assert "No method fits" in text(pages.get("/methods?q=zzz"))
    one = text(pages.get("/method/riskpo"))
    for part in ("2510.00911", "it &lt;b&gt;rises", "partly reproduced", "training", "pilothouse train riskpo"):
        assert part in one
    assert "grpo-sums" in text(pages.get("/method/grpo"))
    assert "did you mean" in text(pages.get("/method/riskp"), 404)


def test_damaged_files_are_told_and_the_page_stays(pages, runs):
    (runs / "grpo-sums" / "result.json").write_text('{"finished": tru')
    (runs / "grpo-sums" / "metrics.jsonl").write_text('{"step": 1, "reward": 0.5}\nrubbish\n[1]\n{"step": 2, "reward"')
    with (runs / "grpo-sums" / "rollouts.jsonl").open("ab") as stream:
        stream.write(b"\xff\xfe rubbish\n{half")
    page = text(pages.get("/run/grpo-sums"))
    assert "cannot read grpo-sums/result.json" in page
    assert "2 damaged lines are left out" in page
    assert "1 damaged lines" in text(pages.get("/rollouts/grpo-sums?step=6"))
    (runs / "grpo-sums" / "config.toml").write_text("= broken")
    assert "a file cannot be read" in text(pages.get("/"))
    page = text(pages.get("/run/grpo-sums"))
    assert 'pill damaged">damaged' in page
    assert str(runs) not in page
    (runs / "compare-grpo-rloo" / "comparison.json").write_text('{"standings": 3}')
    assert "holds no comparison" in text(pages.get("/comparison/compare-grpo-rloo"))
    text(pages.get("/comparisons"))


@pytest.mark.parametrize(
    "config",
    [
        "",
        'task = "sums"\nmethod = 3\n',
        "training = 5\nseed = []\ntask = [1]\n",
        '[training]\nsteps = "many"\nbudget = 7\n',
        '[training]\nsteps = -3\nbudget = "0-tokens"\n[task]\nid = "gym:Ant"\n',
    ],
)
@pytest.mark.parametrize(
    "result", ["{}", "[]", '{"before": 3, "cost": [], "gain": {"sampled": {}}, "seconds": {"a": "b"}}']
)
def test_settings_of_other_versions(pages, runs, kit, config, result):
    folder = runs / "other"
    folder.mkdir()
    (folder / "config.toml").write_text(config)
    (folder / "result.json").write_text(result)
    kit.write_rows(folder / "metrics.jsonl", [{"step": "one", "reward": "high", "x": 1e999, "y": 10**400, "z": True}])
    kit.write_rows(folder / "rollouts.jsonl", [{"step": 1, "reward": "high", "tokens": [None], "credit": "much"}])
    text(pages.get("/?sort=-result"))
    text(pages.get("/run/other"))
    text(pages.get("/rollouts/other"))
    text(pages.get("/rollout/other?at=0"))
    text(pages.get("/live/other"))


def test_a_run_without_any_file_but_its_settings(pages, runs):
    (runs / "begun").mkdir()
    (runs / "begun" / "config.toml").write_text('method = "grpo"\n[task]\nname = "sums"\n')
    assert "No step has been recorded yet" in text(pages.get("/run/begun"))
    assert "No rollouts" in text(pages.get("/rollouts/begun"))
    assert "recorded no rollouts" in text(pages.get("/rollout/begun?at=0"), 404)


def test_a_folder_without_runs_says_how_to_make_one(tmp_path, kit):
    pages = kit.browser(tmp_path)
    assert "No runs yet" in text(pages.get("/"))
    assert "No searches yet" in text(pages.get("/searches"))
    assert "No comparisons yet" in text(pages.get("/comparisons"))


def test_a_folder_that_is_none(tmp_path, runs):
    with pytest.raises(RunError, match="there is no folder"):
        House(tmp_path / "nowhere")
    with pytest.raises(RunError, match="is itself a run"):
        House(runs / "grpo-sums")


def test_a_taken_port(runs):
    first = Dashboard(runs, port=0)
    port = int(first.url.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(Exception, match="choose another with --host and --port"):
        Dashboard(runs, port=port)


@pytest.mark.parametrize(
    "path", ["/nothing", "/run/", "/run/none", "/rollouts/none", "/search/grpo-sums", "/comparison/grpo-sums"]
)
def test_what_is_not_there(pages, path):
    assert "<h1>Not found</h1>" in text(pages.get(path), 404)


@pytest.mark.parametrize("at", ["5", "-1", "999999", "x"])
def test_a_place_where_no_rollout_begins(pages, at):
    answer = pages.get(f"/rollout/grpo-sums?at={at}")
    assert answer.status_code == (200 if at in ("x", "-1") else 404)
