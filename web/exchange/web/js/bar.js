/** The market bar: what is traded, how its day was, whether we are connected, and who we are. */

import { chosen, enter, signOut, user, within } from "./account.js";
import { sentUnits } from "./decimal.js";
import { toggleHelp } from "./dialogs.js";
import { last } from "./feed.js";
import * as format from "./format.js";
import { MarketList, search } from "./market-list.js";
import { days, go, isDark, line, market, route, theme } from "./state.js";
import { html, signal, useEffect, useRef } from "./view.js";

export const isChoosing = signal(false);
const isMenuOpen = signal(false);

export function Bar() {
  return html`<header class="bar">
    <a class="brand" href="#/trade" aria-label="Trading page" title="Trading page">
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d="M5 15V9M5 6v3M12 18v-8M12 4v2M19 14V8M19 20v-3" />
        <rect x="3" y="9" width="4" height="6" rx="1" />
        <rect x="10" y="6" width="4" height="7" rx="1" />
        <rect x="17" y="11" width="4" height="6" rx="1" />
      </svg>
    </a>
    <${Chooser} />
    <${Statistics} />
    <span class="space"></span>
    <${Line} />
    <button
      class="icon"
      title=${isDark.value ? "Light colours" : "Dark colours"}
      aria-label=${isDark.value ? "Light colours" : "Dark colours"}
      onClick=${() => {
        theme.value = isDark.value ? "light" : "dark";
      }}
    >
      <svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="8" /><path class="full" d="M12 4a8 8 0 0 1 0 16z" /></svg>
    </button>
    <button class="icon help" title="Keyboard (?)" aria-label="Keyboard" onClick=${toggleHelp}>?</button>
    <${Who} />
  </header>`;
}

function Chooser() {
  const shown = market.value;
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const close = (/** @type {Event} */ event) => {
      if (!place.current?.contains(/** @type {Node} */ (event.target))) {
        isChoosing.value = false;
      }
    };
    document.addEventListener("pointerdown", close);
    return () => document.removeEventListener("pointerdown", close);
  }, []);
  return html`<div class="chooser" ref=${place}>
    <button
      class="market"
      aria-haspopup="dialog"
      aria-expanded=${isChoosing.value}
      onClick=${() => choose(!isChoosing.value)}
    >
      ${shown === undefined ? "Markets" : html`<b>${shown.base}</b><i>/${shown.quote}</i>`}
      <svg viewBox="0 0 10 6" aria-hidden="true"><path d="M1 1l4 4 4-4" /></svg>
    </button>
    ${
      isChoosing.value &&
      html`<div class="drop" role="dialog" aria-label="Markets">
      <${MarketList} isShort done=${() => choose(false)} />
    </div>`
    }
  </div>`;
}

/** @param {boolean} isWanted */
export function choose(isWanted) {
  search.value = "";
  isChoosing.value = isWanted;
}

function Statistics() {
  const of = market.value;
  const day = of === undefined ? undefined : days.value.get(of.symbol);
  if (of === undefined || day === undefined) {
    return null;
  }
  const read = (/** @type {string} */ text) => sentUnits(text, of.quoteDecimals);
  const { price, direction } = last.value;
  const now = price === 0n ? read(day.last) : price;
  const open = read(day.open);
  const name = direction > 0 ? "up" : direction < 0 ? "down" : "";
  const change = format.change(open, now);
  const trend = change.startsWith("+") ? "up" : change.startsWith("-") ? "down" : "";
  useTitle(now === 0n ? of.symbol : `${format.price(of, now)} ${of.base}/${of.quote}`);
  return html`<div class="statistics">
    <strong class="price ${name}">${now === 0n ? "–" : format.price(of, now)}</strong>
    <span class=${trend}>
      <em>24 h</em>${change}${{ up: " ▲", down: " ▼", "": "" }[trend]}
    </span>
    <span class="wide"><em>High</em>${format.price(of, read(day.high))}</span>
    <span class="wide"><em>Low</em>${format.price(of, read(day.low))}</span>
    <span class="wide">
      <em>Volume</em>${format.compact(sentUnits(day.volume, of.baseDecimals), of.baseDecimals)} ${of.base}
    </span>
  </div>`;
}

/** @param {string} text */
function useTitle(text) {
  useEffect(() => {
    document.title = text;
  }, [text]);
}

const STATES = {
  connecting: "Connecting",
  live: "Live",
  stale: "Stale",
  reconnecting: "Reconnecting",
};

function Line() {
  const { liveness, latency } = line.value;
  const isLive = liveness === "live";
  const time = latency < 10 ? latency.toFixed(1) : latency.toFixed(0);
  return html`<span class="line ${liveness}" data-state=${liveness} title="Connection to the market data">
    <i aria-hidden="true"></i>${STATES[liveness]}
    ${isLive && latency > 0 && html`<small>${time} ms</small>`}
  </span>`;
}

function Who() {
  const who = user.value;
  if (who === undefined) {
    return null;
  }
  if (who === null) {
    return html`<nav class="who" aria-label="Account">
      <a class="plain" href="#/login">Log in</a>
      <a class="button" href="#/register">Register</a>
    </nav>`;
  }
  return html`<nav class="who" aria-label="Account">
    <a class="plain" href="#/wallet" aria-current=${route.value[0] === "wallet" ? "page" : undefined}>Wallet</a>
    <${Menu} who=${who} />
  </nav>`;
}

/** @param {{ who: import("./account.js").User }} properties */
function Menu({ who }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const close = (/** @type {Event} */ event) => {
      if (!place.current?.contains(/** @type {Node} */ (event.target))) {
        isMenuOpen.value = false;
      }
    };
    document.addEventListener("pointerdown", close);
    return () => document.removeEventListener("pointerdown", close);
  }, []);
  const leave = (/** @type {string} */ path) => () => {
    isMenuOpen.value = false;
    go(path);
  };
  return html`<div
    class="menu"
    ref=${place}
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") {
        isMenuOpen.value = false;
      }
    }}
  >
    <button
      class="plain name"
      aria-haspopup="true"
      aria-expanded=${isMenuOpen.value}
      onClick=${() => {
        isMenuOpen.value = !isMenuOpen.value;
      }}
    >
      ${who.name}${within.value !== "" && html`<i class="within">${within.value}</i>`}<svg viewBox="0 0 10 6" aria-hidden="true"><path d="M1 1l4 4 4-4" /></svg>
    </button>
    ${
      isMenuOpen.value &&
      html`<div class="drop right">
      ${
        who.accounts.length > 1 &&
        html`<div role="group" aria-label="Account that is used">${who.accounts.map(
          (one) => html`<button
            aria-pressed=${one.accountId === chosen.value}
            onClick=${() => {
              isMenuOpen.value = false;
              enter(who, one.accountId);
            }}
          >
            ${one.name}${one.accountId === who.accountId && html` <i>main</i>`}
          </button>`,
        )}</div>`
      }
      <button onClick=${leave("wallet")}>Wallet</button>
      <button onClick=${leave("account")}>Account and API keys</button>
      <button onClick=${leave("markets")}>Markets</button>
      ${who.role === "admin" && html`<button onClick=${leave("admin")}>Administration</button>`}
      <button onClick=${async () => {
        isMenuOpen.value = false;
        await signOut();
      }}>Log out</button>
    </div>`
    }
  </div>`;
}
