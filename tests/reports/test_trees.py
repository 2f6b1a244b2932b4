"""Pictures of searches."""

from xml.etree import ElementTree

from pilothouse.programs.trace import Trace
from pilothouse.reports.trees import chosen_path, tree_figure, tree_svg

SVG = "{http://www.w3.org/2000/svg}"


def made() -> Trace:
    trace = Trace("beam")
    a = trace.add(0, "a<b>&\n", 2, score=0.25)
    b = trace.add(0, "c", 1, state="pruned", copies=4)
    c = trace.add(a, "done.", 3, state="finished", answer="7")
    trace.add(b, "x" * 90, 3, state="finished")
    trace.choose(c)
    return trace


def test_every_step_is_drawn_once_and_text_is_escaped():
    root = ElementTree.fromstring(tree_svg(made().to_dict(), prompt="<p>", answer="done."))
    circles = root.findall(f".//{SVG}circle")
    assert len(circles) == 5
    assert len(root.findall(f".//{SVG}path")) == 4
    titles = [title.text for title in root.findall(f".//{SVG}title")]
    assert titles[1] == "a<b>&\n\nscore 0.25\nchosen"
    labels = [text.text for text in root.findall(f".//{SVG}text")]
    assert "beam: <p> → done." in labels
    assert "4 steps" in labels
    assert all(len(label or "") <= 140 for label in labels)


def test_a_parent_stands_between_its_children_and_leaves_have_rows_of_their_own():
    root = ElementTree.fromstring(tree_svg(made().to_dict()))
    places = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in root.findall(f".//{SVG}circle")]
    top, a, b, c, d = places
    assert top[0] < a[0] == b[0] < c[0] == d[0]
    assert c[1] != d[1]
    assert top[1] == (a[1] + b[1]) / 2


def test_a_large_search_is_cut_and_says_so(tmp_path):
    trace = Trace("mcts")
    for _ in range(1000):
        trace.add(0, "step", 1)
    path = tree_figure(trace.to_dict(), tmp_path / "tree.svg")
    assert "1000 steps, 601 not drawn" in path.read_text()
    assert path.read_text().count("<circle") == 400


def test_a_deep_chain_does_not_recurse():
    trace = Trace("chain")
    at = 0
    for _ in range(390):
        at = trace.add(at, "s", 1)
    assert tree_svg(trace.to_dict()).count("<circle") == 391


def test_the_short_form_tells_the_chosen_steps():
    assert chosen_path(made().to_dict()) == ["a<b>&   (score 0.25, 1 beside it)", "done.   (answer 7)"]
