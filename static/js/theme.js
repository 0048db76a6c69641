/* Changes the theme at once; the form behind it does the same without a script. */
const YEAR_S = 365 * 86400;

document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-theme-form]");
  const chosen = event.submitter?.value;
  if (!form || chosen === undefined) return;
  event.preventDefault();
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `theme=${chosen}; path=/; samesite=lax; max-age=${chosen ? YEAR_S : 0}${secure}`;
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
  for (const button of form.querySelectorAll("button")) button.ariaPressed = String(button === event.submitter);
});
