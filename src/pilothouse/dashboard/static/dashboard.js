// What a page gains with a script: it keeps itself current, filters as one types, and listens to keys.
// Everything here also works without it, by links and forms.
"use strict";

const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// ---- light and dark ---------------------------------------------------------------------------------------------
function setUpTheme() {
  const button = find("#theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const tell = () => button.setAttribute("aria-label", dark() ? "Switch to light" : "Switch to dark");
  button.hidden = false;
  tell();
  system.addEventListener("change", tell);
  button.addEventListener("click", () => {
    const chosen = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    try { localStorage.setItem("pilothouse-theme", chosen); } catch { /* holds for this page, then */ }
    tell();
  });
}

// ---- parts of a page in place of older ones ---------------------------------------------------------------------
async function page(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function place(id, html) {
  const region = document.getElementById(id);
  if (!region) return;
  const focused = region.contains(document.activeElement) ? document.activeElement : null;
  const address = focused?.getAttribute("href");
  const ticked = all("input[type=checkbox]:checked", region).map((box) => box.value);
  const scrolled = all(".scroll, .canvas", region).map((box) => box.scrollLeft);
  region.innerHTML = html;
  all(".scroll, .canvas", region).forEach((box, i) => { box.scrollLeft = scrolled[i] ?? 0; });
  all("input[type=checkbox]", region).forEach((box) => { box.checked ||= ticked.includes(box.value); });
  if (address) all("a[href]", region).find((link) => link.getAttribute("href") === address)?.focus();
}

// ---- filters that answer as one types ---------------------------------------------------------------------------
let asked = 0;

function setUpFilters() {
  for (const form of all("form[data-filter]")) {
    const target = form.dataset.filter;
    const apply = async () => {
      const turn = ++asked;
      const given = [...new FormData(form)].filter(([, value]) => value !== "");
      const address = `${form.getAttribute("action") ?? location.pathname}?${new URLSearchParams(given)}`;
      try {
        const fresh = find(`#${CSS.escape(target)}`, await page(address));
        if (turn !== asked || !fresh) return; // a later one is on its way
        place(target, fresh.innerHTML);
        history.replaceState(null, "", address);
      } catch { location.assign(address); }
    };
    let waiting;
    form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(apply, 180); });
    form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(waiting); apply(); });
  }
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-swap]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    try {
      const id = link.dataset.swap;
      place(id, find(`#${CSS.escape(id)}`, await page(link.href)).innerHTML);
      history.replaceState(null, "", link.href);
    } catch { location.assign(link.href); }
  });
}

// ---- a run that trains: its page asks again and again, as long as somebody looks ---------------------------------
function setUpLive() {
  const region = find("[data-live]");
  if (!region) return;
  let { state, again } = region.dataset;
  const ask = async () => {
    if (document.hidden) return setTimeout(ask, 1000);
    const parameters = new URLSearchParams(location.search);
    parameters.set("have", state);
    try {
      const answer = await (await fetch(`${region.dataset.live}?${parameters}`)).json();
      ({ state, again } = answer);
      for (const [id, html] of Object.entries(answer.regions)) place(id, html);
      region.dataset.state = state;
    } catch { again = 5; } // the server may come back
    if (Number(again)) setTimeout(ask, 1000 * again);
  };
  if (Number(again)) setTimeout(ask, 1000 * again);
}

function setUpPolling() {
  const results = find("[data-poll]");
  if (!results) return;
  setInterval(async () => {
    if (document.hidden || results.contains(document.activeElement)) return;
    const turn = asked;
    try {
      const fresh = find(`#${results.id}`, await page(location.href));
      if (turn === asked && fresh && fresh.innerHTML !== results.innerHTML) place(results.id, fresh.innerHTML);
    } catch { /* asked again soon */ }
  }, 1000 * results.dataset.poll);
}

