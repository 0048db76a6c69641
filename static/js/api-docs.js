/* The browsable API document: Swagger UI on our own schema, from local files, in the theme of the product. */
const place = document.getElementById("api");
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

function follow() {
  root.classList.toggle("dark-mode", root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
}

new MutationObserver(follow).observe(root, { attributeFilter: ["data-theme"] });
system.addEventListener("change", follow);
follow();
window.SwaggerUIBundle({ url: place.dataset.schema, domNode: place, deepLinking: true, validatorUrl: null });
