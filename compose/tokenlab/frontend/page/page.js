const POLL = 2_000; // milliseconds between two questions for the API's version
const KEPT = 40; // answers shown
const PALETTE = [ // a release's colour, in light and in dark surroundings
  ["#2563eb", "#6b9dff"], ["#c2410c", "#fb9a5b"], ["#0b8a64", "#3ed0a0"], ["#a16207", "#e3be4b"],
  ["#7c3aed", "#ab8dff"], ["#0e7490", "#4fc6e0"], ["#be2370", "#f585bb"],
];

const find = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
const pageVersion = document.querySelector("meta[name=version]").content.replace(/^@.*@$/, "dev");
const millions = (tokens) => `${Math.round(tokens / 1e6).toLocaleString("en")} M`;
const plural = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
const span = (months) => (months % 12 ? plural(months, "month") : plural(months / 12, "year"));

function colour(version) {
  let hash = 0;
  for (const letter of version) hash = (hash * 31 + letter.charCodeAt(0)) % PALETTE.length;
  return PALETTE[hash][dark.matches ? 1 : 0];
}

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function dot(version) {
  const node = element("i", { class: "dot" });
  if (version) node.style.background = colour(version);
  return node;
}

async function get(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`.trim());
  return response.json();
}

/* Asks again and again while the page is seen, however long an answer takes. */
function every(milliseconds, ask) {
  const round = async () => {
    if (!document.hidden) await ask();
    setTimeout(round, milliseconds);
  };
  round();
}

/* The chart */

const chart = find("chart");
const controls = find("controls");
const SVG = "http://www.w3.org/2000/svg";
let outlook = null;
let chosen = null; // the month that is read off, or null for the last
let asked = 0;

async function simulate() {
  const turn = ++asked;
  if (!controls.reportValidity()) return;
  chart.classList.add("waiting");
  try {
    const answer = await get(`/api/v1/simulate?${new URLSearchParams(new FormData(controls))}`);
    if (turn !== asked) return;
    outlook = answer;
    chosen = null;
    draw();
    describe();
  } catch (error) {
    if (turn !== asked) return;
    chart.querySelector(".failure")?.remove();
    const text = `No simulation from the API: ${error.message}. Trying again.`;
    chart.append(element("p", { class: "failure", role: "alert" }, text));
    setTimeout(() => turn === asked && simulate(), 3_000);
  } finally {
    if (turn === asked) chart.classList.remove("waiting");
  }
}

function draw() {
  if (!outlook) return;
  const width = chart.clientWidth;
  const height = Math.max(240, Math.min(400, width * 0.48));
  const inner = { left: 62, right: width - 14, top: 12, bottom: height - 28 };
  const { months, supply, unlocked } = outlook;
  const step = niceStep(unlocked.at(-1), 5);
  const top = Math.ceil(unlocked.at(-1) / step) * step;
  const x = (month) => inner.left + (month / months) * (inner.right - inner.left);
  const y = (tokens) => inner.bottom - (tokens / top) * (inner.bottom - inner.top);
  const line = (values) => values.map((value, month) => `${x(month).toFixed(1)},${y(value).toFixed(1)}`);
  const path = (values) => `M${line(values).join("L")}`;
  const band = (low, high) => `M${[...line(high), ...line(low).reverse()].join("L")}Z`;

  const parts = [];
  for (let tokens = 0; tokens <= top; tokens += step) {
    parts.push(`<line class="${tokens ? "grid" : "axis"}" x1="${inner.left}" x2="${inner.right}" y1="${y(tokens)}" y2="${y(tokens)}"/>`);
    parts.push(`<text x="${inner.left - 8}" y="${y(tokens) + 4}" text-anchor="end">${tokens ? millions(tokens) : "0"}</text>`);
  }
  const tick = (months <= 24 ? 6 : months <= 72 ? 12 : 24) * (width < 420 && months > 24 ? 2 : 1);
  for (let month = 0; month <= months; month += tick) {
    const label = month === 0 ? "now" : month % 12 ? `${month} mo` : `${month / 12} y`;
    const anchor = month === months ? "end" : "middle";
    parts.push(`<text x="${x(month)}" y="${height - 8}" text-anchor="${anchor}">${label}</text>`);
  }
  parts.push(`<path class="most" d="${band(supply.p5, supply.p95)}"/>`);
  parts.push(`<path class="half" d="${band(supply.p25, supply.p75)}"/>`);
  parts.push(`<path class="unlocked" d="${path(unlocked)}"/>`);
  parts.push(`<path class="median" d="${path(supply.p50)}"/>`);
  const at = chosen ?? months;
  if (chosen !== null) parts.push(`<line class="cross" x1="${x(at)}" x2="${x(at)}" y1="${inner.top}" y2="${inner.bottom}"/>`);
  parts.push(`<circle class="mark" cx="${x(at)}" cy="${y(supply.p50[at])}" r="5"/>`);

  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = parts.join("");
  chart.replaceChildren(svg);
  chart.monthAt = (pixels) => Math.round(((pixels - inner.left) / (inner.right - inner.left)) * months);
  read(at);
}

function niceStep(most, steps) {
  const rough = most / steps;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
}

function read(month) {
  const { supply, unlocked, months } = outlook;
  const when = month === 0 ? "Now" : `After ${span(month)}`;
  const median = millions(supply.p50[month]);
  const range = `${millions(supply.p5[month])} and ${millions(supply.p95[month])}`;
  const rest = `, 9 in 10 between ${range}; ${millions(unlocked[month])} unlocked`;
  find("readout").replaceChildren(`${when}: median `, element("strong", {}, median), rest);
  chart.setAttribute("aria-valuemin", 0);
  chart.setAttribute("aria-valuemax", months);
  chart.setAttribute("aria-valuenow", month);
  chart.setAttribute("aria-valuetext", `${when}: median ${median}${rest}`);
}

function choose(month) {
  if (!outlook) return;
  chosen = Math.max(0, Math.min(outlook.months, month));
  draw();
}

function describe() {
  const { supply, months, runs, burned, shrinking, seed, unlocked } = outlook;
  const last = (name) => supply[name].at(-1);
  find("summary").textContent =
    `${plural(runs, "future")} of emissions, vesting, burning and demand, over ${span(months)}. The same seed gives the same futures.`;
  find("tile-median").textContent = millions(last("p50"));
  find("tile-range").textContent = `${millions(last("p5")).replace(" M", "")} – ${millions(last("p95"))}`;
  find("tile-burned").textContent = `${millions(burned)} (${Math.round((100 * burned) / unlocked.at(-1))} %)`;
  find("tile-shrinking").textContent = `${Math.round(100 * shrinking)} %`;
  const rows = unlocked.map((_, month) => {
    const cells = Object.values(supply).map((values) => element("td", {}, (values[month] / 1e6).toFixed(1)));
    return element("tr", {}, element("th", { scope: "row" }, String(month)), ...cells);
  });
  find("table").tBodies[0].replaceChildren(...rows);
  document.title = `tokenlab: seed ${seed}`;
}

controls.addEventListener("change", simulate);
controls.addEventListener("submit", (event) => event.preventDefault());
find("shake").addEventListener("click", () => {
  controls.elements.seed.value = Math.floor(Math.random() * 1_000_000);
  simulate();
});
chart.addEventListener("pointermove", (event) => {
  if (chart.monthAt) choose(chart.monthAt(event.clientX - chart.getBoundingClientRect().left));
});
chart.addEventListener("pointerleave", () => {
  chosen = null;
  draw();
});
chart.addEventListener("keydown", (event) => {
  const now = chosen ?? outlook?.months ?? 0;
  const to = { ArrowLeft: now - 1, ArrowRight: now + 1, ArrowDown: now - 1, ArrowUp: now + 1, PageDown: now - 12, PageUp: now + 12, Home: 0, End: Infinity }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  choose(to);
});
new ResizeObserver(draw).observe(chart);

/* Which release answers */

const answers = [];

async function poll() {
  try {
    answers.push(await get("/api/v1/version"));
  } catch {
    answers.push(null);
  }
  answers.splice(0, answers.length - KEPT);
  showAnswers();
  await compare(answers.at(-1)?.version);
}

function showAnswers() {
  const cells = Array.from({ length: KEPT }, (_, index) => {
    const cell = element("i");
    const answer = answers[index];
    if (answer) cell.style.background = colour(answer.version);
    if (answer === null) cell.className = "failed";
    if (answer !== undefined) cell.title = answer ? `${answer.version}, ${answer.instance}` : "no answer";
    return cell;
  });
  find("strip").replaceChildren(...cells);

  const given = answers.filter(Boolean);
  const facts = [...new Set(given.map((answer) => answer.version))].map((version) => {
    const own = given.filter((answer) => answer.version === version);
    const replicas = new Set(own.map((answer) => answer.instance)).size;
    const text = `${plural(own.length, "answer")} from ${plural(replicas, "replica")}`;
    return element("li", {}, dot(version), element("strong", {}, version), text);
  });
  const failed = answers.filter((answer) => answer === null).length;
  if (failed) facts.push(element("li", {}, element("span", { class: "warn" }, `${plural(failed, "question")} without an answer`)));
  find("strip-legend").replaceChildren(...facts);
  find("strip").setAttribute("aria-label", facts.map((fact) => fact.textContent).join("; "));
}

/* Page and API may differ for a moment around a switch, or on purpose when only one of them was released. */
async function compare(apiVersion) {
  if (!apiVersion) return;
  find("page-version").replaceChildren(dot(pageVersion), pageVersion);
  find("api-version").replaceChildren(dot(apiVersion), apiVersion);
  if (apiVersion !== pageVersion) {
    const served = await get("/version.json").then((page) => page.version, () => pageVersion);
    const newer = served !== pageVersion;
    find("banner-text").textContent = newer
      ? `This page is ${pageVersion}; by now ${served} is served, and the API answers as ${apiVersion}.`
      : `This page is ${pageVersion}, but the API answers as ${apiVersion}: they were released apart.`;
    find("reload").hidden = !newer;
  }
  find("banner").hidden = apiVersion === pageVersion;
}

find("reload").addEventListener("click", () => location.reload());

/* The live connection */

function connect() {
  const address = new URL("/api/v1/live?interval=0.5", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address);
  const opened = new Date();
  const supplies = [];
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.type !== "tick") return;
    if (message.month === 0) supplies.length = 0;
    supplies.push(message.supply);
    find("live-supply").textContent = millions(message.supply);
    find("live-month").textContent = `month ${message.month}, future ${message.future + 1}`;
    find("spark").innerHTML = spark(supplies);
    const since = opened.toLocaleTimeString("en-GB");
    const facts = [dot(message.version), element("strong", {}, message.version), `open since ${since}`];
    find("live-facts").replaceChildren(element("li", {}, ...facts));
  });
  socket.addEventListener("close", () => {
    find("live-facts").replaceChildren(element("li", {}, dot(), "connection ended; opening another"));
    setTimeout(connect, 1_500);
  });
}

function spark(values) {
  const most = Math.max(...values) * 1.05;
  const points = values.map((value, index) => `${((index * 100) / 120).toFixed(2)},${(38 - (36 * value) / most).toFixed(2)}`);
  return `<svg viewBox="0 0 100 40" preserveAspectRatio="none" height="48"><path vector-effect="non-scaling-stroke" d="M${points.join("L")}"/></svg>`;
}

/* The worker */

async function showRecorded() {
  let answer;
  try {
    answer = await get("/api/v1/simulations");
  } catch {
    return;
  }
  find("recorded").textContent = answer.recorded.toLocaleString("en");
  const facts = Object.entries(answer.versions).slice(-3).map(([version, count]) =>
    element("li", {}, dot(version), element("strong", {}, version), `${count.toLocaleString("en")} of them`));
  if (answer.conflicts) facts.push(element("li", {}, element("span", { class: "warn" }, `${answer.conflicts} recorded twice: two workers ran at once`)));
  find("recorded-facts").replaceChildren(...facts);
}

function dress() {
  document.documentElement.style.setProperty("--accent", colour(pageVersion));
  find("page-version").replaceChildren(dot(pageVersion), pageVersion);
  showAnswers();
}

dark.addEventListener("change", dress);
dress();
simulate();
connect();
every(POLL, poll);
every(5_000, showRecorded);
