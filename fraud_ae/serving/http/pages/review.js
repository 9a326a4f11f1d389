"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const NOTHING = "–";
  const percent = (v) => v === null ? NOTHING : `${(100 * v).toFixed(1)}\u00a0%`;
  const perDay = (v) => v === null ? NOTHING : v.toLocaleString("en-US", { maximumFractionDigits: 1 });
  const amount = (v) => v === null ? NOTHING : v.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

  let thresholds = [], start = 0;
  let asked = 0, later = null;

  const chosen = () => thresholds[Number(by("threshold").value)];

  function showFigures() {
    const { threshold, alerts_per_day, held_out_alerts_per_day, precision, recall } = chosen();
    by("threshold-value").textContent = threshold.toPrecision(4);
    by("per-day").textContent = perDay(alerts_per_day);
    by("held-out").textContent = perDay(held_out_alerts_per_day);
    by("precision").textContent = percent(precision);
    by("recall").textContent = percent(recall);
    by("own").disabled = Number(by("threshold").value) === start;
  }

  function showOutcome(item, isFraud) {
    for (const button of item.querySelectorAll(".outcome button")) {
      button.setAttribute("aria-pressed", String(button.dataset.fraud === String(isFraud)));
    }
    item.classList.toggle("labelled", isFraud !== null);
    item.querySelector(".told").textContent =
      isFraud === null ? "" : isFraud ? "confirmed as fraud" : "confirmed as not fraud";
  }

  async function label(item, id, isFraud) {
    try {
      await service.ask("/label", { transaction_id: id, is_fraud: isFraud });
      showOutcome(item, isFraud);
    } catch (error) {
      item.querySelector(".told").textContent = `not kept: ${error.message}`;
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
    const reasons = item.querySelector(".reasons");
    for (const reason of alert.reasons) {
      const line = document.createElement("li");
      line.textContent = reason.text;
      reasons.append(line);
    }
    if (!alert.reasons.length) {
      const line = document.createElement("li");
      line.textContent = alert.alert
        ? "no single feature stands out"
        : "no alert when it was scored, so that no reasons were kept";
      reasons.append(line);
    }
    item.querySelector(".outcome").setAttribute("aria-label", `Outcome of ${alert.transaction_id}`);
    for (const button of item.querySelectorAll(".outcome button")) {
      button.addEventListener("click", () =>
        label(item, alert.transaction_id, button.dataset.fraud === "true"));
    }
    showOutcome(item, alert.is_fraud);
    return item;
  }

  function showDays(days, day) {
    by("day").replaceChildren(...days.map((one) => {
      const text = `${one.day}: ${one.alerts} of ${one.transactions}`;
      return new Option(text, one.day, false, one.day === day);
    }));
    by("day").disabled = !days.length;
  }

  async function showAlerts(day) {
    const own = ++asked;
    const { threshold } = chosen();
    const query = new URLSearchParams({ threshold });
    if (day) query.set("day", day);
    const found = await service.ask(`/alerts?${query}`);
    if (own !== asked) return;  // another one was asked for meanwhile
    showDays(found.days, found.day);
    const highest = Math.max(threshold, ...found.alerts.map((alert) => alert.score));
    by("alerts").replaceChildren(...found.alerts.map((alert) => alertItem(alert, highest)));
    const number = found.alerts.length + found.more;
    const rest = found.more ? `; the ${found.alerts.length} of highest score are shown` : "";
    by("state").textContent = found.day === null
      ? "No transaction has been scored yet."
      : `${number} alert${number === 1 ? "" : "s"} on ${found.day}${rest}`;
    by("state").dataset.threshold = threshold;
  }

  function tell(error) { by("state").textContent = `not shown: ${error.message}`; }

  function moved() {
    showFigures();
    clearTimeout(later);
    later = setTimeout(() => showAlerts(by("day").value).catch(tell), 150);
  }

  async function begin() {
    const [model, found] = await Promise.all([service.ask("/model"), service.ask("/thresholds")]);
    by("model").textContent = model.version;
    ({ thresholds, start } = found);
    by("days").textContent = found.days === 1 ? "day" : `${found.days} days`;
    by("threshold").max = thresholds.length - 1;
    by("threshold").value = start;
    showFigures();
    document.querySelector("main").hidden = false;
    await showAlerts();
  }

  by("threshold").addEventListener("input", moved);
  by("own").addEventListener("click", () => { by("threshold").value = start; moved(); });
  by("day").addEventListener("change", () => showAlerts(by("day").value).catch(tell));
  service.begin(begin).catch((error) => {
    document.querySelector("main").hidden = false;
    tell(error);
  });
})();
