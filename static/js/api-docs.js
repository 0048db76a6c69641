/* The browsable API document: Swagger UI on our own schema, from local files. */
const place = document.getElementById("api");
window.SwaggerUIBundle({ url: place.dataset.schema, domNode: place, deepLinking: true, validatorUrl: null });
