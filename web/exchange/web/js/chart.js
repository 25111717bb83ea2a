/** The panel of the two charts, prices and depth: what is chosen, and what stands around them. */

import { taste } from "./state.js";
import { html, signal, useEffect, useRef } from "./view.js";

const SHORTCUTS = ["1s", "1m", "5m", "15m", "1h", "4h", "1d", "1w"];
const OTHERS = ["3m", "30m", "2h", "6h", "8h", "12h", "3d", "1M"];

export const interval = taste("interval", "1m");
const tab = signal("price");
/** @type {import("./view.js").Signal<{ texts: string[], isUp: boolean } | null>} */
export const legend = signal(null);
export const isEmpty = signal(false);

/** Lines at the prices of the owner's open orders. */
export const orderLines = signal(
  /** @type {{ price: string, isBuy: boolean, title: string }[]} */ ([]),
);
/** Marks at the owner's fills. */
export const fillMarks = signal(
  /** @type {{ symbol: string, time: number, isBuy: boolean, text: string }[]} */ ([]),
);

export function ChartPanel() {
  return html`<section class="panel chart" aria-label="Chart">
    <header class="head">
      <div class="tabs" role="tablist" aria-label="Chart">
        ${[
          ["price", "Price"],
          ["depth", "Depth"],
        ].map(
          ([name, title]) => html`<button
            role="tab"
            aria-selected=${tab.value === name}
            onClick=${() => {
              tab.value = name;
            }}
          >
            ${title}
          </button>`,
        )}
      </div>
      ${tab.value === "price" && html`<${Intervals} />`}
    </header>
    ${tab.value === "price" ? html`<${Legend} /><${Prices} key="price" />` : html`<${Depth} />`}
    ${tab.value === "price" && isEmpty.value && html`<p class="empty">No trades yet</p>`}
  </section>`;
}

function Intervals() {
  const choose = (/** @type {string} */ one) => {
    interval.value = one;
  };
  return html`<div class="intervals" role="group" aria-label="Interval">
    ${SHORTCUTS.map(
      (one) => html`<button aria-pressed=${interval.value === one} onClick=${() => choose(one)}>
        ${one}
      </button>`,
    )}
    <select
      aria-label="Other intervals"
      class=${OTHERS.includes(interval.value) ? "chosen" : ""}
      value=${OTHERS.includes(interval.value) ? interval.value : ""}
      onChange=${(/** @type {any} */ event) => event.target.value && choose(event.target.value)}
    >
      <option value="">More</option>
      ${OTHERS.map((one) => html`<option value=${one}>${one}</option>`)}
    </select>
  </div>`;
}

function Legend() {
  const shown = legend.value;
  if (shown === null) {
    return html`<div class="legend"></div>`;
  }
  return html`<div class="legend ${shown.isUp ? "up" : "down"}">
    ${["O", "H", "L", "C", "V"].map(
      (letter, index) => html`<span><b>${letter}</b>${shown.texts[index]}</span>`,
    )}
  </div>`;
}

/** The library that draws prices is half of all that is loaded: everything else comes before it. */
const drawsPrices = () => import("./candles.js").then(({ PriceChart }) => PriceChart);
/** Few look at it: it comes when it is asked for. */
const drawsDepth = () => import("./depth.js").then(({ DepthChart }) => DepthChart);

function Prices() {
  const place = useDrawing(drawsPrices);
  return html`<div class="canvas" ref=${place}></div>`;
}

function Depth() {
  const place = useDrawing(drawsDepth);
  return html`<div class="canvas">
    <canvas ref=${place} role="img" aria-label="How much is wanted and offered up to each price"></canvas>
  </div>`;
}

/**
 * A place in which something draws by itself as long as it is there.
 * @param {() => Promise<new (place: any) => { remove: () => void }>} fetched
 */
function useDrawing(fetched) {
  const place = useRef(/** @type {any} */ (null));
  useEffect(() => {
    let remove = () => {};
    let isGone = false;
    fetched().then((Drawing) => {
      // What has left the page is told so only later.
      if (!isGone && place.current !== null) {
        const drawing = new Drawing(place.current);
        remove = () => drawing.remove();
      }
    });
    return () => {
      isGone = true;
      remove();
    };
  }, []);
  return place;
}
