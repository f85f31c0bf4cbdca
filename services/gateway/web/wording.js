// Words and how they steer the model: the fields of a hotword list.

import { Chips } from "./chips.js";
import { element } from "./element.js";
import { say } from "./i18n.js";

const METHODS = [
  ["prompt_injection", "hotwords.prompt"],
  ["logit_bias", "hotwords.bias"],
];

/** Makes the fields in `root`, once on a page; calls `onChange` when the user changes something. */
export class Wording {
  constructor(root, onChange) {
    const input = inputOfChips();
    const list = element("ul", { class: "chips-list" });
    say(list, "hotwords.title", {}, "aria-label");
    const box = element("div", { class: "chips" }, list, input);
    const message = element("p", { class: "chips-message", role: "alert", hidden: true });
    this.chips = new Chips({ box, list, input, message }, () => onChange());
    this.methods = METHODS.map(([value]) => radio(value));
    this.boost = range();
    this.boostValue = element("output", { class: "boost-value", for: "boost" });
    this.boostRow = boostRow(this.boost, this.boostValue);
    const choices = METHODS.map(([, key], place) => choice(this.methods[place], key));
    const fieldset = element("fieldset", {}, how("legend", "visually-hidden"), ...choices, this.boostRow);
    root.append(box, message, element("details", { class: "how" }, how("summary"), fieldset));
    for (const field of [this.boost, ...this.methods]) {
      field.addEventListener("input", () => {
        this.#showBoost();
        onChange();
      });
    }
    this.steer({ method: METHODS[0][0], boost_factor: this.boost.value });
  }

  get words() {
    return this.chips.words;
  }

  set words(words) {
    this.chips.words = words;
  }

  get config() {
    const method = this.methods.find((field) => field.checked).value;
    return { method, words: this.words, boost_factor: Number(this.boost.value) };
  }

  /** Take what was typed and not yet entered. */
  commit() {
    this.chips.commit();
  }

  /** Show how the words are used. */
  steer({ method, boost_factor }) {
    for (const field of this.methods) field.checked = field.value === method;
    this.boost.value = String(boost_factor);
    this.#showBoost();
  }

  #showBoost() {
    this.boostRow.hidden = this.config.method !== "logit_bias";
    this.boostValue.textContent = Number(this.boost.value).toFixed(1);
  }
}

function inputOfChips() {
  const hidden = { autocomplete: "off", autocapitalize: "off", spellcheck: "false" };
  const input = element("input", { class: "chips-input", type: "text", ...hidden });
  say(input, "hotwords.input", {}, "aria-label");
  say(input, "hotwords.placeholder", {}, "placeholder");
  input.setAttribute("aria-describedby", "hotwords-hint");
  return input;
}

const radio = (value) => element("input", { type: "radio", name: "hotword_method", value });

const range = () =>
  element("input", {
    id: "boost",
    name: "boost",
    type: "range",
    min: 0,
    max: 5,
    step: 0.1,
    value: 1.5,
    "aria-describedby": "boost-hint",
  });

function choice(field, key) {
  const name = spoken("span", "choice-name", key);
  return element("label", { class: "choice" }, field, element("span", {}, name, " ", hint("span", `${key}_hint`)));
}

function boostRow(field, value) {
  const label = element("label", { for: "boost" });
  say(label, "hotwords.boost");
  const below = hint("p", "hotwords.boost_hint");
  below.id = "boost-hint";
  return element("div", { class: "boost" }, label, value, field, below);
}

const how = (tag, style = null) => spoken(tag, style, "hotwords.how");
const hint = (tag, key) => spoken(tag, "hint", key);

function spoken(tag, style, key) {
  const node = element(tag, { class: style });
  say(node, key);
  return node;
}
