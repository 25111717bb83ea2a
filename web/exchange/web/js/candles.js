/** Candles and volume, with the owner's open orders as lines and fills as marks. */

import {
  CandlestickSeries,
  CrosshairMode,
  createChart,
  createSeriesMarkers,
  HistogramSeries,
  LineStyle,
} from "../vendor/lightweight-charts-5.2.1.js";
import { spot } from "./api.js";
import { fillMarks, interval, isEmpty, legend, orderLines } from "./chart.js";
import { sentUnits } from "./decimal.js";
import { clock, compact, moment } from "./format.js";
import { connection, isDark, market, symbol } from "./state.js";
import { effect } from "./view.js";

/** @typedef {import("./markets.js").Market} Market */
/** @typedef {{ time: any, open: number, high: number, low: number, close: number, volume: number, texts: string[] }} Candle */

const CANDLES = 500;
const CANDLES_BEFORE_MORE = 40;

export class PriceChart {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.chart = createChart(place, {
      autoSize: true,
      crosshair: { mode: CrosshairMode.Normal },
      localization: { timeFormatter: (/** @type {any} */ time) => moment(time * 1000) },
      layout: { attributionLogo: true, fontSize: 11 },
      rightPriceScale: { scaleMargins: { top: 0.12, bottom: 0.22 } },
      timeScale: {
        timeVisible: true,
        rightOffset: 6,
        tickMarkFormatter: tickMark,
      },
    });
    this.candles = this.chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.marks = createSeriesMarkers(this.candles, []);
    /** @type {any[]} */
    this.lines = [];
    /** @type {Candle[]} */
    this.data = [];
    this.isComplete = false;
    this.isAsking = false;
    this.run = 0;
    this.stopListening = () => {};
    this.chart.subscribeCrosshairMove((/** @type {any} */ move) => this.#point(move));
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((/** @type {any} */ range) => {
      if (range !== null && range.from < CANDLES_BEFORE_MORE) {
        this.#loadMore();
      }
    });
    this.stops = [
      effect(() => this.#dress(isDark.value)),
      effect(() => {
        const of = market.value;
        const every = interval.value;
        if (of !== undefined) {
          this.#show(of, every);
        }
      }),
      effect(() => this.#drawLines(orderLines.value)),
      effect(() => this.#drawMarks()),
    ];
  }

  remove() {
    this.run += 1;
    this.stopListening();
    for (const stop of this.stops) {
      stop();
    }
    this.chart.remove();
    legend.value = null;
  }

  /** @param {boolean} _isDark */
  #dress(_isDark) {
    const colour = (/** @type {string} */ name) =>
      getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    this.colours = { up: colour("--buy"), down: colour("--sell") };
    this.chart.applyOptions({
      layout: {
        background: { color: colour("--panel") },
        textColor: colour("--soft"),
        fontFamily: getComputedStyle(document.body).fontFamily,
      },
      grid: { vertLines: { color: colour("--grid") }, horzLines: { color: colour("--grid") } },
      rightPriceScale: { borderColor: colour("--line") },
      timeScale: { borderColor: colour("--line") },
    });
    this.candles.applyOptions({
      upColor: this.colours.up,
      downColor: this.colours.down,
      wickUpColor: this.colours.up,
      wickDownColor: this.colours.down,
    });
    this.#drawAll();
    this.#drawLines(orderLines.peek());
    this.#drawMarks();
  }

  /**
   * @param {Market} of
   * @param {string} every
   */
  #show(of, every) {
    this.stopListening();
    this.run += 1;
    this.market = of;
    this.interval = every;
    this.data = [];
    this.isComplete = false;
    this.isAsking = false;
    this.#drawAll();
    this.candles.applyOptions({
      priceFormat: {
        type: "price",
        precision: of.priceDigits,
        minMove: 1 / 10 ** of.priceDigits,
      },
    });
    this.chart.applyOptions({ timeScale: { secondsVisible: every === "1s" } });
    this.stopListening = connection.listen(`${of.symbol.toLowerCase()}@kline_${every}`, {
      event: (event) => this.#update(event.k),
      opened: () => this.#load(),
    });
  }

  async #load() {
    const run = this.run;
    const found = await this.#ask({});
    if (run !== this.run || found === null) {
      return;
    }
    const isFirst = this.data.length === 0;
    const newest = found.at(-1)?.time ?? 0;
    this.data = [...found, ...this.data.filter((one) => one.time > newest)];
    this.#drawAll();
    if (isFirst) {
      const width = this.chart.timeScale().width();
      const shown = Math.min(this.data.length + 6, Math.max(60, Math.floor(width / 8)));
      this.chart.timeScale().setVisibleLogicalRange({
        from: Math.max(this.data.length - shown, -shown / 2),
        to: this.data.length + 5,
      });
    }
  }

