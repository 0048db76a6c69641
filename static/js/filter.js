/* Suggestions under the filter field, from the <datalist>-like list beside it: arrows choose, Tab or Enter takes. */
const field = document.querySelector("[data-filter]");
const list = field && document.getElementById(field.getAttribute("aria-controls"));

const options = () => [...list.querySelectorAll('[role="option"]')];
const visible = () => options().filter((option) => !option.hidden);
const chosen = () => list.querySelector('[aria-selected="true"]');
const word = () => field.value.slice(0, field.selectionStart).split(" ").pop();

function select(option) {
  for (const other of options()) other.ariaSelected = String(other === option);
  if (option) field.setAttribute("aria-activedescendant", option.id);
  else field.removeAttribute("aria-activedescendant");
}

function show() {
  const typed = word().toLowerCase();
  for (const option of options()) option.hidden = !option.dataset.insert.startsWith(typed) || option.dataset.insert === typed;
  const any = visible().length > 0 && document.activeElement === field;
  list.hidden = !any;
  field.ariaExpanded = String(any);
  select(null);
}

function take(option) {
  const at = field.selectionStart;
  const start = at - word().length;
  field.setRangeText(option.dataset.insert, start, at, "end");
  field.focus();
  show();
}

function pressed(event) {
  const shown = list.hidden ? [] : visible();
  const at = shown.indexOf(chosen());
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && shown.length) select(shown[(at + step + shown.length) % shown.length]);
  else if (event.key === "Tab" && word() && shown.length) take(shown[Math.max(0, at)]);
  else if (event.key === "Enter" && at >= 0) take(shown[at]);
  else if (event.key === "Escape" && shown.length) list.hidden = true;
  else return;
  event.preventDefault();
}

if (list) {
  field.addEventListener("input", show);
  field.addEventListener("focus", show);
  field.addEventListener("blur", () => setTimeout(() => { list.hidden = true; }, 150));
  field.addEventListener("keydown", pressed);
  list.addEventListener("mousedown", (event) => {
    const option = event.target.closest('[role="option"]');
    if (option) { event.preventDefault(); take(option); }
  });
}
