// One hotword list among the user's lists.

import { exportUrl } from "./api.js";
import { element } from "./element.js";
import { day } from "./format.js";
import { say, translate } from "./i18n.js";

/** Shows a list's head; `on` has `edit`, `copy` and `erase`, each for the list. */
export class ListRow {
  constructor(list, mine, on) {
    const name = element("span", { class: "list-name", translate: "no" }, list.name);
    const facts = element("span", { class: "hint" });
    say(facts, () => factsText(list));
    const actions = element("span", { class: "list-row-actions" });
    if (mine) actions.append(button("lists.edit", "plain", list, on.edit));
    else actions.append(button("lists.copy", "plain", list, on.copy));
    actions.append(exported(list, "csv"), exported(list, "txt"));
    if (mine) actions.append(button("lists.erase", "quiet-danger", list, on.erase));
    this.node = element("li", { class: "list-row" }, element("span", { class: "list-head" }, name, facts), actions);
  }
}

function factsText({ words, version, shared, updated_at }) {
  const facts = [
    shared ? translate("lists.shared") : null,
    translate("lists.words", { count: words }),
    translate("lists.version", { version }),
    updated_at ? day(updated_at) : null,
  ];
  return facts.filter(Boolean).join(" · ");
}

function button(key, style, list, action) {
  const node = element("button", { type: "button", class: `button ${style}` });
  say(node, key);
  say(node, `${key}_named`, { name: list.name }, "aria-label");
  node.addEventListener("click", () => action(list));
  return node;
}

function exported(list, format) {
  const link = element("a", { class: "button plain", href: exportUrl(list, format), download: true }, format.toUpperCase());
  say(link, "lists.export_named", { name: list.name, format: format.toUpperCase() }, "aria-label");
  return link;
}
