// The log-in form works without script; this says it in the user's language.

import { bindLanguageSwitch, startLanguage } from "./i18n.js";

startLanguage();
bindLanguageSwitch(document.querySelector(".language"));
