"use strict";
(() => {
  const drawn = JSON.parse(document.getElementById("drawn").textContent);
  const root = document.documentElement;
  const by = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const NOTHING = "–";

  // ---- theme -------------------------------------------------------------------------------
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches;
  by("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    drawAll();
  });
  prefersDark.addEventListener("change", () => drawAll());

  // ---- where the reader is -----------------------------------------------------------------
  const links = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((a, id) => a.classList.toggle("here", id === entry.target.id));
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  links.values().next().value.classList.add("here");
  document.querySelectorAll("main > section").forEach((s) => seen.observe(s));

  // ---- numbers -----------------------------------------------------------------------------
  const percent = (v) => v === null ? NOTHING : `${(100 * v).toFixed(1)}\u00a0%`;
  const count = (v) => v.toLocaleString("en-US");
  const short = (v) => v === null ? NOTHING : v.toPrecision(6);
  const ratio = (a, b) => b ? a / b : null;

  // ---- threshold explorer ------------------------------------------------------------------
  const explorer = drawn.explorer;

  function figuresAt(part, place) {
    // Only rows with a label say whether an alert was right.
    const alerts = part.labelled_alerts[place], caught = part.caught[place];
    return {
      alerts_per_day: (part.alerts[place] / part.days).toFixed(1),
      precision: percent(part.frauds ? ratio(caught, alerts) : null),
      recall: percent(ratio(caught, part.frauds)),
      f1: part.frauds ? (2 * caught / (alerts + part.frauds)).toFixed(4) : NOTHING,
      value: percent(ratio(part.caught_amount[place], part.fraud_amount)),
      true_positives: count(caught),
      false_positives: count(alerts - caught),
      false_negatives: count(part.frauds - caught),
      true_negatives: count(part.labelled - alerts - part.frauds + caught),
    };
  }

  function explore(place) {
    by("threshold").value = place;
    by("threshold-value").textContent = short(explorer.thresholds[place]);
    by("threshold").setAttribute("aria-valuetext", by("threshold-value").textContent);
    const shown = {};
    for (const [name, part] of Object.entries(explorer.parts)) shown[name] = figuresAt(part, place);
    document.querySelectorAll("output[data-part]").forEach((out) => {
      out.textContent = shown[out.dataset.part][out.dataset.figure];
    });
    const chart = by("histogram");
    if (chart.data) {
      const x = explorer.thresholds[place];
      Plotly.restyle(chart, { x: [[x, x]] }, [chart.data.length - 1]);
    }
  }

  function withinBudget(budget) {
    const { alerts, days } = explorer.parts.validation;
    let place = 0;
    while (place + 1 < alerts.length && alerts[place + 1] / days <= budget) place += 1;
    return place;
  }

  if (explorer) {
    by("threshold").addEventListener("input", (event) => {
      by("budget").value = "";
      explore(Number(event.target.value));
    });
    by("budget").addEventListener("input", (event) => {
      if (event.target.value !== "") explore(withinBudget(Number(event.target.value)));
    });
    by("chosen").addEventListener("click", () => {
      by("budget").value = "";
      explore(explorer.start);
    });
    explore(explorer.start);
  }

  // ---- charts ------------------------------------------------------------------------------
  // Not `responsive`: that redraws while the page is laid out for paper, at a size already scaled.
  const CONFIG = { displayModeBar: false };

  function layout(more) {
    const axis = {
      gridcolor: colour("line"), linecolor: colour("strong-line"), zeroline: false,
      tickfont: { color: colour("quiet"), size: 11 }, title: { font: { color: colour("quiet"), size: 12 }, standoff: 8 },
      automargin: true, fixedrange: true,
    };
    const { xaxis, yaxis, ...rest } = more;
    const merged = (changes) => ({ ...axis, ...changes, title: { ...axis.title, ...changes.title } });
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, color: colour("text"), size: 12 },
      margin: { l: 48, r: 12, t: 12, b: 44 }, showlegend: false, hovermode: "closest",
      hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("strong-line"), font: { color: colour("text") } },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { color: colour("text") } },
      xaxis: merged(xaxis ?? {}), yaxis: merged(yaxis ?? {}), ...rest,
    };
  }
  const scale = () => [0, 1, 2, 3, 4].map((n) => [n / 4, colour(`scale-${n}`)]);
  const bare = (name) => name.slice(name.lastIndexOf(".") + 1);

  function drawParallel() {
    if (!document.createElement("canvas").getContext("webgl")) {
      by("parallel").textContent = "This chart needs WebGL, which this browser does not have. The table below says the same.";
      return;
    }
    const { dimensions, reached, objective } = drawn.broad;
    // Combinations of one value lie beside each other, and not all on one line: the best on top.
    const order = reached.map((_, n) => n).sort((a, b) => reached[a] - reached[b]);
    const beside = (d) => {
      const spread = d.places.slice();
      d.values.forEach((_, place) => {
        const same = order.filter((n) => d.places[n] === place);
        same.forEach((n, k) => { spread[n] += same.length > 1 ? 0.36 * (k / (same.length - 1) - 0.5) : 0; });
      });
      return spread;
    };
    const places = dimensions.map((d) => ({
      label: bare(d.name), values: beside(d), range: [-0.25, d.values.length - 0.75],
      tickvals: d.values.map((_, n) => n), ticktext: d.values,
    }));
    // Axes of many values, as of random search, show a few of them.
    for (const axis of places) {
      const every = Math.ceil(axis.tickvals.length / 8);
      axis.tickvals = axis.tickvals.filter((n) => n % every === 0);
      axis.ticktext = axis.ticktext.filter((_, n) => n % every === 0);
    }
    const line = { color: reached, colorscale: scale(), showscale: false };
    Plotly.react("parallel", [{
      type: "parcoords", line, unselected: { line: { color: colour("line"), opacity: 0.35 } },
      labelfont: { color: colour("text"), size: 12 }, tickfont: { color: colour("quiet"), size: 11 },
      rangefont: { color: "rgba(0,0,0,0)", size: 1 },
      dimensions: [...places, { label: objective, values: reached, tickformat: ".3f" }],
    }], layout({ margin: { l: 70, r: 60, t: 50, b: 16 } }), CONFIG);
  }

  function drawHeat() {
    const { dimensions, reached } = drawn.broad;
    const [x, y] = [dimensions[by("heat-x").value], dimensions[by("heat-y").value]];
    const best = by("heat-of").value === "best";
    const cells = y.values.map(() => x.values.map(() => []));
    reached.forEach((value, n) => cells[y.places[n]][x.places[n]].push(value));
    const z = cells.map((row) => row.map((all) => {
      if (all.length === 0) return null;
      return best ? Math.max(...all) : all.reduce((a, b) => a + b) / all.length;
    }));
    const few = x.values.length * y.values.length <= 40;
    Plotly.react("heat", [{
      type: "heatmap", z, x: x.values.map((_, n) => n), y: y.values.map((_, n) => n), colorscale: scale(), xgap: 3, ygap: 3, hoverongaps: false,
      showscale: !few, colorbar: { thickness: 10, outlinewidth: 0, tickfont: { color: colour("quiet") } },
      customdata: cells.map((row, r) => row.map((all, c) => [x.values[c], y.values[r], all.length])),
      texttemplate: few ? "%{z:.4f}" : "", textfont: { size: 12 },
      hovertemplate: `${bare(x.name)} %{customdata[0]}, ${bare(y.name)} %{customdata[1]}<br>%{z:.4f} of %{customdata[2]}<extra></extra>`,
    }], layout({
      xaxis: { title: { text: bare(x.name) }, tickvals: x.values.map((_, n) => n), ticktext: x.values, showgrid: false },
      yaxis: { title: { text: bare(y.name) }, tickvals: y.values.map((_, n) => n), ticktext: y.values, showgrid: false },
    }), CONFIG);
  }

  function drawLosses() {
    const colours = ["accent", "fraud", "series-3", "series-4", "good"];
    const traces = drawn.training.flatMap((run, n) => {
      const shared = { x: run.epochs, mode: run.epochs.length > 1 ? "lines" : "markers", type: "scatter", legendgroup: run.run };
      const line = { color: colour(colours[n % colours.length]), width: run.is_best ? 2.6 : 1.3 };
      const at = "epoch %{x}: %{y:.4g}";
      return [
        { ...shared, y: run.train, line: { ...line, dash: "dot" }, opacity: 0.75, showlegend: false, hovertemplate: `${run.name}, training, ${at}<extra></extra>` },
        { ...shared, y: run.validation, line, name: run.is_best && drawn.training.length > 1 ? `<b>${run.name}</b>` : run.name, hovertemplate: `${run.name}, validation, ${at}<extra></extra>` },
      ];
    });
    const last = Math.max(2, ...drawn.training.flatMap((run) => run.epochs));
    const positive = drawn.training.every((r) => [...r.train, ...r.validation].every((v) => v === null || v > 0));
    Plotly.react("losses", traces, layout({
      showlegend: drawn.training.length > 1, margin: { l: 56, r: 12, t: 36, b: 44 },
      xaxis: { title: { text: "epoch" }, range: [1 - 0.02 * last, last * 1.02], tickformat: "d", ...(last > 10 ? {} : { dtick: 1 }) },
      yaxis: { title: { text: "loss" }, type: positive ? "log" : "linear", nticks: 6 },
    }), CONFIG);
  }

  const PART_COLOURS = { validation: "series-3", test: "accent" };
  const guess = (x, y, dash) => ({ x, y, mode: "lines", type: "scatter", line: { color: colour("strong-line"), width: 1.2, dash }, hoverinfo: "skip", showlegend: false });

  function drawCurves() {
    const parts = Object.entries(drawn.curves);
    const line = (part) => ({ color: colour(PART_COLOURS[part]), width: 2.4 });
    const share = { tickformat: ".0%", range: [-0.015, 1.015], tick0: 0, dtick: 0.25 };
    const dot = (part, x, y) => ({
      x: [x], y: [y], mode: "markers", type: "scatter", showlegend: false, hovertemplate: `${part}, the chosen threshold: %{y:.1%} at %{x:.1%}<extra></extra>`,
      marker: { color: colour(PART_COLOURS[part]), size: 11, line: { color: colour("page"), width: 2 } },
    });
    const hover = (part, a, b) => `${part}: ${b} %{y:.1%} at ${a} %{x:.1%}<extra></extra>`;
    const frame = { showlegend: true, margin: { l: 56, r: 12, t: 36, b: 44 } };
    Plotly.react("roc", [
      guess([0, 1], [0, 1], "solid"),
      ...parts.map(([part, c]) => ({ x: c.false_positive_rate, y: c.roc_recall, name: part, type: "scatter", mode: "lines", line: line(part), hovertemplate: hover(part, "false positives", "recall") })),
      ...parts.map(([part, c]) => dot(part, c.chosen.false_positive_rate, c.chosen.recall)),
    ], layout({ ...frame, xaxis: { ...share, title: { text: "false positives" } }, yaxis: { ...share, title: { text: "recall" } } }), CONFIG);
    // Steps, as the average precision adds them up.
    Plotly.react("pr", [
      ...parts.map(([part, c]) => guess([0, 1], [c.base_rate, c.base_rate], "dot")),
      ...parts.map(([part, c]) => ({ x: c.recall, y: c.precision, name: part, type: "scatter", mode: "lines", line: { ...line(part), shape: "vh" }, hovertemplate: hover(part, "recall", "precision") })),
      ...parts.filter(([, c]) => c.chosen.precision !== null).map(([part, c]) => dot(part, c.chosen.recall, c.chosen.precision)),
    ], layout({ ...frame, xaxis: { ...share, title: { text: "recall" } }, yaxis: { ...share, title: { text: "precision" } } }), CONFIG);
  }

  function drawReliability() {
    // The highest first: the legend shows the mark of the first, and a hollow one would be odd.
    const parts = Object.entries(drawn.reliability.parts).map(([part, { bins }]) => [part, [...bins].reverse()]);
    const positive = parts.flatMap(([, bins]) => bins.flatMap((b) => [b.predicted, b.observed_low])).filter((v) => v > 0);
    // A share of 0 has no place on a logarithmic axis, and stands at its lower end.
    const low = Math.min(0.01, ...positive) / 1.5, shown = (v) => Math.max(v, low);
    const axis = { type: "log", range: [Math.log10(low / 1.1), Math.log10(1.1)], tickformat: "~%", dtick: 1 };
    const traces = parts.map(([part, bins]) => ({
      cliponaxis: false, x: bins.map((b) => shown(b.predicted)), y: bins.map((b) => shown(b.observed)), name: part, type: "scatter", mode: "markers",
      marker: { color: colour(PART_COLOURS[part]), size: 9, symbol: bins.map((b) => b.frauds ? "circle" : "circle-open") },
      error_y: {
        type: "data", symmetric: false, color: colour(PART_COLOURS[part]), thickness: 1.4, width: 3,
        array: bins.map((b) => b.observed_high - shown(b.observed)), arrayminus: bins.map((b) => shown(b.observed) - shown(b.observed_low)),
      },
      customdata: bins.map((b) => [b.rows, b.predicted, b.observed, b.observed_low, b.observed_high].map((v, n) => n ? `${Number((100 * v).toPrecision(3))}\u00a0%` : count(v))),
      hovertemplate: `${part}, %{customdata[0]} transactions<br>predicted %{customdata[1]}, fraud %{customdata[2]} (%{customdata[3]} to %{customdata[4]})<extra></extra>`,
    }));
    Plotly.react("reliable", [guess([low, 1], [low, 1], "solid"), ...traces], layout({
      showlegend: true, margin: { l: 56, r: 12, t: 36, b: 44 },
      xaxis: { ...axis, title: { text: "mean predicted probability" } }, yaxis: { ...axis, title: { text: "share that was fraud" } },
    }), CONFIG);
  }

  function drawHistogram() {
    const { edges, log, shares } = explorer.histogram;
    const style = { normal: "accent", fraud: "fraud", "not labelled": "accent" };
    const faded = (name) => colour(name) + "2e";
    const traces = Object.entries(shares).map(([kind, heights]) => ({
      x: edges, y: [...heights, heights.at(-1)], type: "scatter", mode: "lines", name: kind === "normal" ? "honest" : kind,
      line: { shape: "hv", color: colour(style[kind]), width: 1.6 }, fill: "tozeroy", fillcolor: faded(style[kind]),
      hovertemplate: `%{y:.1%} of the ${kind === "normal" ? "honest" : kind} rows<extra></extra>`,
    }));
    const top = Math.max(...Object.values(shares).flat());
    const at = explorer.thresholds[by("threshold").value];
    traces.push({ x: [at, at], y: [0, top * 1.05], type: "scatter", mode: "lines", name: "threshold", line: { color: colour("text"), width: 1.8 }, hoverinfo: "skip" });
    Plotly.react("histogram", traces, layout({
      showlegend: true, margin: { l: 48, r: 12, t: 30, b: 40 },
      xaxis: { title: { text: log ? "score, logarithmic" : "score" }, type: log ? "log" : "linear", showgrid: false, ...(log && edges.at(-1) > 50 * edges[0] ? { dtick: 1 } : {}) },
      yaxis: { tickformat: ".0%", nticks: 4, rangemode: "tozero" },
    }), CONFIG);
  }

  // In the order in which the page shows them, but the one that needs WebGL last: without a
  // graphics card it takes longer than all others.
  const CHARTS = [
    ["heat", drawHeat], ["losses", drawLosses], ["roc", drawCurves], ["reliable", drawReliability], ["histogram", drawHistogram],
    ["parallel", drawParallel],
  ].filter(([id]) => by(id));

  // A page that is busy or in the background is never idle, and is drawn all the same.
  const idle = () => new Promise((done) => {
    if ("requestIdleCallback" in window) requestIdleCallback(done, { timeout: 150 });
    else setTimeout(done, 0);
  });

  // Paper has another width than the screen: the style sheet scales a chart by the size it has.
  function measured(chart) {
    const size = chart._fullLayout;
    if (!size) return;
    chart.style.setProperty("--drawn-width", size.width);
    chart.style.setProperty("--drawn-height", size.height);
  }

  const onPaper = matchMedia("print");
  let fitting;
  function fitSoon() {
    clearTimeout(fitting);
    fitting = setTimeout(() => {
      if (onPaper.matches) return;
      document.querySelectorAll(".js-plotly-plot").forEach((chart) => Plotly.Plots.resize(chart));
    }, 100);
  }
  window.addEventListener("resize", fitSoon);
  onPaper.addEventListener("change", fitSoon);

  let round = 0;
  // Nothing waits for being scrolled to, as a screenshot, an archive and a printer never scroll.
  async function drawAll() {
    if (!window.Plotly) return;
    const current = round += 1;
    const theme = isDark() ? "dark" : "light";
    delete root.dataset.drawn;
    for (const [id, draw] of CHARTS) {
      // One after another, so that the page can be scrolled meanwhile.
      await idle();
      // The theme was switched meanwhile, and that draws all of them itself.
      if (current !== round) return;
      try {
        draw();
      } catch (error) {
        // The others are drawn all the same.
        by(id).textContent = "This chart could not be drawn.";
        reportError(error);
      }
    }
    for (const chart of document.querySelectorAll(".js-plotly-plot")) {
      measured(chart);
      if (!chart.dataset.measured) chart.on("plotly_afterplot", () => measured(chart));
      chart.dataset.measured = "yes";
    }
    root.dataset.drawn = theme;
  }

  async function unpack() {
    const packed = atob(by("plotly").textContent.trim());
    const bytes = Uint8Array.from(packed, (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const library = document.createElement("script");
    library.textContent = await new Response(stream).text();
    document.head.append(library);
  }

  function explain(text) {
    for (const chart of document.querySelectorAll(".chart")) chart.textContent = text;
  }

  // A tab in the background is never painted, and may be archived or printed from there.
  const painted = () => new Promise((done) => {
    requestAnimationFrame(() => setTimeout(done, 0));
    setTimeout(done, 250);
  });

  // Text and tables first: the drawing library is unpacked once they are on the screen.
  if (CHARTS.length) {
    if (by("heat")) for (const id of ["heat-x", "heat-y", "heat-of"]) by(id).addEventListener("change", drawHeat);
    painted().then(() => {
      if (!("DecompressionStream" in window)) explain("This browser is too old to draw the charts.");
      else unpack().then(drawAll);
    });
  }
})();
