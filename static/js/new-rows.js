/* Live lists. Rows that are there are refreshed in place; new ones wait under "6 new traces. Show", so that nothing
   moves under the reader. A list is <tbody id data-live="trace" data-live-url="…"> whose rows have ids; its banner is
   the element whose id is the list's and `-new`. With data-live-ordered its order is the server's: new rows come to
   their places, at once where nothing is there to be read. */
const WAIT_MS = 2000;
const lists = new Map();

async function fetched(list) {
  const url = list.dataset.liveUrl || location.href;
  const answer = await fetch(url, { headers: { "HX-Request": "true", "HX-Target": list.id } });
  if (!answer.ok || answer.redirected) throw new Error(`status ${answer.status}`);
  const holder = document.createElement("template");
  holder.innerHTML = `<table><tbody>${await answer.text()}</tbody></table>`;
  return [...holder.content.querySelectorAll("tbody > tr")];
}

/* A row that a whole list has no more stays where it is, struck out: nothing moves under the reader. */
function strike(list, page) {
  const isWhole = !page.some((row) => row.matches(".more-rows")) && !list.querySelector(".more-rows");
  if (!isWhole) return;
  const ids = new Set(page.map((row) => row.id));
  for (const row of list.querySelectorAll("tr[id]")) row.toggleAttribute("data-gone", !ids.has(row.id));
}

async function refresh(list, state) {
  state.timer = null;
  if (!list.isConnected) return;
  const fresh = [];
  const page = await fetched(list);
  for (const row of page.filter((each) => each.id)) {
    const shown = document.getElementById(row.id);
    if (!shown) fresh.push(row);
    else if (shown.outerHTML !== row.outerHTML) replace(shown, row);
  }
  strike(list, page);
  state.fresh = fresh;
  state.page = page;
  count(page);
  if ("liveOrdered" in list.dataset && !list.querySelector("tr[id]:not([data-gone])")) show(list);
  else announce(list, state);
}

/* A hidden row carries how many there are of what: the words that name it are kept right. */
function count(page) {
  const counts = page.find((row) => "counts" in row.dataset)?.dataset ?? {};
  for (const [name, n] of Object.entries(counts)) {
    for (const words of document.querySelectorAll(`[data-count="${name}"]`)) words.textContent = n;
  }
}

function replace(shown, row) {
  if (shown.ariaSelected) row.ariaSelected = shown.ariaSelected;
  const hadFocus = shown.contains(document.activeElement);
  shown.replaceWith(row);
  window.htmx?.process(row);
  if (hadFocus) row.querySelector("a")?.focus({ preventScroll: true });
}

function announce(list, state) {
  const banner = document.getElementById(`${list.id}-new`);
  const n = state.fresh.length;
  const noun = list.dataset.live;
  banner.hidden = n === 0;
  banner.querySelector("[data-live-words]").textContent = `${n} new ${n === 1 ? noun : `${noun}s`}.`;
}

export function show(list) {
  const state = lists.get(list);
  if (!state?.fresh.length) return;
  const isOrdered = "liveOrdered" in list.dataset;
  const rows = isOrdered ? state.page : state.fresh.filter((row) => !document.getElementById(row.id));
  if (isOrdered) list.replaceChildren(...rows);
  else list.prepend(...rows);
  for (const row of rows) window.htmx?.process(row);
  document.getElementById(`${list.id}-empty`)?.remove();
  state.fresh = [];
  announce(list, state);
  document.body.dispatchEvent(new CustomEvent("live-rows"));
  list.querySelector("a")?.focus({ preventScroll: true });
}

for (const news of ["traces-stored", "alerts-changed", "approvals-changed", "runs-changed"]) document.body.addEventListener(news, () => {
  for (const list of document.querySelectorAll("[data-live]")) {
    if ((list.dataset.liveEvent ?? "traces-stored") !== news) continue;
    const state = lists.get(list) ?? { fresh: [], timer: null };
    lists.set(list, state);
    state.timer ??= setTimeout(() => refresh(list, state).catch(() => {}), document.hidden ? 5 * WAIT_MS : WAIT_MS / 2);
  }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-live-show]");
  if (button) show(document.getElementById(button.dataset.liveShow));
});
