// Shows openapi.json.

import { element, json, mark, pretty } from "./api.js";

const described = await json("openapi.json");
const main = document.getElementById("main");

function resolve(schema) {
  if (Array.isArray(schema)) return schema.map(resolve);
  if (schema === null || typeof schema !== "object") return schema;
  if (schema.$ref) return resolve(schema.$ref.slice(2).split("/").reduce((at, name) => at[name], described));
  return Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, resolve(value)]));
}

function media(title, content) {
  return Object.entries(content || {}).flatMap(([type, { schema, example }]) => [
    element("h3", {}, `${title}, ${type}`),
    ...(example ? [element("pre", {}, pretty(example))] : []),
    ...(schema ? [element("pre", {}, pretty(resolve(schema)))] : []),
  ]);
}

function parameters(operation) {
  if (!operation.parameters) return [];
  const rows = operation.parameters.map((parameter) => element("tr", {},
    element("td", { class: "code" }, parameter.name), element("td", {}, parameter.in),
    element("td", {}, parameter.description || "")));
  return [element("h3", {}, "Parameters"), element("table", {}, element("tbody", {}, ...rows))];
}

main.append(element("h2", {}, described.info.title), element("p", {}, described.info.description));
for (const [path, operations] of Object.entries(described.paths)) {
  for (const [method, operation] of Object.entries(operations)) {
    main.append(element("details", { class: "api" },
      element("summary", {}, mark("method", method.toUpperCase()), element("b", {}, path),
        element("span", { class: "count" }, operation.summary)),
      element("div", {}, element("p", {}, operation.description || ""), ...parameters(operation),
        ...media("Request", operation.requestBody?.content),
        ...Object.entries(operation.responses).flatMap(([status, response]) => [
          element("h3", {}, `${status}: ${response.description}`), ...media("Answer", response.content)]))));
  }
}