// ---- the values under the pointer --------------------------------------------------------------------------------
function setUpCurves() {
  const shown = (value) => (Math.abs(value) >= 1e4 || Number.isInteger(value) ? value.toLocaleString("en") : String(+value.toPrecision(4)));
  const nearest = (points, x) => points.reduce((best, one) => (Math.abs(one[2] - x) < Math.abs(best[2] - x) ? one : best));
  const clear = (panel) => {
    panel.classList.remove("read");
    all(".cursor, .dot", panel).forEach((mark) => mark.setAttribute("hidden", ""));
    find(".now", panel).textContent = find(".now", panel).dataset.last;
    find(".reading", panel).replaceChildren();
  };
  document.addEventListener("pointermove", (event) => {
    const plot = event.target.closest?.("svg.plot");
    all(".panel.read").forEach((panel) => { if (panel !== plot?.closest(".panel")) clear(panel); });
    if (!plot) return;
    const panel = plot.closest(".panel"), series = JSON.parse(plot.dataset.series);
    const box = plot.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * plot.viewBox.baseVal.width;
    const read = series.map((one) => nearest(one.points, x));
    const [step, value, at] = nearest(read, x);
    panel.classList.add("read");
    const line = find(".cursor", plot);
    line.setAttribute("x1", at); line.setAttribute("x2", at); line.removeAttribute("hidden");
    all(".dot", plot).forEach((dot, i) => {
      dot.setAttribute("cx", read[i][2]); dot.setAttribute("cy", read[i][3]); dot.removeAttribute("hidden");
    });
    const several = series.length > 1 || series[0].label !== "";
    find(".now", panel).textContent = several ? `step ${shown(step)}` : `step ${shown(step)}: ${shown(value)}`;
    if (several) {
      find(".reading", panel).replaceChildren(...series.map((one, i) => {
        const figure = document.createElement("span");
        figure.className = `k${one.place}`;
        figure.textContent = shown(read[i][1]);
        figure.title = one.label;
        return figure;
      }));
    }
  });
}

// ---- tokens ------------------------------------------------------------------------------------------------------
function setUpTokens() {
  const tell = (token) => { find("#told").textContent = token.title; };
  document.addEventListener("pointerover", (event) => {
    const token = event.target.closest?.("[data-tokens] .t");
    if (token) tell(token);
  });
  document.addEventListener("focusin", (event) => {
    const token = event.target.closest?.("[data-tokens] .t");
    if (token) tell(token);
  });
  document.addEventListener("keydown", (event) => {
    const token = document.activeElement?.closest?.("[data-tokens] .t");
    const way = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
    if (!token || !way) return;
    event.preventDefault();
    const tokens = all(".t", token.parentElement);
    const next = tokens[Math.max(0, Math.min(tokens.length - 1, tokens.indexOf(token) + way))];
    token.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

// ---- keys --------------------------------------------------------------------------------------------------------
function setUpKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest?.("input, select, textarea");
    if (typing) {
      if (event.key === "Escape") typing.blur();
      return;
    }
    if (event.key === "/") {
      const search = find("input[type=search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (event.key === "t") {
      find("#theme").click();
    } else if (event.key === "j" || event.key === "k") {
      step(event.key === "j" ? 1 : -1);
    } else if ((event.key === "ArrowRight" || event.key === "ArrowLeft") && !event.target.closest?.("[data-tokens], .scroll, .canvas")) {
      find(`.stepper a[rel=${event.key === "ArrowRight" ? "next" : "prev"}]`)?.click();
    }
  });
}

// j and k: to the next and the previous rollout where there is one, else down and up the rows of a list
function step(way) {
  const rows = all("main a.row");
  const turn = find(`.stepper a[rel=${way > 0 ? "next" : "prev"}]`);
  if (!rows.length) return turn?.click();
  const at = rows.indexOf(document.activeElement);
  const next = rows[at < 0 ? (way > 0 ? 0 : rows.length - 1) : at + way];
  next?.focus();
}

setUpTheme();
setUpFilters();
setUpLive();
setUpPolling();
setUpCurves();
setUpTokens();
setUpKeys();
