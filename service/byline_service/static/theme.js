// Light, dark, or the system's theme. A classic script in the head runs before the first paint.
(() => {
  const KEY = "byline-theme";
  const NEXT = { auto: "light", light: "dark", dark: "auto" };
  const NAMES = { auto: "system", light: "light", dark: "dark" };

  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is off: use the system's theme
    }
  };
  const show = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  let theme = stored() in NEXT ? stored() : "auto";
  show(theme);

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => button.setAttribute("aria-label", `Colors: ${NAMES[theme]}. Change to ${NAMES[NEXT[theme]]}`);
    button.hidden = false;
    label();
    button.addEventListener("click", () => {
      theme = NEXT[theme];
      show(theme);
      label();
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // Storage is off: the choice lasts for this page.
      }
    });
  });
})();
