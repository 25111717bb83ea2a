/** What the whole page knows: where it is, who uses it, which market it shows. */

import { own, spot } from "./api.js";
import { Connection } from "./connection.js";
import { sentUnits } from "./decimal.js";
import { firstMarket, readMarket } from "./markets.js";
import { batch, computed, effect, signal } from "./view.js";

/** @typedef {import("./markets.js").Market} Market */
/** @typedef {import("./connection.js").Liveness} Liveness */
/**
 * Texts as the exchange sends them.
 * @typedef {{ open: string, high: string, low: string, last: string, volume: string, quoteVolume: string }} Day
 */

/** @type {import("./view.js").Signal<Map<string, Market>>} */
export const markets = signal(new Map());
/** @type {import("./view.js").Signal<Map<string, Day>>} */
export const days = signal(new Map());
/** @type {import("./view.js").Signal<{ liveness: Liveness, latency: number }>} */
export const line = signal({ liveness: /** @type {Liveness} */ ("connecting"), latency: 0 });
/** @type {import("./view.js").Signal<{ wsUrl: string, registration: boolean, testFunds: Record<string, string> | null }>} */
export const config = signal({ wsUrl: "", registration: false, testFunds: null });
/** Why there is nothing to show, if so. */
export const fault = signal("");

// --- Where we are --------------------------------------------------------------------------------

/** @type {import("./view.js").Signal<string[]>} */
export const route = signal(readRoute());
export const symbol = signal("");
/** @type {import("./view.js").ReadonlySignal<Market | undefined>} */
export const market = computed(() => markets.value.get(symbol.value));

function readRoute() {
  const parts = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean);
  return parts.length === 0 ? ["trade"] : parts.map(decodeURIComponent);
}

/** @param {string} path */
export function go(path) {
  location.hash = `#/${path}`;
}

function follow() {
  const parts = readRoute();
  batch(() => {
    route.value = parts;
    if (parts[0] === "trade" && markets.value.has(parts[1])) {
      symbol.value = parts[1];
      remember("market", parts[1]);
    }
  });
}

// --- What this browser remembers ----------------------------------------------------------------

/**
 * Only tastes are kept in the browser: no name, no token, nothing of an account.
 * @param {string} name
 * @param {string} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(`exchange.${name}`, value);
  } catch {
    // A browser that keeps nothing still trades.
  }
}

/** @param {string} name */
export function remembered(name) {
  try {
    return localStorage.getItem(`exchange.${name}`);
  } catch {
    return null;
  }
}

/**
 * A signal whose value this browser remembers.
 * @param {string} name
 * @param {string} otherwise
 */
export function taste(name, otherwise) {
  const kept = signal(remembered(name) ?? otherwise);
  let isFirst = true;
  effect(() => {
    const value = kept.value;
    if (!isFirst) {
      remember(name, value);
    }
    isFirst = false;
  });
  return kept;
}

/** "dark", "light", or "" for what the system has. */
export const theme = taste("theme", "");
/** From how many percent away from the touch an order is asked about once more; 0: never. */
export const caution = taste("caution", "3");

export const isDark = signal(true);
const systemIsLight = matchMedia("(prefers-color-scheme: light)");

function dress() {
  isDark.value = theme.value === "" ? !systemIsLight.matches : theme.value === "dark";
  document.documentElement.dataset.theme = isDark.value ? "dark" : "light";
}

// --- Beginning -----------------------------------------------------------------------------------

/** @type {Connection} */
export let connection;

export async function begin() {
  effect(dress);
  systemIsLight.addEventListener("change", dress);
  const [settings, information, statistics] = await Promise.all([
    own("GET", "/ui/config.json"),
    spot("GET", "/api/v3/exchangeInfo", { showPermissionSets: false }),
    spot("GET", "/api/v3/ticker/24hr", { type: "MINI" }),
  ]);
  batch(() => {
    config.value = { ...settings, wsUrl: streamUrl(settings.wsUrl ?? ":4000") };
    markets.value = new Map(
      information.symbols.map((/** @type {any} */ one) => [one.symbol, readMarket(one)]),
    );
    days.value = new Map(
      statistics.map((/** @type {any} */ one) => [
        one.symbol,
        day(one.openPrice, one.highPrice, one.lowPrice, one.lastPrice, one.volume, one.quoteVolume),
      ]),
    );
    symbol.value = firstMarket([...markets.value.keys()], remembered("market"), turnover);
  });
  addEventListener("hashchange", follow);
  follow();
  connection = new Connection(config.value.wsUrl, (liveness, latency) => {
    line.value = { liveness, latency };
  });
  connection.listen("!miniTicker@arr", { event: hearDays });
  connection.start();
}

/** @param {string} told a whole address, or a port of the host that this page is from */
function streamUrl(told) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return told.startsWith(":") ? `${scheme}://${location.hostname}${told}` : told.replace(/\/$/, "");
}

/**
 * @param {string} open @param {string} high @param {string} low @param {string} last
 * @param {string} volume @param {string} quoteVolume
 * @returns {Day}
 */
function day(open, high, low, last, volume, quoteVolume) {
  return { open, high, low, last, volume, quoteVolume };
}

/** @param {any[]} tickers */
function hearDays(tickers) {
  const known = new Map(days.value);
  for (const one of tickers) {
    known.set(one.s, day(one.o, one.h, one.l, one.c, one.v, one.q));
  }
  days.value = known;
}

/** @param {string} name */
export function turnover(name) {
  const found = markets.value.get(name);
  return found === undefined
    ? 0n
    : sentUnits(days.value.get(name)?.quoteVolume ?? "0", found.quoteDecimals);
}
