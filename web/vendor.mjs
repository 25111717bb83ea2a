/**
 * Makes the two vendored files and NOTICES.txt from the pinned packages. `--check` compares instead.
 *
 * The names carry the versions, so that browsers may keep the files for ever.
 */

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const SERVED = join(HERE, "exchange", "web");
const VENDOR = join(SERVED, "vendor");

const preact = [
  `export { h, render } from "preact";`,
  `export { useEffect, useRef, useMemo } from "preact/hooks";`,
  `export { signal, computed, effect, batch, untracked, useSignal, useComputed } from "@preact/signals";`,
  `export { html } from "htm/preact";`,
].join("\n");
const charts = [
  "export {",
  "  createChart, createSeriesMarkers, CandlestickSeries, HistogramSeries, CrosshairMode, LineStyle,",
  `} from "lightweight-charts";`,
].join("\n");

const packages = [
  "preact",
  "@preact/signals",
  "@preact/signals-core",
  "htm",
  "lightweight-charts",
  "fancy-canvas",
];

function version(name) {
  return JSON.parse(readFileSync(join(HERE, "node_modules", name, "package.json"), "utf8")).version;
}

async function bundle(source) {
  const built = await build({
    stdin: { contents: source, resolveDir: HERE },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    legalComments: "inline",
    define: { "process.env.NODE_ENV": `"production"` },
  });
  return built.outputFiles[0].text;
}

function notices() {
  const parts = packages.map((name) => {
    const folder = join(HERE, "node_modules", name);
    const licence = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
    const text = licence === undefined ? "" : readFileSync(join(folder, licence), "utf8").trim();
    return `${name} ${version(name)}\n${"-".repeat(60)}\n${text}`;
  });
  const tradingView =
    "TradingView Lightweight Charts(TM)\nCopyright (c) TradingView, Inc. https://www.tradingview.com/\n" +
    "The charts of this page are made with it; its logo on the chart links to its author.";
  return `What the files in vendor/ are made of.\n\n${tradingView}\n\n${parts.join("\n\n\n")}\n`;
}

const made = new Map([
  [join(VENDOR, `preact-${version("preact")}.js`), await bundle(preact)],
  [
    join(VENDOR, `preact-${version("preact")}.d.ts`),
    `${preact}\nexport type { ReadonlySignal, Signal } from "@preact/signals";\n`,
  ],
  [join(VENDOR, `lightweight-charts-${version("lightweight-charts")}.js`), await bundle(charts)],
  [
    join(VENDOR, `lightweight-charts-${version("lightweight-charts")}.d.ts`),
    `${charts}\nexport type * from "lightweight-charts";\n`,
  ],
  [join(SERVED, "NOTICES.txt"), notices()],
]);
if (process.argv.includes("--check")) {
  const present = readdirSync(VENDOR).map((name) => join(VENDOR, name));
  const foreign = present.filter((path) => !made.has(path));
  const different = [...made].filter(([path, text]) => {
    return (
      !(present.includes(path) || path.endsWith("NOTICES.txt")) ||
      readFileSync(path, "utf8") !== text
    );
  });
  for (const path of [...foreign, ...different.map(([path]) => path)]) {
    console.error(`not what the pinned packages make: ${path}`);
  }
  process.exitCode = foreign.length + different.length > 0 ? 1 : 0;
} else {
  for (const name of readdirSync(VENDOR)) {
    rmSync(join(VENDOR, name));
  }
  for (const [path, text] of made) {
    writeFileSync(path, text);
  }
}
