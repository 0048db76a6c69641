/* The runs before and after this one in the list it was opened from: the list leaves its order behind for the tab. */
const KEY = "agentops-list";

document.addEventListener("click", (event) => {
  const row = event.target.closest("a") && event.target.closest("tr:has(.row-link)");
  if (!row) return;
  const links = [...row.closest("tbody").querySelectorAll(".row-link")].map((other) => other.pathname);
  sessionStorage.setItem(KEY, JSON.stringify(links));
});

function offer(selector, path) {
  const link = document.querySelector(selector);
  if (!link || !path) return;
  link.href = path;
  link.hidden = false;
}

const list = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
const here = list.indexOf(location.pathname);
if (here >= 0) {
  offer('a[rel="prev"]', list[here - 1]);
  offer('a[rel="next"]', list[here + 1]);
}
