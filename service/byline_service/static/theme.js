// Light, dark, or as the system has it. A classic script in the head: it runs before anything is painted.
(() => {
  const KEY = "byline-theme";
  const NEXT = { auto: "light", light: "dark", dark: "auto" };
  const NAMES = { auto: "as the system has it", light: "light", dark: "dark" };

  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is switched off: the system decides
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
    const label = () => button.setAttribute("aria-label", `Colours: ${NAMES[theme]}. Change to ${NAMES[NEXT[theme]]}`);
    button.hidden = false;
    label();
    button.addEventListener("click", () => {
      theme = NEXT[theme];
      show(theme);
      label();
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // It lasts for this page, then.
      }
    });
  });
})();
