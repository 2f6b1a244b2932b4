"""The pages in a real browser: headless Chromium, driven from here, over runs that grow while one looks."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="this machine has no chromium with its chromedriver")

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1280,900"]
PAGES = [
    "/",
    "/?status=finished",
    "/overlay?run=grpo-sums&run=none",
    "/run/grpo-sums",
    "/rollouts/grpo-sums",
    "/rollout/grpo-sums?at=0",
    "/searches",
]
PAGES += [
    "/search/search%20one",
    "/trace/search%20one?at=0",
    "/comparisons",
    "/comparison/compare-grpo-rloo",
    "/claims",
]
PAGES += ["/evidence/reproduce-riskpo-small/riskpo-small.json", "/methods", "/method/riskpo", "/run/nothing"]


class Browser:
    """A browser on a dashboard of its own."""

    def __init__(self, driver: Any, root: Path, url: str) -> None:
        self.driver, self.root, self.url = driver, root, url

    def open(self, path: str) -> None:
        """Open a page; the first navigation of a new browser may come back without it, and is made again."""
        base = self.url.rstrip("/")

        def there() -> bool:
            self.driver.get(base + path)
            return self.js("document.readyState == 'complete' && location.href").startswith(base)

        self.wait(there)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def js(self, script: str) -> Any:
        return self.driver.execute_script(f"return {script}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def wait(self, true: Callable[[], Any], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                if true():
                    return
            except Exception:  # noqa: BLE001 - the page may be in the middle of a change
                pass
            assert time.monotonic() < end, f"it never happened; the page says {self.one('main').text[:500]}"
            time.sleep(0.05)

    def width(self, pixels: int, height: int = 800) -> None:
        size = {"width": pixels, "height": height, "deviceScaleFactor": 1, "mobile": pixels < 700}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield found
    found.quit()


@pytest.fixture
def browser(driver: Any, runs: Path) -> Iterator[Browser]:
    from pilothouse.dashboard.launch import Dashboard

    server = Dashboard(runs, port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    found = Browser(driver, runs, server.url)
    try:
        found.wait(lambda: server.listener.started)
        found.width(1280)
        yield found
        assert found.complaints() == []
    finally:
        driver.get("about:blank")  # lets go of the connections, which the server would wait for
        server.stop()
        thread.join(30)
    assert not thread.is_alive()


def test_filters_answer_as_one_types(browser):
    browser.open("/")
    browser.wait(lambda: len(browser.all("a.row")) == 4)
    browser.press("/")
    assert browser.js("document.activeElement.name") == "q"
    browser.press("ppo")
    browser.wait(lambda: len(browser.all("a.row")) == 1)
    assert "q=ppo" in browser.driver.current_url
    browser.driver.refresh()
    browser.wait(lambda: len(browser.all("a.row")) == 1)
    browser.one("input[name=q]").clear()
    browser.one("input[name=q]").send_keys("grpo")
    browser.wait(lambda: len(browser.all("a.row")) == 3)
    browser.one(".chip.finished").click()
    assert "status=finished" in browser.driver.current_url
    browser.one("thead a[href*='sort=name']").click()
    assert "sort=name" in browser.driver.current_url


def test_a_curve_moves_while_the_run_trains(browser, kit):
    path = kit.make_run(browser.root / "live", steps=2, finished=False) / "metrics.jsonl"
    browser.open("/run/live")
    curve = "#curves [data-metric=reward] path.curve"
    first, steps = browser.one(curve).get_attribute("d"), browser.one("#head").text
    assert "training" in steps
    browser.js("window.marked = true")
    stop = threading.Event()

    def train() -> None:
        for step in range(3, 200):
            with path.open("a") as stream:
                stream.write(json.dumps(kit.metrics(step)) + "\n")
            if stop.wait(0.1):
                return

    thread = threading.Thread(target=train)
    thread.start()
    try:
        browser.wait(lambda: browser.one(curve).get_attribute("d") != first)
        second = browser.one(curve).get_attribute("d")
        browser.wait(lambda: browser.one(curve).get_attribute("d") != second)
    finally:
        stop.set()
        thread.join()
    assert browser.js("window.marked") is True, "the page was not loaded again"
    assert browser.one("#head").text != steps


def test_a_run_shows_values_under_the_pointer_and_any_curve(browser):
    browser.open("/run/grpo-sums")
    plot = browser.one("[data-metric=reward] svg.plot")
    webdriver.ActionChains(browser.driver).move_to_element(plot).perform()
    browser.wait(lambda: browser.one("[data-metric=reward] .now").text.startswith("step "))
    assert re.fullmatch(r"step [34]: 0\.[34]", browser.one("[data-metric=reward] .now").text)
    browser.one(".picker summary").click()
    browser.one("input[value=seconds]").click()
    browser.wait(lambda: browser.all("[data-metric=seconds]"))
    assert "m=seconds" in browser.driver.current_url


def test_runs_are_chosen_and_shown_together(browser):
    browser.open("/?method=grpo")
    for box in browser.all("input[name=run]"):
        box.click()
    browser.one("input[name=q]").send_keys("sums")
    browser.wait(lambda: "q=sums" in browser.driver.current_url)
    assert all(box.is_selected() for box in browser.all("input[name=run]")), "what was chosen stays so"
    browser.one("#overlay button").click()
    browser.wait(lambda: len(browser.all("[data-metric=reward] path.curve")) == 2)
    webdriver.ActionChains(browser.driver).move_to_element(browser.one("[data-metric=reward] svg.plot")).perform()
    browser.wait(lambda: len(browser.all("[data-metric=reward] .reading span")) == 2)


def test_a_rollout_by_mouse_and_by_keys(browser):
    browser.open("/rollouts/grpo-sums?step=2")
    browser.all("a.row")[1].click()
    browser.wait(lambda: browser.all("[data-tokens]"))
    assert browser.one("[data-tokens] .t").get_attribute("class") == "t p2"
    browser.one("a[href*='show=mask']").click()
    browser.wait(lambda: browser.all("[data-tokens] .m1"))
    assert "show=mask" in browser.driver.current_url
    browser.driver.execute_script("document.querySelector('[data-tokens] .t').focus()")
    browser.press(Keys.ARROW_RIGHT)
    assert "#2 '.': advantage -1.5" in browser.one("#told").text
    browser.driver.execute_script("document.activeElement.blur()")
    here = browser.driver.current_url
    browser.one("body").send_keys("j")
    browser.wait(lambda: browser.driver.current_url != here)
    assert "show=mask" in browser.driver.current_url
    browser.one("body").send_keys("k")
    browser.wait(lambda: browser.driver.current_url == here)


def test_rows_and_pages_by_keys(browser):
    browser.open("/")
    browser.press(Keys.TAB)
    assert browser.js("document.activeElement.textContent") == "Skip to content"
    assert browser.js("document.activeElement.getBoundingClientRect().left") >= 0
    browser.press(Keys.ENTER)
    assert browser.js("document.activeElement.id") == "main"
    browser.press("j", "j")
    second = browser.all("a.row")[1]
    assert browser.driver.switch_to.active_element == second
    assert browser.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    name = second.text.split("/")[-1].strip()
    browser.press("k", "j", Keys.ENTER)
    browser.wait(lambda: browser.one("h1").text == name)


def test_light_and_dark(browser):
    ground = "getComputedStyle(document.body).backgroundColor"
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.open("/")
        browser.driver.execute_script("localStorage.clear()")
        browser.driver.refresh()
        system = browser.js(ground)
        browser.one("#theme").click()
        chosen = browser.js(ground)
        assert chosen != system
        assert browser.js("document.documentElement.dataset.theme") != scheme
        browser.open("/methods")
        assert browser.js(ground) == chosen, "the choice is remembered"
        browser.one("body").send_keys("t")
        assert browser.js(ground) == system
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_no_page_complains_or_is_wider_than_a_phone(browser):
    for width in (360, 1280):
        browser.width(width)
        for path in PAGES:
            browser.open(path)
            assert browser.js("document.documentElement.scrollWidth") <= width, path
            said = [line for line in browser.complaints() if "404" not in line or path != "/run/nothing"]
            assert said == [], path
            assert browser.all("main h1"), path


def test_without_a_script_forms_and_links_do(browser):
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open("/")
        browser.one("input[name=q]").send_keys("ppo")
        browser.one(".apply").click()
        browser.wait(lambda: "q=ppo" in browser.driver.current_url)
        browser.wait(lambda: len(browser.all("a.row")) == 1)
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_nothing_in_a_run_runs(browser, kit):
    evil = "<img src=x onerror='document.title=\"owned\"'><script>document.title='owned'</script>"
    path = kit.make_run(browser.root / "evil & co", method=evil, task={"name": evil})
    kit.write_rows(
        path / "rollouts.jsonl", [kit.rollout(1, 0, 0, prompt=evil, response=evil, problem=evil, detail=evil)]
    )
    for page in ("/", "/run/evil%20%26%20co", "/rollouts/evil%20%26%20co", "/rollout/evil%20%26%20co?at=0"):
        browser.open(page)
        assert browser.driver.title.endswith("Pilothouse")
        assert evil[:10] in browser.one("main").text or page == "/"
