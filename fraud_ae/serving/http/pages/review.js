"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const NOTHING = "–";
  const percent = (v) => v === null ? NOTHING : `${(100 * v).toFixed(1)}\u00a0%`;
  const perDay = (v) => v === null ? NOTHING : v.toLocaleString("en-US", { maximumFractionDigits: 1 });
  const amount = (v) => v === null ? NOTHING : v.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

  let thresholds = [], start = 0;
  let requests = 0, timer = null;

  const chosen = () => thresholds[Number(by("threshold").value)];

  function showFigures() {
    const { threshold, alerts_per_day, held_out_alerts_per_day, precision, recall } = chosen();
    by("threshold-value").textContent = threshold.toPrecision(4);
    by("per-day").textContent = perDay(alerts_per_day);
    by("held-out").textContent = perDay(held_out_alerts_per_day);
    by("precision").textContent = percent(precision);
    by("recall").textContent = percent(recall);
    by("reset").disabled = Number(by("threshold").value) === start;
  }

  function showOutcome(item, isFraud) {
    for (const button of item.querySelectorAll(".outcome button")) {
      button.setAttribute("aria-pressed", String(button.dataset.fraud === String(isFraud)));
    }
    item.classList.toggle("labelled", isFraud !== null);
    item.querySelector(".confirmed").textContent =
      isFraud === null ? "" : isFraud ? "confirmed as fraud" : "confirmed as not fraud";
  }

  async function label(item, id, isFraud) {
    try {
      await service.ask("/label", { transaction_id: id, is_fraud: isFraud });
      showOutcome(item, isFraud);
    } catch (error) {
      item.querySelector(".confirmed").textContent = `not kept: ${error.message}`;
    }
  }

  function alertItem(alert, highest) {
    const item = by("alert").content.cloneNode(true).firstElementChild;
    const set = (selector, text) => { item.querySelector(selector).textContent = text; };
    item.dataset.id = alert.transaction_id;
    set(".amount", amount(alert.amount));
    set("time", alert.timestamp.replace("T", " ").slice(0, 19));
    item.querySelector("time").dateTime = alert.timestamp;
    set(".customer", alert.customer_id === null ? "no customer" : `customer ${alert.customer_id}`);
    set(".id", alert.transaction_id);
    set(".score span", `score ${alert.score.toPrecision(4)}`);
    Object.assign(item.querySelector("meter"), { max: highest, value: alert.score });
    const reasons = alert.reasons.map((reason) => reason.text);
    if (!reasons.length) {
      reasons.push(alert.alert
        ? "no single feature stands out"
        : "no alert when it was scored, so that no reasons were kept");
    }
    item.querySelector(".reasons").append(...reasons.map((text) =>
      Object.assign(document.createElement("li"), { textContent: text })));
    item.querySelector(".outcome").setAttribute("aria-label", `Outcome of ${alert.transaction_id}`);
    for (const button of item.querySelectorAll(".outcome button")) {
      button.addEventListener("click", () =>
        label(item, alert.transaction_id, button.dataset.fraud === "true"));
    }
    showOutcome(item, alert.is_fraud);
    return item;
  }

  function showDays(days, day) {
    by("day").replaceChildren(...days.map((count) => {
      const text = `${count.day}: ${count.alerts} of ${count.transactions}`;
      return new Option(text, count.day, false, count.day === day);
    }));
    by("day").disabled = !days.length;
  }

  async function showAlerts(day) {
    const request = ++requests;
    const { threshold } = chosen();
    const query = new URLSearchParams({ threshold });
    if (day) query.set("day", day);
    const response = await service.ask(`/alerts?${query}`);
    if (request !== requests) return;  // a later one is on its way
    showDays(response.days, response.day);
    const highest = Math.max(threshold, ...response.alerts.map((alert) => alert.score));
    by("alerts").replaceChildren(...response.alerts.map((alert) => alertItem(alert, highest)));
    const number = response.alerts.length + response.more;
    const rest = response.more ? `; the ${response.alerts.length} of highest score are shown` : "";
    by("state").textContent = response.day === null
      ? "No transaction has been scored yet."
      : `${number} alert${number === 1 ? "" : "s"} on ${response.day}${rest}`;
    by("state").dataset.threshold = threshold;
  }

  function showError(error) { by("state").textContent = `not shown: ${error.message}`; }

  function thresholdMoved() {
    showFigures();
    clearTimeout(timer);
    timer = setTimeout(() => showAlerts(by("day").value).catch(showError), 150);
  }

  async function begin() {
    const [model, response] = await Promise.all([service.ask("/model"), service.ask("/thresholds")]);
    by("model").textContent = model.version;
    ({ thresholds, start } = response);
    by("days").textContent = response.days === 1 ? "day" : `${response.days} days`;
    by("threshold").max = thresholds.length - 1;
    by("threshold").value = start;
    showFigures();
    document.querySelector("main").hidden = false;
    await showAlerts();
  }

  by("threshold").addEventListener("input", thresholdMoved);
  by("reset").addEventListener("click", () => { by("threshold").value = start; thresholdMoved(); });
  by("day").addEventListener("change", () => showAlerts(by("day").value).catch(showError));
  service.begin(begin).catch((error) => {
    document.querySelector("main").hidden = false;
    showError(error);
  });
})();
