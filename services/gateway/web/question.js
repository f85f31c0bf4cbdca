// A question the user must answer before something is lost.

import { element, part } from "./element.js";
import { say } from "./i18n.js";

/**
 * Ask in the page's dialog. `choices` are [value, text key, style]; the answer is a value, or null
 * when the dialog was closed. The last choice has the focus, so it should be the harmless one.
 */
export function ask(dialog, { title, text, values = {}, choices }) {
  say(part(dialog, ".question-title"), title, values);
  say(part(dialog, ".question-text"), text, values);
  const buttons = choices.map(([value, key, style]) => {
    const button = element("button", { value, class: `button ${style}` });
    say(button, key);
    return button;
  });
  part(dialog, ".question-choices").replaceChildren(...buttons);
  dialog.returnValue = "";
  dialog.showModal();
  buttons.at(-1).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue || null), { once: true });
  });
}
