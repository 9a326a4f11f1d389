"use strict";
// The key of the service, if it asks for one; stored until the tab is closed.
const service = (() => {
  const NAME = "fraud_ae key";
  const headers = () => {
    const key = sessionStorage.getItem(NAME);
    return key === null ? {} : { "X-API-Key": key };
  };

  const form = document.createElement("form");
  form.id = "key-form";
  form.hidden = true;
  form.innerHTML = `
    <label for="key">This service asks for its key</label>
    <input id="key" type="password" autocomplete="current-password" required>
    <button type="submit">Continue</button>
    <p id="key-wrong" role="alert" hidden>That is not the key.</p>`;
  document.querySelector("main, #api").before(form);

  class NeedsKey extends Error {}

  async function ask(path, body) {
    const options = { headers: headers() };
    if (body !== undefined) {
      options.method = "POST";
      options.headers["Content-Type"] = "application/json";
      options.body = JSON.stringify(body);
    }
    const response = await fetch(path, options);
    if (response.status === 401) throw new NeedsKey();
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    return answer;
  }

  // Starts the page, and again once there is a key where one is needed.
  async function begin(start) {
    try {
      await start();
      form.hidden = true;
    } catch (error) {
      if (!(error instanceof NeedsKey)) throw error;
      document.getElementById("key-wrong").hidden = sessionStorage.getItem(NAME) === null;
      sessionStorage.removeItem(NAME);
      form.hidden = false;
      form.onsubmit = (event) => {
        event.preventDefault();
        sessionStorage.setItem(NAME, document.getElementById("key").value);
        begin(start);
      };
      document.getElementById("key").focus();
    }
  }

  return { ask, begin, headers };
})();
