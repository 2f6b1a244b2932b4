// Before the page is drawn: the theme the user chose, if they chose one.
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  try {
    const chosen = localStorage.getItem("pilothouse-theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch { /* storage is closed: the system's theme holds */ }
})();
