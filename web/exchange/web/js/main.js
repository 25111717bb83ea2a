/** The page: which of its parts is shown, and the keys that work everywhere. */

import { beginAccount, user } from "./account.js";
import { Bar, choose } from "./bar.js";
import { ChartPanel } from "./chart.js";
import { Dialogs, isHelpOpen, Notices, question, toggleHelp } from "./dialogs.js";
import { show } from "./feed.js";
import { LadderPanel } from "./ladder.js";
import { fill, OrderForm } from "./order-form.js";
import { cancelAll, OrdersPanel } from "./orders-panel.js";
import { begin, fault, go, market, route } from "./state.js";
import { TapePanel } from "./tape.js";
import { effect, html, render, signal, useEffect } from "./view.js";

/** Which panel a small screen shows. */
const panel = signal("chart");
const PANELS = [
  ["chart", "Chart"],
  ["book", "Book"],
  ["trades", "Trades"],
  ["trade", "Trade"],
  ["orders", "Orders"],
];

/** Pages that few need at once come when they are asked for. */
const LATER = /** @type {Record<string, () => Promise<any>>} */ ({
  markets: () => import("./market-list.js").then((module) => module.MarketsPage),
  login: () => import("./sign-in.js").then((module) => module.LoginPage),
  register: () => import("./sign-in.js").then((module) => module.RegisterPage),
  wallet: () => import("./wallet.js").then((module) => module.WalletPage),
  account: () => import("./account-page.js").then((module) => module.AccountPage),
  admin: () => import("./admin-page.js").then((module) => module.AdminPage),
});
/** Those that anybody may see. */
const OPEN = ["markets", "login", "register"];
const fetched = signal(/** @type {Record<string, any>} */ ({}));

function App() {
  return html`<${Bar} /><${Where} /><${Notices} /><${Dialogs} />`;
}

function Where() {
  const [name] = route.value;
  if (fault.value !== "") {
    return html`<main class="empty"><div><h1>${fault.value}</h1><p>This page tries again by itself.</p></div></main>`;
  }
  if (LATER[name] !== undefined) {
    return html`<${Later} key=${name} name=${name} />`;
  }
  return market.value === undefined ? html`<main class="empty">…</main>` : html`<${TradePage} />`;
}

/** @param {{ name: string }} properties */
function Later({ name }) {
  const who = user.value;
  const isAllowed =
    OPEN.includes(name) || (name === "admin" ? who?.role === "admin" : Boolean(who));
  useEffect(() => {
    if (isAllowed) {
      Promise.all([LATER[name](), dressed()]).then(([page]) => {
        fetched.value = { ...fetched.value, [name]: page };
      });
    } else if (who !== undefined && location.hash.startsWith(`#/${name}`)) {
      go(who === null ? "login" : "trade");
    }
  }, [name, who, isAllowed]);
  const page = fetched.value[name];
  return page === undefined || !isAllowed ? html`<main class="empty">…</main>` : html`<${page} />`;
}

/** @type {Promise<unknown> | undefined} */
let dressing;

/** The style sheet of these pages, which comes with the first of them. */
function dressed() {
  dressing ??= new Promise((resolve) => {
    const sheet = Object.assign(document.createElement("link"), {
      rel: "stylesheet",
      href: "/pages.css",
      onload: resolve,
      // Undressed is better than not there.
      onerror: resolve,
    });
    document.head.append(sheet);
  });
  return dressing;
}

function TradePage() {
  return html`<main class="trade-page" data-panel=${panel.value}>
      <${ChartPanel} /><${LadderPanel} /><${TapePanel} /><${OrderForm} /><${OrdersPanel} />
    </main>
    <nav class="bottom" aria-label="Panels">
      ${PANELS.map(
        ([name, title]) => html`<button
          aria-current=${panel.value === name}
          onClick=${() => {
            panel.value = name;
          }}
        >
          ${title}
        </button>`,
      )}
    </nav>`;
}

// --- Keys ----------------------------------------------------------------------------------------

/** @type {Record<string, () => void>} */
const KEYS = {
  b: () => type({ side: "BUY" }),
  s: () => type({ side: "SELL" }),
  l: () => type({ kind: "LIMIT" }),
  m: () => type({ kind: "MARKET" }),
  "/": () => choose(true),
  "?": toggleHelp,
};

/** @param {Partial<import("./order-rules.js").Draft>} values */
function type(values) {
  panel.value = "trade";
  fill(values);
  requestAnimationFrame(() => {
    const field = document.querySelector("#order-price, #order-stop, #order-amount");
    // Where the cursor is there already, somebody may be typing: what he types must stay.
    if (field instanceof HTMLInputElement && document.activeElement !== field) {
      field.focus();
      field.select();
    }
  });
}

/** @param {KeyboardEvent} event */
function press(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const isModified = event.ctrlKey || event.metaKey || event.altKey;
  if (question.peek() !== null || isHelpOpen.peek() || isModified || route.peek()[0] !== "trade") {
    return;
  }
  if (event.key === "Escape") {
    const isField = target.matches("input, select, textarea");
    if (isField) {
      target.blur();
    } else if (target === document.body) {
      cancelAll();
    }
    return;
  }
  const isTyping = target.matches("select, textarea, input[type='search'], dialog *");
  const isNumber = target.matches("input:not([type='search'])");
  const act = KEYS[event.key.toLowerCase()];
  // The fields of the form take digits: a letter in them is a key as anywhere else.
  if (act !== undefined && !isTyping && (!isNumber || target.id.startsWith("order-"))) {
    event.preventDefault();
    act();
  }
}

// --- Beginning -----------------------------------------------------------------------------------

const RETRY_MS = 2_000;

async function start() {
  try {
    await begin();
    fault.value = "";
  } catch {
    fault.value = "The exchange cannot be reached";
    setTimeout(start, RETRY_MS);
    return;
  }
  effect(() => {
    if (market.value !== undefined) {
      show(market.value);
    }
  });
  await beginAccount();
}

addEventListener("keydown", press);
render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
start();
