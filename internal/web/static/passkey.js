// Asks the browser for a passkey when a form that needs one is sent, and sends the form with the answer.
"use strict";
for (const form of document.querySelectorAll("form[data-passkey]")) {
  const problem = form.querySelector("[role=alert]");
  const say = (text) => { problem.textContent = text; problem.hidden = false; };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    const options = JSON.parse(form.dataset.options);
    const create = form.dataset.passkey === "create";
    try {
      const asked = create ? PublicKeyCredential.parseCreationOptionsFromJSON(options) : PublicKeyCredential.parseRequestOptionsFromJSON(options);
      const answer = await navigator.credentials[create ? "create" : "get"]({ publicKey: asked });
      form.elements.answer.value = JSON.stringify(answer);
    } catch (error) {
      say(error.name === "InvalidStateError" ? "This device has a passkey for you already." :
        error.name === "NotAllowedError" ? "The device gave no passkey: it was cancelled, took too long, or has none for this house." :
        "This browser cannot do that here (" + error.name + "). Use a newer one, or " + form.dataset.otherwise + ".");
      return;
    }
    form.submit();
  });
}
