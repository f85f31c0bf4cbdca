// A JSON Schema as a list of fields, nested ones folded.

import { element } from "./element.js";

/** Text in which `words` between backticks are code. */
export function marked(text = "") {
  return text.split("`").map((piece, index) => (index % 2 ? element("code", {}, piece) : piece));
}

/** Nodes that show `schema`; `named` are the schemas it may refer to, `above` those it stands in. */
export function schemaView(schema, named, above = []) {
  const { name, found } = resolved(schema, named);
  if (above.includes(name)) return [kind(schema, named)];
  const inside = name ? [...above, name] : above;
  const item = found.items && resolved(found.items, named);
  const fields = found.properties ?? item?.found.properties;
  if (!fields) return [kind(schema, named)];
  const required = found.properties ? found.required : item.found.required;
  const rows = Object.entries(fields).map(([field, value]) => row(field, value, required, named, inside));
  return [element("ul", { class: "fields" }, ...rows)];
}

function kind(schema, named) {
  return element("span", { class: "kind" }, kindOf(schema, named));
}

function row(field, value, required = [], named, above) {
  const head = [
    element("code", {}, field),
    " ",
    kind(value, named),
    required.includes(field) ? "" : ", optional",
  ];
  const text = value.description ? [" – ", element("span", { class: "hint" }, ...marked(value.description))] : [];
  const below = nested(value, named);
  if (!below) return element("li", {}, ...head, ...text);
  const inside = schemaView(below, named, above);
  if (inside[0].className === "kind") return element("li", {}, ...head, ...text);
  return element("li", {}, element("details", {}, element("summary", {}, ...head, ...text), ...inside));
}

/** The part of a field's schema that has fields of its own. */
function nested(schema, named) {
  const choices = schema.anyOf ?? [schema];
  return choices.find((choice) => {
    const { found } = resolved(choice, named);
    return found.properties || (found.items && resolved(found.items, named).found.properties);
  });
}

function resolved(schema, named) {
  const name = schema.$ref?.split("/").pop();
  return { name, found: name ? named[name] : schema };
}

/** A schema's kind in a few words. */
function kindOf(schema, named) {
  if (schema.anyOf) return schema.anyOf.map((choice) => kindOf(choice, named)).join(" or ");
  const { found } = resolved(schema, named);
  if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.type === "array") return `list of ${found.items ? kindOf(found.items, named) : "anything"}`;
  const bounds = [found.minimum, found.maximum].some((bound) => bound !== undefined)
    ? ` ${found.minimum ?? "…"} to ${found.maximum ?? "…"}`
    : "";
  const standard = found.default === undefined ? "" : `, default ${JSON.stringify(found.default)}`;
  if (found.contentMediaType || !Object.keys(found).length) return "bytes";
  return (found.format ?? found.type ?? "any value") + bounds + standard;
}
