"""Nothing is read outside the folder of runs, and nobody asks under another's name."""

from __future__ import annotations

import http.client
import re
import threading
import time

import pytest

from pilothouse.dashboard.guard import host_name, known_names
from pilothouse.dashboard.launch import Dashboard


@pytest.mark.parametrize(
    "path",
    [
        "/file/../secret.png",
        "/file/%2e%2e/secret.png",
        "/file/..%2fsecret.png",
        "/file//etc/passwd",
        "/file/grpo-sums/config.toml",
        "/file/grpo-sums/rollouts.jsonl",
        "/file/link.png",
        "/file/grpo-sums/figures/out.png",
        "/file/.hidden/x.png",
        "/file/",
        "/file/grpo-sums%00.png",
        "/run/../outside",
        "/run/%2e%2e/outside",
        "/run/..%2foutside",
        "/run/linked",
        "/rollouts/linked",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/evidence/../x-small.json",
        "/file/grpo-sums/report.html",
        "/run/" + "a" * 3000,
        "/file/" + "a" * 300 + ".png",
        "/run/grpo-sums/",
        "/file/..\\secret.png",
    ],
    ids=lambda path: path[:40].replace("/", "|"),
)
def test_paths_do_not_lead_out(runs, kit, path):
    outside = runs.parent
    (outside / "secret.png").write_bytes(b"TREASURE")
    kit.make_run(outside / "outside")
    (runs / "linked").symlink_to(outside / "outside")
    (runs / "link.png").symlink_to(outside / "secret.png")
    (runs / ".hidden").mkdir()
    (runs / ".hidden" / "x.png").write_bytes(b"TREASURE")
    (runs / "grpo-sums" / "figures" / "out.png").symlink_to(outside / "secret.png")
    (runs / "grpo-sums" / "report.html").write_text("TREASURE")
    answer = kit.browser(runs).get(path)
    assert answer.status_code in (400, 404)
    assert b"TREASURE" not in answer.content
    assert str(runs).encode() not in answer.content


def test_files_that_are_links_out_are_not_read(runs, kit):
    (runs.parent / "passwords").write_text('{"step": 1, "reward": 42.25}\n')
    for file in ("metrics.jsonl", "rollouts.jsonl", "result.json"):
        (runs / "grpo-sums" / file).unlink()
        (runs / "grpo-sums" / file).symlink_to(runs.parent / "passwords")
    pages = kit.browser(runs)
    for page in ("/", "/run/grpo-sums", "/rollouts/grpo-sums", "/live/grpo-sums"):
        assert "42.25" not in pages.get(page).text
    assert "leads out of" in pages.get("/run/grpo-sums").text


def test_settings_that_are_a_link_out_are_not_read(runs, kit):
    (runs.parent / "other.toml").write_text('method = "grpo"\ntoken = "42.25"\n')
    for folder, page in (("grpo-sums", "/run/grpo-sums"), ("search one", "/search/search%20one")):
        (runs / folder / "config.toml").unlink()
        (runs / folder / "config.toml").symlink_to(runs.parent / "other.toml")
        shown = kit.browser(runs).get(page).text
        assert "42.25" not in shown
        assert "out of" in shown


def test_a_link_back_into_the_folder_is_not_walked_in_circles(runs, kit):
    before = kit.browser(runs).get("/").text.count('class="row"')
    (runs / "again").symlink_to(runs)
    assert kit.browser(runs).get("/").text.count('class="row"') == before


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:6061", "127.0.0.1.evil.example", "", "[::2]:80", "localhost@evil"]
)
def test_other_names_are_refused(pages, host):
    assert pages.get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "127.0.0.1", "LOCALHOST:80", "[::1]:6061"])
def test_our_own_names_are_not(pages, host):
    assert pages.get("/", headers={"Host": host}).status_code == 200


def test_names_by_address():
    assert known_names("192.168.0.7") == {"192.168.0.7"}
    assert {"localhost", "127.0.0.1", "::1", "0.0.0.0"} <= known_names("0.0.0.0")
    assert host_name("[::1]:80") == "::1"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_pages_are_only_read(pages, method):
    assert pages.request(method, "/").status_code == 405
    assert pages.head("/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/run/grpo-sums", "/rollout/grpo-sums?at=0", "/trace/search%20one?at=0", "/methods", "/x"]
)
def test_every_page_may_load_its_own_files_alone(pages, path):
    answer = pages.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = answer.text
    assert not re.search(
        r"<[^>]+\sstyle=|<style|<script(?! src)|\son\w+=\"|javascript:|https?://(?!www\.w3\.org)", page
    )


def test_a_picture_may_run_nothing(pages, runs):
    path = runs / "grpo-sums" / "figures" / "training.svg"
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    answer = pages.get("/file/grpo-sums/figures/training.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_failure_tells_nothing(runs, kit, monkeypatch):
    from starlette.testclient import TestClient

    from pilothouse.dashboard import app
    from pilothouse.dashboard.view import House

    def broken(house, query):
        raise ValueError(f"something about {runs}")

    monkeypatch.setitem(app.LISTS, "/searches", broken)
    pages = TestClient(
        app.make_app(House(runs), "127.0.0.1"), base_url="http://127.0.0.1", raise_server_exceptions=False
    )
    answer = pages.get("/searches")
    assert answer.status_code == 500
    assert "cannot be shown" in answer.text
    assert str(runs) not in answer.text
    assert "default-src 'self'" in answer.headers.get("content-security-policy", "")


def test_a_real_server_answers_and_ends(runs):
    server = Dashboard(runs, port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        end = time.monotonic() + 20
        while not server.listener.started:
            assert time.monotonic() < end
            time.sleep(0.01)
        host, port = server.url.removeprefix("http://").strip("/").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.request("GET", "/run/grpo-sums")
        answer = connection.getresponse()
        assert answer.status == 200
        assert b"grpo-sums" in answer.read()
        connection.request("GET", "/run/" + "x" * 100_000)
        assert connection.getresponse().status in (400, 414)  # however it arrives in pieces
    finally:
        server.stop()
        thread.join(20)
    assert not thread.is_alive()
