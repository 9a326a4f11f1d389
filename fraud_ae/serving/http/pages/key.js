"use strict";
// The key of the service, if it asks for one; kept until the tab is closed.
const service = (() => {
  const NAME = "fraud_ae key";
  const headers = () => {
    const key = sessionStorage.getItem(NAME);
    return key === null ? {} : { "X-API-Key": key };
  };

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
    const form = document.getElementById("key-form");
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
