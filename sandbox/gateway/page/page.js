// The page that shows a world: its tools, what is recorded of them, and a form to try a call.

import { ask, brief, element, json, mark, pretty } from "./api.js";

const PAGE = 50;
const CALLS = 20;
const byId = (id) => document.getElementById(id);
let shown = 0;

async function listTools(more = false) {
  const query = new URLSearchParams({
    q: byId("query").value, category: byId("category").value, limit: PAGE, offset: more ? shown : 0,
  });
  const list = await json(`catalogue?${query}`);
  if (!more) byId("tools").replaceChildren();
  for (const tool of list.tools) byId("tools").append(toolLink(tool));
  shown = list.offset + list.tools.length;
  byId("found").textContent = `${list.total} tool${list.total === 1 ? "" : "s"}`;
  byId("more").hidden = shown >= list.total;
  byId("world").textContent = list.world;
  document.title = `${list.world} - toolreplay`;
  if (byId("category").options.length === 1) {
    for (const name of list.categories) byId("category").append(element("option", { value: name }, name));
  }
  markCurrent();
}

function toolLink(tool) {
  const about = element("small", {}, element("span", {}, tool.category), `${tool.recorded} recorded`);
  const link = element("a", { href: tool.path.replace("/catalogue", "#") }, tool.tool, about);
  return element("li", {}, link);
}

function markCurrent() {
  const here = location.hash.split("/").slice(0, 3).join("/");
  for (const link of byId("tools").querySelectorAll("a")) {
    if (link.getAttribute("href") === here) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest" });
    } else link.removeAttribute("aria-current");
  }
}

async function showTool() {
  markCurrent();
  const [, category, name, api] = location.hash.split("/");
  const main = byId("main");
  if (location.hash === "#statistics") {
    main.replaceChildren(element("h2", {}, "Statistics"), await statisticsTable());
    return;
  }
  if (!category) {
    main.replaceChildren(element("p", { class: "faint" }, "Choose a tool on the left."));
    return;
  }
  try {
    const tool = await json(`catalogue/${category}/${name}`);
    main.replaceChildren(
      element("h2", {}, tool.tool),
      element("p", {}, `${tool.category}${tool.host ? ` \u00b7 ${tool.host}` : ""}`),
      element("p", {}, tool.description),
      ...tool.apis.map((entry) => apiBox(tool, entry, tool.apis.length === 1 || entry.path.endsWith(`/${api}`))),
    );
  } catch (error) {
    main.replaceChildren(element("p", { role: "alert" }, error.message));
  }
}

function apiBox(tool, entry, open) {
  const { document: api } = entry;
  const inside = element("div");
  const box = element("details", { class: "api", open, "data-api": entry.api },
    element("summary", {}, mark("method", api.method || "GET"), element("b", {}, entry.api),
      element("span", { class: "count" }, `${entry.recorded} recorded`)), inside);
  const fill = () => {
    if (!box.open || inside.childElementCount) return;
    const form = tryForm(tool, entry);
    inside.append(
      element("p", {}, api.description || ""),
      api.url ? element("code", { class: "url" }, api.url) : "",
      element("h3", {}, "Try a call"), form.box,
      element("h3", {}, "Recorded calls"), recordedCalls(entry, form.use),
    );
  };
  box.addEventListener("toggle", fill);
  fill();
  return box;
}

function tryForm(tool, entry) {
  const required = entry.document.required_parameters || [];
  const optional = entry.document.optional_parameters || [];
  const fields = new Map();
  const row = (parameter, needed) => {
    const input = element("input", {
      id: `${entry.path}/${parameter.name}`, name: parameter.name, autocomplete: "off",
      value: needed ? pretty(parameter.default ?? "") : "",
      placeholder: needed ? "" : pretty(parameter.default ?? ""),
    });
    fields.set(parameter.name, input);
    return [
      element("label", { for: input.id }, parameter.name, needed ? element("i", {}, " *") : ""),
      input,
      element("span", { class: "faint" }, `${parameter.type || ""} ${parameter.description || ""}`),
    ];
  };
  const rows = [...required.flatMap((p) => row(p, true)), ...optional.flatMap((p) => row(p, false))];
  const answer = element("div", { "aria-live": "polite" });
  const send = async (event) => {
    event.preventDefault();
    const given = [...fields].filter(([, input]) => input.value !== "");
    answer.replaceChildren(await tried(tool, entry, Object.fromEntries(given.map(([n, i]) => [n, read(i.value)]))));
    showCounts();
  };
  const buttons = element("span", { class: "buttons" }, element("button", { class: "main" }, "Call"));
  const form = element("form", { class: "try", onsubmit: send }, ...rows, buttons);
  const use = (call) => {
    for (const input of fields.values()) input.value = "";
    for (const [name, value] of Object.entries(call)) {
      const known = [...fields.keys()].find((field) => standard(field) === standard(name));
      if (!known) buttons.before(...row({ name }, false));
      fields.get(known || name).value = pretty(value ?? "");
    }
    answer.replaceChildren();
    form.querySelector("button").focus();
    form.scrollIntoView({ block: "center" });
  };
  return { box: element("div", {}, form, answer), use };
}

