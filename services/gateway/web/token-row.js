// One token in the list: its name, what it is for, until when, and when it was used last.

import { element } from "./element.js";
import { day } from "./format.js";
import { say, translate } from "./i18n.js";

/** The list item of a token; `onRevoke` is called by its button. */
export function tokenRow(token, onRevoke) {
  const name = element("span", { class: "token-name" }, token.name);
  const scopes = element("span", { class: "token-scopes" });
  say(scopes, () => token.scopes.map((scope) => translate(`tokens.scope_${scope}`)).join(" · "));
  const dates = element("span", { class: "token-dates" });
  say(dates, "tokens.dates", { made: () => day(token.created_at), end: () => day(token.expires_at) });
  const used = element("span", { class: "token-used" });
  if (token.last_used_at) say(used, "tokens.used", { at: () => day(token.last_used_at) });
  else say(used, "tokens.unused");
  const revoke = element("button", { type: "button", class: "button quiet-danger" });
  say(revoke, "tokens.revoke");
  say(revoke, "tokens.revoke_named", { name: token.name }, "aria-label");
  revoke.addEventListener("click", onRevoke);
  return element("li", { class: "token-row" }, name, scopes, dates, used, revoke);
}
