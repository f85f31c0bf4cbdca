// The page /docs: shows openapi.json, which this server made from its own types.

import { element, part } from "./element.js";
import { sample } from "./docs-sample.js";
import { marked, schemaView } from "./docs-schema.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

async function show() {
  const list = part(document, ".docs-list");
  const main = part(document, ".docs-operations");
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  const api = await answer.json();
  part(document, ".docs-intro").replaceChildren(...marked(`${api.info.description} Version ${api.info.version}.`));
  const operations = listed(api);
  main.replaceChildren();
  for (const { name } of api.tags) {
    const ours = operations.filter((operation) => operation.tags[0] === name);
    const entries = ours.map((operation) => element("li", {}, link(operation)));
    list.append(element("h2", {}, name), element("ul", {}, ...entries));
    main.append(element("h2", { class: "docs-tag" }, name), ...ours.map((operation) => section(operation, api)));
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function listed(api) {
  return Object.entries(api.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]).map((method) => ({ ...methods[method], path, method })),
  );
}

function link({ operationId, method, path }) {
  return element("a", { href: `#${operationId}` }, verb(method), " ", element("code", {}, path));
}

function verb(method) {
  return element("span", { class: "verb", "data-verb": method }, method.toUpperCase());
}

function section(operation, api) {
  const { operationId, method, path, summary, description, parameters = [], requestBody, responses } = operation;
  return element(
    "section",
    { class: "operation", id: operationId, "aria-label": `${method.toUpperCase()} ${path}` },
    element("h3", {}, verb(method), " ", element("code", {}, path)),
    element("p", { class: "summary" }, summary, needsLogin(operation) ? "" : " · no login needed"),
    ...paragraphs(description),
    ...(parameters.length ? [element("h4", {}, "Parameters"), parameterTable(parameters)] : []),
    ...(requestBody ? [element("h4", {}, "Body"), ...contents(requestBody.content, api)] : []),
    element("h4", {}, "Answers"),
    ...Object.entries(responses).map(([status, response]) => responseView(status, response, api)),
    element("h4", {}, "With curl"),
    element("pre", { tabindex: "0" }, element("code", {}, sample(operation, location.origin))),
  );
}

function needsLogin({ security }) {
  return security === undefined || security.length > 0;
}

function parameterTable(parameters) {
  const rows = parameters.map(({ name, in: where, description, required, schema }) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, element("code", {}, name)),
      element("td", {}, where + (required ? ", required" : "")),
      element("td", {}, ...schemaView(schema, {})),
      element("td", {}, ...marked(description)),
    ),
  );
  const heads = ["Name", "Where", "Value", "Meaning"].map((head) => element("th", { scope: "col" }, head));
  const table = element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...rows),
  );
  return element("div", { class: "docs-scroll", tabindex: "0" }, table);
}

function responseView(status, { description, content = {} }, api) {
  const good = status < 400;
  const summary = element(
    "summary",
    { "data-tone": good ? "active" : "warn" },
    element("b", {}, status),
    " ",
    ...marked(good ? description : reasons(description)),
  );
  if (!good || !Object.keys(content).length) return element("p", { class: "answer" }, ...summary.childNodes);
  return element("details", { class: "answer" }, summary, ...contents(content, api));
}

/** Refusals by their codes alone: the sentences stand in openapi.json. */
function reasons(description) {
  return [...description.matchAll(/`[a-z_0-9]+`/g)].map(([code]) => code).join(", ") || description;
}

function contents(content, api) {
  return Object.entries(content).map(([media, { schema, example }]) =>
    element(
      "div",
      { class: "content" },
      element("p", { class: "hint" }, element("code", {}, media)),
      ...schemaView(schema, api.components.schemas),
      ...(example === undefined
        ? []
        : [element("pre", { tabindex: "0" }, element("code", {}, JSON.stringify(example, null, 2)))]),
    ),
  );
}

function paragraphs(text = "") {
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => element("p", {}, ...marked(line)));
}

show().catch((error) => {
  const problem = element("p", { role: "alert", "data-tone": "bad" }, `The document could not be shown: ${error.message}`);
  part(document, ".docs-operations").replaceChildren(problem);
});
