/** The depth chart: how much is wanted and offered up to each price around the middle. */

import { toText } from "./decimal.js";
import { feed, paint, plan } from "./feed.js";
import { compact, price as priceText } from "./format.js";
import { isDark } from "./state.js";
import { effect } from "./view.js";

/** @typedef {import("./book.js").Side} Side */
/** @typedef {{ price: bigint, total: bigint }} Step */

const AXIS_PX = 24;
/** As far as this share of the middle price on either side, in parts of ten thousand. */
const WIDEST = 500n;

/**
 * Running totals from the best price on, as far as `bound`.
 * @param {Side} side
 * @param {bigint} bound
 * @returns {Step[]}
 */
export function steps(side, bound) {
  let total = 0n;
  const found = [];
  for (const price of side.prices) {
    if (side.isBid ? price < bound : price > bound) {
      break;
    }
    total += side.quantities.get(price) ?? 0n;
    found.push({ price, total });
  }
  return found;
}

export class DepthChart {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.pointer = -1;
    this.observer = new ResizeObserver(() => plan());
    this.observer.observe(canvas);
    canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    canvas.addEventListener("pointerleave", () => this.#point(-1));
    this.stops = [
      paint(() => this.#paint()),
      effect(() => {
        isDark.value;
        plan();
      }),
    ];
  }

  remove() {
    this.observer.disconnect();
    for (const stop of this.stops) {
      stop();
    }
  }

  /** @param {number} x */
  #point(x) {
    this.pointer = x;
    plan();
  }

  #paint() {
    const { canvas, context } = this;
    const ratio = devicePixelRatio;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (
      canvas.width !== Math.round(width * ratio) ||
      canvas.height !== Math.round(height * ratio)
    ) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    context.font = `11px ${style.fontFamily}`;
    context.fillStyle = style.getPropertyValue("--soft");
    context.textAlign = "center";
    const bid = feed?.book.bids.best;
    const ask = feed?.book.asks.best;
    if (feed === null || bid === undefined || ask === undefined) {
      context.fillText("There is not yet a buyer and a seller", width / 2, height / 2);
      return;
    }
    const middle = (bid + ask) / 2n;
    const reach = this.#reach(middle);
    const scene = { low: middle - reach, high: middle + reach, width, height: height - AXIS_PX };
    const bids = steps(feed.book.bids, scene.low);
    const asks = steps(feed.book.asks, scene.high);
    const most = [bids.at(-1)?.total ?? 0n, asks.at(-1)?.total ?? 0n].reduce((a, b) =>
      a > b ? a : b,
    );
    this.#area(bids, most, scene, style.getPropertyValue("--buy"), scene.low);
    this.#area(asks, most, scene, style.getPropertyValue("--sell"), scene.high);
    context.fillStyle = style.getPropertyValue("--soft");
    for (const part of [1n, 2n, 3n, 4n, 5n]) {
      const price = scene.low + ((scene.high - scene.low) * part) / 6n;
      context.fillText(priceText(feed.market, price), x(price, scene), height - 8);
    }
    this.#cross(bids, asks, scene, style);
  }

  /** @param {bigint} middle */
  #reach(middle) {
    const widest = (middle * WIDEST) / 10_000n;
    const ends = [feed?.book.bids.prices.at(-1), feed?.book.asks.prices.at(-1)].map((end) =>
      end === undefined ? 0n : end > middle ? end - middle : middle - end,
    );
    const needed = ends[0] > ends[1] ? ends[0] : ends[1];
    return needed > 0n && needed < widest ? needed : widest;
  }

  /**
   * @param {Step[]} found
   * @param {bigint} most
   * @param {Scene} scene
   * @param {string} colour
   * @param {bigint} end
   */
  #area(found, most, scene, colour, end) {
    if (found.length === 0 || most === 0n) {
      return;
    }
    const { context } = this;
    const y = (/** @type {bigint} */ total) =>
      scene.height - (Number((total * 1000n) / most) / 1000) * (scene.height - 16);
    context.beginPath();
    context.moveTo(x(found[0].price, scene), scene.height);
    let before = scene.height;
    for (const { price, total } of found) {
      context.lineTo(x(price, scene), before);
      before = y(total);
      context.lineTo(x(price, scene), before);
    }
    context.lineTo(x(end, scene), before);
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.stroke();
    context.lineTo(x(end, scene), scene.height);
    context.closePath();
    context.globalAlpha = 0.18;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
  }

  /**
   * @param {Step[]} bids
   * @param {Step[]} asks
   * @param {Scene} scene
   * @param {CSSStyleDeclaration} style
   */
  #cross(bids, asks, scene, style) {
    if (this.pointer < 0 || feed === null) {
      return;
    }
    const { context } = this;
    const share = BigInt(Math.round((this.pointer / scene.width) * 10_000));
    const price = scene.low + ((scene.high - scene.low) * share) / 10_000n;
    const isBid = this.pointer < scene.width / 2;
    const side = isBid ? bids : asks;
    const reached = side.findLast((step) => (isBid ? step.price >= price : step.price <= price));
    context.strokeStyle = style.getPropertyValue("--soft");
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(this.pointer, 0);
    context.lineTo(this.pointer, scene.height);
    context.stroke();
    context.setLineDash([]);
    const of = feed.market;
    const amount = compact(reached?.total ?? 0n, of.baseDecimals);
    const away = ((price - (scene.low + scene.high) / 2n) * 20_000n) / (scene.low + scene.high);
    context.textAlign = isBid ? "left" : "right";
    context.fillStyle = style.getPropertyValue("--text");
    context.fillText(
      `${priceText(of, price)} (${toText(away, 2)}%): ${amount} ${of.base}`,
      this.pointer + (isBid ? 8 : -8),
      14,
    );
  }
}

/** @typedef {{ low: bigint, high: bigint, width: number, height: number }} Scene */

/**
 * @param {bigint} price
 * @param {Scene} scene
 */
function x(price, scene) {
  return (
    (Number(((price - scene.low) * 100_000n) / (scene.high - scene.low)) / 100_000) * scene.width
  );
}