const standard = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "").replace(/^is_/, "");

// Lists and objects are written as JSON; all other values go as the texts that they are.
function read(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" ? value : text;
  } catch {
    return text;
  }
}

async function tried(tool, entry, input) {
  const body = { category: tool.category, tool_name: tool.tool, api_name: entry.api, tool_input: input,
    strip: "", toolbench_key: "" };
  const started = performance.now();
  try {
    const response = await ask("virtual", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    const content = await response.json();
    const took = `${(performance.now() - started).toFixed(1)} ms`;
    const from = response.headers.get("x-toolreplay-provenance") || `HTTP ${response.status}`;
    return element("div", { class: "answer" },
      element("div", { class: "row" }, mark(from), content.error ? mark("error") : "",
        element("span", { class: "faint" }, took)),
      content.error ? element("pre", {}, content.error) : "",
      content.error && content.response === "" ? "" : element("pre", {}, pretty(content.response ?? content)));
  } catch (error) {
    return element("p", { role: "alert" }, error.message);
  }
}

function recordedCalls(entry, use) {
  const rows = element("tbody");
  const more = element("button", { type: "button", hidden: true }, "More calls");
  const box = element("div", {});
  if (!entry.recorded) return element("p", { class: "faint" }, "None.");
  const load = async () => {
    const query = new URLSearchParams({ offset: rows.childElementCount, limit: CALLS });
    const page = await json(`${entry.path.slice(1)}?${query}`);
    rows.append(...page.calls.map((call) => callRow(call, use)));
    more.hidden = rows.childElementCount >= page.total;
  };
  more.addEventListener("click", load);
  const headings = ["Arguments", "From", "Answer", ""].map((text) => element("th", {}, text));
  box.append(element("table", {}, element("thead", {}, element("tr", {}, ...headings)), rows), more);
  load().catch((error) => box.replaceChildren(element("p", { role: "alert" }, error.message)));
  return box;
}

function callRow(call, use) {
  const answer = call.error || brief(call.response);
  const line = answer.length > 90 ? `${answer.slice(0, 90)}\u2026` : answer;
  const from = call.instruction == null ? call.provenance : `${call.provenance}, instruction ${call.instruction}`;
  const asked = call.http.uri ? `${call.http.method} ${call.http.uri} \u2192 ${call.http.status}\n\n` : "";
  return element("tr", {},
    element("td", { class: "code" }, brief(call.arguments)),
    element("td", {}, mark(call.provenance, from)),
    element("td", { class: "code" }, element("details", {}, element("summary", {}, line),
      element("pre", {}, asked + pretty(call.response === "" ? call.error : call.response)))),
    element("td", {}, typeof call.arguments === "object"
      && element("button", { type: "button", onclick: () => use(call.arguments) }, "Use")));
}

async function statisticsTable() {
  const { calls, seconds } = await json("statistics");
  const row = (name) => element("tr", {}, element("td", {}, mark(name)), element("td", {}, `${calls[name]}`),
    ...["p50", "p99"].map((share) => element("td", {}, seconds[name] ? `at most ${seconds[name][share]} s` : "")));
  const headings = ["Answers", "Count", "Half of them took", "99 of 100 took"];
  return element("table", {}, element("thead", {}, element("tr", {}, ...headings.map((h) => element("th", {}, h)))),
    element("tbody", {}, ...Object.keys(calls).map(row)));
}

async function showCounts() {
  const { calls } = await json("statistics");
  const told = Object.entries(calls).filter(([, count]) => count).map(([name, count]) => `${count} ${name}`);
  byId("counts").textContent = told.length ? `Answered: ${told.join(", ")}` : "";
}

function onKey(event) {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    byId("query").focus();
  }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const links = [...byId("tools").querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  if (at < 0 && event.target !== byId("query")) return;
  event.preventDefault();
  const next = at + (event.key === "ArrowDown" ? 1 : -1);
  (links[next] || (next < 0 ? byId("query") : links[at])).focus();
}

let waiting = 0;
byId("query").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(listTools, 120);
});
byId("category").addEventListener("change", () => listTools());
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("tools").querySelector("a")?.click();
});
byId("more").addEventListener("click", () => listTools(true));
addEventListener("hashchange", showTool);
addEventListener("keydown", onKey);
listTools().catch((error) => { byId("found").textContent = error.message; });
showTool();
showCounts();
