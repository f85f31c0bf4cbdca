// A list of words edited as chips: type and press Enter, paste many, click one to remove it.

import { element } from "./element.js";
import { say } from "./i18n.js";

const SEPARATORS = /[,，、;；\t\r\n]+/;
const MOST_WORDS = 5000;
const LONGEST_WORD = 64;

/** Owns the chips in `list` before `input`; `message` tells what was refused and why. */
export class Chips {
  #words = new Map(); // word -> its list item

  constructor({ box, list, input, message }, onChange) {
    Object.assign(this, { list, input, message, onChange });
    input.addEventListener("keydown", (event) => this.#key(event));
    input.addEventListener("input", (event) => this.#typed(event));
    input.addEventListener("paste", (event) => this.#pasted(event));
    input.addEventListener("blur", () => this.commit());
    list.addEventListener("click", (event) => this.#clicked(event));
    list.addEventListener("keydown", (event) => this.#walk(event));
    box.addEventListener("click", (event) => event.target === box && input.focus());
  }

  get words() {
    return [...this.#words.keys()];
  }

  set words(words) {
    this.#words.clear();
    this.list.replaceChildren();
    for (const word of words) this.#add(word);
  }

  /** Take what stands in the input as words. */
  commit() {
    const typed = this.input.value;
    if (typed.trim()) this.input.value = this.#take(typed);
  }

  /** Add every acceptable word of `text`; gives back what was not accepted. */
  #take(text) {
    const before = this.#words.size;
    const refused = [];
    this.#tell(null);
    for (const word of text.split(SEPARATORS).map(clean).filter(Boolean)) {
      const problem = this.#words.size >= MOST_WORDS ? "hotwords.too_many" : problemOf(word);
      if (problem) refused.push(word);
      if (problem) this.#tell(problem, { word: word.slice(0, 40), most: MOST_WORDS });
      else this.#add(word);
    }
    if (this.#words.size !== before) this.onChange();
    return refused.join(", ");
  }

  #add(word) {
    if (this.#words.has(word)) return;
    const cross = element("span", { class: "chip-cross", "aria-hidden": "true" }, "×");
    const button = element("button", { type: "button", class: "chip", tabindex: -1 }, word, cross);
    say(button, "hotwords.remove", { word }, "aria-label");
    const item = element("li", {}, button);
    item.dataset.word = word;
    this.#words.set(word, item);
    this.list.append(item);
    this.#markTabStop();
  }

  /** Of thousands of chips only the first is a tab stop; arrows lead to the others. */
  #markTabStop() {
    if (this.list.firstElementChild) this.list.firstElementChild.firstElementChild.tabIndex = 0;
  }

  #remove(item) {
    const neighbour = item.nextElementSibling ?? item.previousElementSibling;
    this.#words.delete(item.dataset.word);
    item.remove();
    this.#markTabStop();
    this.#tell(null);
    this.onChange();
    return neighbour;
  }

  #key(event) {
    if (event.isComposing) return; // Enter ends an input method's composition, not the word
    if (event.key === "Enter") {
      event.preventDefault();
      this.commit();
    } else if (this.input.selectionEnd === 0 && this.list.lastElementChild) {
      if (event.key === "Backspace") this.#remove(this.list.lastElementChild);
      if (event.key === "ArrowLeft") focusOn(this.list.lastElementChild, this.input);
    }
  }

  #typed(event) {
    if (!event.isComposing && SEPARATORS.test(this.input.value)) this.commit();
  }

  #pasted(event) {
    const text = event.clipboardData.getData("text/plain");
    if (!SEPARATORS.test(text)) return;
    event.preventDefault();
    this.input.value = this.#take(`${this.input.value}${text}`);
  }

  #clicked(event) {
    const item = event.target.closest("li");
    if (item) focusOn(this.#remove(item), this.input);
  }

  #walk(event) {
    const item = event.target.closest("li");
    if (event.key === "ArrowLeft") focusOn(item.previousElementSibling, event.target);
    else if (event.key === "ArrowRight") focusOn(item.nextElementSibling, this.input);
    else if (event.key === "Home") focusOn(this.list.firstElementChild, event.target);
    else if (event.key === "End") focusOn(this.list.lastElementChild, event.target);
    else if (["Delete", "Backspace"].includes(event.key)) focusOn(this.#remove(item), this.input);
    else return;
    event.preventDefault();
  }

  #tell(key, values) {
    this.message.hidden = !key;
    if (key) say(this.message, key, values);
  }
}

/** Focus the chip in `item`, or `other` where there is none. */
const focusOn = (item, other) => (item?.firstElementChild ?? other).focus();

const clean = (word) => word.normalize("NFC").split(/\s+/).join(" ").trim();

/** The key of the rule that `word` breaks (the same rules as the gateway's), or null. */
function problemOf(word) {
  if ([...word].length > LONGEST_WORD) return "hotwords.too_long";
  if (!/[\p{L}\p{N}]/u.test(word)) return "hotwords.no_letter";
  return word.includes("<|") || word.includes("|>") ? "hotwords.mark" : null;
}
