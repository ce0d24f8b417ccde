"use strict";

// The API is where this page is, whatever stands before it.
const root = new URL("..", window.location.href);

async function start() {
  const answer = await fetch(new URL("openapi.json", root));
  if (!answer.ok) {
    throw new Error(`openapi.json was answered with ${answer.status}`);
  }
  const spec = await answer.json();
  spec.servers = [{ url: root.pathname.replace(/\/$/, "") || "/" }];
  window.SwaggerUIBundle({
    spec,
    dom_id: "#api",
    deepLinking: true,
    docExpansion: "list",
    tryItOutEnabled: true,
    displayRequestDuration: true,
    // Tokens are forgotten with the page, and nothing is sent to a validator elsewhere.
    persistAuthorization: false,
    validatorUrl: null,
  });
}

start().catch((error) => {
  const text = document.createElement("p");
  text.className = "failed";
  text.textContent = `The description of the API could not be shown: ${error.message}`;
  document.querySelector("#api").replaceChildren(text);
});
