/* Menus are <details>: Escape and a click elsewhere close them, one is open at a time. */
const opened = () => document.querySelectorAll("details.menu[open], .bottom details[open]");

document.addEventListener("click", (event) => {
  for (const menu of opened()) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of opened()) {
    menu.open = false;
    menu.querySelector("summary").focus();
    event.stopImmediatePropagation();
  }
});

/* Toasts go by themselves; the pointer or the focus on one keeps it. */
const TOAST_MS = 6000;

function watch(root) {
  for (const toast of root.querySelectorAll?.("[data-toast]:not([data-watched])") ?? []) {
    toast.dataset.watched = "yes";
    const timer = setInterval(() => {
      if (toast.matches(":hover, :focus-within")) return;
      clearInterval(timer);
      toast.remove();
    }, TOAST_MS);
  }
}

document.addEventListener("click", (event) => event.target.closest("[data-dismiss]")?.closest("[data-toast]")?.remove());
document.addEventListener("htmx:load", (event) => watch(event.target));
watch(document);