  async #loadMore() {
    if (this.isAsking || this.isComplete || this.data.length === 0) {
      return;
    }
    this.isAsking = true;
    const run = this.run;
    const found = await this.#ask({ endTime: this.data[0].time * 1000 - 1 });
    if (run === this.run) {
      this.isAsking = false;
      this.isComplete = found !== null && found.length < CANDLES;
      if (found !== null && found.length > 0) {
        this.data = [...found, ...this.data];
        this.#drawAll();
      }
    }
  }

  /**
   * @param {import("./api.js").Parameters} bounds
   * @returns {Promise<Candle[] | null>}
   */
  async #ask(bounds) {
    const of = /** @type {Market} */ (this.market);
    const rows = await spot("GET", "/api/v3/klines", {
      symbol: of.symbol,
      interval: this.interval,
      limit: CANDLES,
      ...bounds,
    }).catch(() => null);
    // Before the first trade there is no price to draw.
    const isTraded = (/** @type {any[]} */ row) => !/^[0.]*$/.test(row[1]);
    return (
      rows?.filter(isTraded).map((/** @type {any[]} */ row) => candle(row[0], row.slice(1, 6))) ??
      null
    );
  }

  /** @param {any} k */
  #update(k) {
    const one = candle(k.t, [k.o, k.h, k.l, k.c, k.v]);
    const newest = this.data.at(-1);
    if (newest === undefined || one.time > newest.time) {
      this.data.push(one);
    } else if (one.time === newest.time) {
      this.data[this.data.length - 1] = one;
    } else {
      return;
    }
    this.candles.update(one);
    this.volumes.update(this.#volume(one));
    isEmpty.value = false;
    this.#tell(this.data.at(-1));
  }

  #drawAll() {
    this.candles.setData(this.data);
    this.volumes.setData(this.data.map((one) => this.#volume(one)));
    isEmpty.value = this.data.length === 0;
    this.#tell(this.data.at(-1));
  }

  /** @param {Candle} one */
  #volume(one) {
    const colour = one.close >= one.open ? this.colours?.up : this.colours?.down;
    return { time: one.time, value: one.volume, color: `${colour}59` };
  }

  /** @param {any} move */
  #point(move) {
    const pointed =
      move.time === undefined ? null : this.data.find((one) => one.time === move.time);
    this.#tell(pointed ?? this.data.at(-1));
  }

  /** @param {Candle | undefined} one */
  #tell(one) {
    const of = this.market;
    if (one === undefined || of === undefined) {
      legend.value = null;
      return;
    }
    const volume = compact(sentUnits(one.texts[4], of.baseDecimals), of.baseDecimals);
    const prices = one.texts.slice(0, 4).map((text) => shortened(text, of));
    legend.value = { texts: [...prices, volume], isUp: one.close >= one.open };
  }

  /** @param {typeof orderLines.value} wanted */
  #drawLines(wanted) {
    for (const one of this.lines) {
      this.candles.removePriceLine(one);
    }
    this.lines = wanted.map(({ price, isBuy, title }) =>
      this.candles.createPriceLine({
        price: Number(price),
        color: isBuy ? this.colours?.up : this.colours?.down,
        lineStyle: LineStyle.Dashed,
        lineWidth: 1,
        axisLabelVisible: true,
        title,
      }),
    );
  }

  #drawMarks() {
    const marks = fillMarks.value.filter((one) => one.symbol === symbol.value);
    this.marks.setMarkers(
      marks.map(({ time, isBuy, text }) => ({
        time: /** @type {any} */ (Math.floor(time / 1000)),
        position: isBuy ? "belowBar" : "aboveBar",
        shape: isBuy ? "arrowUp" : "arrowDown",
        color: (isBuy ? this.colours?.up : this.colours?.down) ?? "",
        text,
      })),
    );
  }
}

/**
 * Where things are drawn is geometry: here, and only here, amounts become floating numbers.
 * @param {number} start ms
 * @param {string[]} texts open, high, low, close, volume
 * @returns {Candle}
 */
function candle(start, texts) {
  const [open, high, low, close, volume] = texts.map(Number);
  return { time: start / 1000, open, high, low, close, volume, texts };
}

/**
 * @param {string} text
 * @param {Market} of
 */
function shortened(text, of) {
  return text.slice(0, text.length - of.quoteDecimals + of.priceDigits).replace(/\.$/, "");
}

/**
 * @param {any} time s
 * @param {number} kind 0 year, 1 month, 2 day, 3 time, 4 time with seconds
 */
function tickMark(time, kind) {
  const date = new Date(time * 1000);
  if (kind === 0) {
    return String(date.getFullYear());
  }
  if (kind === 1) {
    return date.toLocaleDateString("en-GB", { month: "short" });
  }
  if (kind === 2) {
    return date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  }
  return kind === 3 ? clock(time * 1000).slice(0, 5) : clock(time * 1000);
}
