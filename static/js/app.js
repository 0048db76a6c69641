/* Everything that makes the pages quicker; each page works without it. */
document.documentElement.dataset.script = "yes";
import "./theme.js";
import "./menus.js";
import "./dialog.js";
import "./copy.js";
import "./time.js";
import "./countdown.js";
import "./decide.js";
import "./live.js";
import "./pulse.js";
import "./new-rows.js";
import "./steps.js";
import "./calm.js";
import "./neighbours.js";
import "./filter.js";
import "./keys.js";
