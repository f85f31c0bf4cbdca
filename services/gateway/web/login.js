// The log-in form works without script; this says it, and why a try was refused, in the user's language.

import { bindLanguageSwitch, say, startLanguage } from "./i18n.js";
import { explain } from "./problem.js";

startLanguage();
bindLanguageSwitch(document.querySelector(".language"));

const refusal = document.querySelector(".refusal [data-code]");
if (refusal) {
  const problem = { code: refusal.dataset.code, message: refusal.textContent };
  say(refusal, () => explain(problem));
}
