"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const BOX = { width: 176, height: 40, across: 34, down: 12, margin: 16 };
  const two = data.sides.length > 1;
  let current = null;

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  function drawn(name, attributes = {}, text = null) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== null) made.textContent = text;
    return made;
  }

  const badge = (text, kind = "") => element("span", { class: `badge ${kind}` }, text);
  const flipped = (i) => i.sides.length > 1 && (i.sides[0].passed !== i.sides[1].passed || i.sides[0].grounded !== i.sides[1].grounded);
  const statusOf = (side) => Object.values(side.judges).map((opinion) => opinion.status.label)[0];

  function verdictBadges(side) {
    const badges = [badge(side.passed ? "passed" : "not passed", side.passed ? "good" : "bad")];
    if (side.grounded !== null) badges.push(badge(side.grounded ? "grounded" : "not grounded", side.grounded ? "good" : "bad"));
    for (const [name, opinion] of Object.entries(side.judges)) {
      const label = opinion.status.label ?? "no verdict";
      badges.push(badge(`${name}: ${label}`, { solved: "good", unsolved: "bad" }[label] ?? "warn"));
    }
    return badges;
  }

  /* The list */

  const FILTERS = [
    ["all", "all", () => true],
    ["passed", "passed", (i) => i.sides[0].passed],
    ["failed", "not passed", (i) => !i.sides[0].passed],
    ["grounded", "grounded", (i) => i.sides[0].grounded === true],
    ["ungrounded", "passed, not grounded", (i) => i.sides[0].passed && i.sides[0].grounded === false],
    ["undecided", "without a verdict", (i) => Object.keys(i.sides[0].judges).length > 0 && !statusOf(i.sides[0])],
    ["differ", "searches differ", (i) => Boolean(i.parting)],
    ["flipped", "verdict flipped", flipped],
  ];
  const words = new Map(data.instructions.map((i) => [i.id, [
    i.id, i.query, ...i.sides.flatMap((side) => [side.answer, ...side.tree.map((box) => box.name ?? "")]),
  ].join("\n").toLowerCase()]));

  function matching() {
    const asked = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const keep = FILTERS.find(([name]) => name === byId("filter").value)[2];
    const set = byId("set").value;
    return data.instructions.filter((i) => (!set || i.set === set) && keep(i) && asked.every((word) => words.get(i.id).includes(word)));
  }

  function showList() {
    const found = matching();
    byId("count").textContent = `${found.length} of ${data.instructions.length} instructions`;
    byId("list").replaceChildren(...found.map((i) => {
      const line = element("span", { class: "line" }, element("span", { class: "note" }, i.id), ...verdictBadges(i.sides[0]).slice(0, 2));
      if (flipped(i)) line.append(badge("flipped", "warn"));
      else if (i.parting) line.append(badge("differs"));
      const button = element("button", { type: "button", "data-id": i.id }, line, element("span", { class: "query" }, i.query));
      if (current && current.id === i.id) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => choose(i));
      return element("li", {}, button);
    }));
  }

  function choose(instruction) {
    current = instruction;
    for (const button of byId("list").querySelectorAll("button")) {
      button.toggleAttribute("aria-current", false);
      if (button.dataset.id === instruction.id) button.setAttribute("aria-current", "true");
    }
    const address = `#${encodeURIComponent(instruction.id)}`;
    if (location.hash !== address) history.replaceState(null, "", address);
    showDetail(instruction);
  }

  /* One instruction */

  function showDetail(i) {
    const parts = [
      element("h3", {}, i.id),
      element("p", { class: "query-text" }, i.query),
    ];
    if (i.facts.length) parts.push(element("p", { class: "note" }, `A right answer names: ${i.facts.join("; ")}`));
    if (!i.solvable) parts.push(element("p", { class: "note" }, "No tool on offer can answer this: the right end is to give up."));
    if (i.preference) {
      const winner = { first: data.sides[0], second: data.sides[1], tie: "neither" }[i.preference.winner] ?? "not decided";
      parts.push(element("p", { class: "note" }, `Better: ${winner} (${i.preference.rule}${i.preference.swayed ? "; the judge only liked a place" : ""})`));
    }
    if (i.parting) {
      const p = i.parting;
      parts.push(element("p", { class: "parting-note" }, `The searches part at step ${p.step} (${p.where}), ${p.why}: `,
        element("code", {}, shorten(p.before, 160)), " | ", element("code", {}, shorten(p.after, 160))));
    } else if (i.sides.length > 1) parts.push(element("p", { class: "note" }, "The two searches are the same."));
    else if (two) parts.push(element("p", { class: "note" }, "The other run does not have this instruction."));
    const sides = element("div", { class: i.sides.length > 1 ? "sides two" : "sides" });
    i.sides.forEach((side, number) => sides.append(showSide(side, number, i)));
    parts.push(sides);
    byId("detail").replaceChildren(...parts);
  }

  function showSide(side, number, instruction) {
    const calls = Object.values(side.calls).reduce((sum, count) => sum + count, 0);
    const place = element("div", { class: "node", "aria-live": "polite" });
    const parts = [
      two ? element("h3", {}, data.sides[number]) : null,
      element("div", { class: "badges" }, ...verdictBadges(side),
        badge(`${calls} API calls`), badge(`${side.modelCalls} model calls`),
        side.tokens ? badge(`${side.tokens.toLocaleString("en")} tokens`) : null),
      side.missing.length ? element("p", { class: "note" }, `Not grounded: ${side.missing.join("; ")}`) : null,
      side.answer ? element("blockquote", { class: "answer" }, side.answer) : element("p", { class: "note" }, "No final answer."),
      ...Object.entries(side.judges).map(([name, opinion]) => votes(name, opinion)),
      ...searchOf(side, place, instruction.parting),
      place,
    ];
    return element("section", { "aria-label": data.sides[number] }, ...parts.filter(Boolean));
  }

  function searchOf(side, place, parting) {
    const frame = tree(side.tree, place, parting);
    if (!frame) return [];
    const fit = element("button", { type: "button", "aria-pressed": "false" }, "Whole tree");
    fit.addEventListener("click", () => fit.setAttribute("aria-pressed", String(frame.classList.toggle("fit"))));
    return [element("div", { class: "bar" }, legend(side), fit), frame];
  }

  function votes(name, opinion) {
    const list = element("ul");
    for (const [question, poll] of Object.entries(opinion)) {
      poll.votes.forEach((vote, number) => list.append(element("li", {},
        `${question}, vote ${number + 1}: ${vote.fault ? `no verdict (${vote.fault})` : vote.label}. ${vote.reason}`)));
    }
    return element("details", { class: "note" }, element("summary", {}, `Votes of ${name}`), list);
  }

  function legend(side) {
    const seen = [...new Set(side.tree.map((box) => box.provenance).filter(Boolean))].sort();
    return element("p", { class: "legend note" },
      ...seen.map((name) => element("span", {}, element("i", { class: `source-${name}` }), name)),
      element("span", { class: "legend-keys" }, `${side.tree.length} thoughts and calls. Choose one by click, or with the arrow keys.`));
  }

  /* The tree */

  function kindOf(box) {
    if (box.code === 3) return "good";
    if (box.code === 4) return "warn";
    if (box.code) return "bad";
    return "";
  }

  function codeText(box) {
    return box.code === undefined ? "" : `${box.code} ${data.codes[box.code] ?? ""}`.trim();
  }

  const shorten = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}\u2026` : text);

  function places(boxes) {
    const children = boxes.map(() => []);
    const roots = [];
    boxes.forEach((box, number) => (box.parent < 0 ? roots : children[box.parent]).push(number));
    const depth = boxes.map(() => 0);
    boxes.forEach((box, number) => { if (box.parent >= 0) depth[number] = depth[box.parent] + 1; });
    const row = boxes.map(() => 0);
    let rows = 0;
    const leaves = (number) => { if (!children[number].length) row[number] = rows++; };
    const walk = [...roots].reverse();
    while (walk.length) {
      const number = walk.pop();
      leaves(number);
      walk.push(...[...children[number]].reverse());
    }
    for (let number = boxes.length - 1; number >= 0; number--) {
      if (children[number].length) row[number] = row[children[number][0]];
    }
    return { children, roots, depth, row, rows };
  }

  function tree(boxes, place, parting) {
    if (!boxes.length) {
      place.replaceChildren(element("p", { class: "note" }, "This search made no step."));
      return null;
    }
    const at = places(boxes);
    const x = (n) => BOX.margin + at.depth[n] * (BOX.width + BOX.across);
    const y = (n) => BOX.margin + at.row[n] * (BOX.height + BOX.down);
    const width = 2 * BOX.margin + (Math.max(...at.depth) + 1) * (BOX.width + BOX.across) - BOX.across;
    const height = 2 * BOX.margin + at.rows * (BOX.height + BOX.down) - BOX.down;
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "tree", "aria-label": "Search tree" });
    const edges = boxes.map((_, n) => n).sort((a, b) => boxes[a].shown - boxes[b].shown);
    edges.forEach((n) => {
      const box = boxes[n];
      if (box.parent < 0) return;
      const from = [x(box.parent) + BOX.width, y(box.parent) + BOX.height / 2];
      const to = [x(n), y(n) + BOX.height / 2];
      const middle = to[0] - BOX.across / 2;
      svg.append(drawn("path", { class: box.shown ? "edge shown" : "edge", d: `M${from[0]} ${from[1]} H${middle} V${to[1]} H${to[0]}` }));
    });
    const groups = boxes.map((box, n) => {
      const group = group1(box, x(n), y(n), parting);
      group.setAttribute("aria-level", at.depth[n] + 1);
      group.addEventListener("click", () => select(n));
      group.addEventListener("focus", () => select(n));
      svg.append(group);
      return group;
    });

    function select(n) {
      groups.forEach((group, number) => {
        group.setAttribute("tabindex", number === n ? "0" : "-1");
        group.setAttribute("aria-selected", String(number === n));
      });
      showNode(boxes[n], place);
    }

    function neighbour(n, key) {
      if (key === "ArrowLeft") return boxes[n].parent;
      if (key === "ArrowRight") return at.children[n][0] ?? -1;
      if (key === "Home") return 0;
      if (key === "End") return boxes.length - 1;
      const step = key === "ArrowDown" ? 1 : key === "ArrowUp" ? -1 : 0;
      const column = boxes.map((_, m) => m).filter((m) => at.depth[m] === at.depth[n]);
      return step ? column[column.indexOf(n) + step] ?? -1 : -1;
    }

    svg.addEventListener("keydown", (event) => {
      const n = groups.indexOf(document.activeElement);
      if (n < 0) return;
      const next = neighbour(n, event.key);
      if (next >= 0) {
        groups[next].focus();
        groups[next].scrollIntoView({ block: "nearest", inline: "nearest" });
      }
      if (next >= 0 || event.key.startsWith("Arrow")) event.preventDefault();
    });
    const parted = parting ? boxes.findIndex((box) => within(box, parting.step)) : -1;
    const last = boxes.reduce((found, box, n) => (box.shown ? n : found), -1);
    const first = parted >= 0 ? parted : parting ? boxes.length - 1 : last >= 0 ? last : 0;
    select(first);
    const frame = element("div", { class: "tree" }, svg);
    requestAnimationFrame(() => {
      frame.scrollTo(x(first) - (frame.clientWidth - BOX.width) / 2, y(first) - (frame.clientHeight - BOX.height) / 2);
    });
    return frame;
  }

  const within = (box, step) => box.steps[0] <= step && step <= box.steps[1];

  function group1(box, x, y, parting) {
    const isParting = parting && within(box, parting.step);
    const classes = ["box", box.kind, kindOf(box), box.shown ? "shown" : "", isParting ? "parting" : ""];
    const label = box.kind === "thought" ? "thought" : box.name ?? "call";
    const brief = label.replace(/_for_.*/, "");
    const second = box.kind === "thought" ? box.text : box.code === 0 || box.code === undefined ? box.text : codeText(box);
    const group = drawn("g", {
      class: classes.filter(Boolean).join(" "), role: "treeitem", tabindex: "-1", transform: `translate(${x} ${y})`,
      "aria-label": `${label} ${codeText(box)} ${box.provenance ?? ""}`.trim(),
    });
    if (isParting) group.append(drawn("rect", { class: "ring", x: -5, y: -5, width: BOX.width + 10, height: BOX.height + 10, rx: 9 }));
    group.append(drawn("rect", { class: "body", width: BOX.width, height: BOX.height, rx: 6 }));
    const mark = { good: "\u2713 ", warn: "\u21a9 ", bad: "\u2717 " }[kindOf(box)] ?? "";
    group.append(drawn("text", { x: 9, y: 16 }, shorten(mark + brief, box.provenance ? 21 : 24)));
    group.append(drawn("text", { class: "second", x: 9, y: 31 }, shorten(second.replace(/\s+/g, " "), 27)));
    if (box.provenance) group.append(drawn("circle", { class: `source-${box.provenance}`, cx: BOX.width - 11, cy: 12, r: 4.5 }));
    group.append(drawn("title", {}, `${label}\n${shorten(box.text, 300)}`));
    return group;
  }

  function showNode(box, place) {
    const facts = element("dl");
    const fact = (name, value) => { if (value) facts.append(element("dt", {}, name), element("dd", {}, value)); };
    fact("Code", codeText(box));
    fact("Answered from", box.provenance);
    fact("Pruned", box.pruned ? "yes" : "");
    fact("Step", box.steps[0] === box.steps[1] ? `${box.steps[0]}` : `${box.steps[0]} to ${box.steps[1]}`);
    const parts = [element("h3", {}, box.kind === "thought" ? "Thought" : `Call of ${box.name ?? "?"}`), facts];
    if (box.kind === "thought") parts.push(element("pre", {}, box.text || "(said nothing)"));
    else {
      parts.push(element("p", { class: "note" }, "Arguments"), element("pre", {}, pretty(box.text)));
      parts.push(element("p", { class: "note" }, "Observation"), element("pre", {}, pretty(box.observation ?? "(nothing)")));
    }
    place.replaceChildren(...parts);
  }

  function pretty(text) {
    try {
      const value = JSON.parse(text);
      return typeof value === "object" ? JSON.stringify(value, null, 2) : text;
    } catch { return text; }
  }

  /* Start */

  for (const [name, title, keep] of FILTERS) {
    const count = data.instructions.filter(keep).length;
    if (name === "all" || count) byId("filter").append(element("option", { value: name }, `${title} (${count})`));
  }
  byId("set").append(element("option", { value: "" }, "all sets"));
  for (const set of new Set(data.instructions.map((i) => i.set))) byId("set").append(element("option", { value: set }, set));
  byId("find").addEventListener("input", showList);
  for (const id of ["filter", "set"]) byId(id).addEventListener("change", showList);
  byId("list").addEventListener("keydown", (event) => {
    const buttons = [...byId("list").querySelectorAll("button")];
    const next = buttons[buttons.indexOf(document.activeElement) + ({ ArrowDown: 1, ArrowUp: -1 }[event.key] ?? 0)];
    if (next && next !== document.activeElement) { next.focus(); event.preventDefault(); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      byId("find").focus();
    }
  });
  const theme = byId("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  const asked = () => data.instructions.find((i) => `#${encodeURIComponent(i.id)}` === location.hash);
  window.addEventListener("hashchange", () => { const i = asked(); if (i) choose(i); });
  showList();
  if (data.instructions.length) choose(asked() ?? data.instructions[0]);
})();
