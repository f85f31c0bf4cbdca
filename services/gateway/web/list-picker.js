// Which hotword list the next recordings take: the words of the page, or a list with a name.

import { DEFAULT_LIST, hotwordLists } from "./api.js";
import { element, part } from "./element.js";
import { say } from "./i18n.js";
import { recall, remember } from "./memory.js";

/** The picker in `root`; `onChoice` gets the name of the list, or null for the words of the page. */
export class ListPicker {
  constructor(root, onChoice) {
    this.row = part(root, ".list-picker");
    this.select = part(root, "[name=hotword_list]");
    this.onChoice = onChoice;
    this.select.addEventListener("change", () => {
      remember("option.hotword_list", this.select.value);
      onChoice(this.chosen);
    });
  }

  get chosen() {
    return this.select.value || null;
  }

  /** Without lists to choose from, or without an answer, there is nothing to pick. */
  async start() {
    const lists = await hotwordLists().catch(() => []);
    const named = lists.filter(({ name, shared }) => shared || name !== DEFAULT_LIST);
    this.row.hidden = !named.length;
    this.select.replaceChildren(ownWords(), ...named.filter(isMeant).map(option));
    this.select.value = recall("option.hotword_list") ?? "";
    if (this.select.selectedIndex < 0) this.select.value = "";
    this.onChoice(this.chosen);
  }
}

/** An upload gets a user's own list before a shared one of its name. */
const isMeant = ({ name, shared }, _place, lists) =>
  !shared || !lists.some((other) => other.name === name && !other.shared);

function ownWords() {
  const option = element("option", { value: "" });
  say(option, "lists.own_words");
  return option;
}

function option({ name, shared, words }) {
  const node = element("option", { value: name });
  say(node, shared ? "lists.option_shared" : "lists.option", { name, count: words });
  return node;
}
