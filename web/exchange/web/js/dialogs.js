/** What comes between: notices, questions, and the list of keys. */

import { html, signal, useEffect, useRef } from "./view.js";

const NOTICE_MS = 6_000;
/** @typedef {{ id: number, kind: "good" | "bad" | "plain", title: string, text: string }} Notice */
/** @typedef {{ title: string, text: unknown, act: string, isGrave: boolean, answer: (isYes: boolean) => void }} Question */

/** @type {import("./view.js").Signal<Notice[]>} */
const notices = signal([]);
/** @type {import("./view.js").Signal<Question | null>} */
export const question = signal(null);
export const isHelpOpen = signal(false);
let nextNotice = 1;

/**
 * @param {Notice["kind"]} kind
 * @param {string} title
 * @param {string} [text]
 */
export function notify(kind, title, text = "") {
  const id = nextNotice++;
  notices.value = [...notices.value.slice(-3), { id, kind, title, text }];
  setTimeout(() => drop(id), NOTICE_MS);
}

/** @param {number} id */
function drop(id) {
  notices.value = notices.value.filter((one) => one.id !== id);
}

/**
 * Ask before something that cannot be taken back.
 * @param {string} title
 * @param {unknown} text
 * @param {string} act what the button says
 * @returns {Promise<boolean>}
 */
export function confirm(title, text, act, isGrave = true) {
  question.peek()?.answer(false);
  return new Promise((resolve) => {
    const answer = (/** @type {boolean} */ isYes) => {
      question.value = null;
      resolve(isYes);
    };
    question.value = { title, text, act, isGrave, answer };
  });
}

export function toggleHelp() {
  isHelpOpen.value = !isHelpOpen.value;
}

export function Notices() {
  return html`<div class="notices" role="status" aria-live="polite">
    ${notices.value.map(
      (one) => html`<div key=${one.id} class="notice ${one.kind}">
        <div><b>${one.title}</b>${one.text !== "" && html`<span>${one.text}</span>`}</div>
        <button class="icon" aria-label="Close" onClick=${() => drop(one.id)}>×</button>
      </div>`,
    )}
  </div>`;
}

export function Dialogs() {
  const asked = question.value;
  return html`${asked !== null && html`<${Asked} key=${asked} ...${asked} />`}
    ${isHelpOpen.value && html`<${Help} />`}`;
}

/**
 * A modal dialog of the browser: it keeps the focus inside, and Escape closes it.
 * @param {{ label: string, close: () => void, children?: unknown }} properties
 */
export function Modal({ label, close, children }) {
  const place = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const dialog = /** @type {HTMLDialogElement} */ (place.current);
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return html`<dialog
    ref=${place}
    aria-label=${label}
    onCancel=${(/** @type {Event} */ event) => {
      event.preventDefault();
      close();
    }}
    onClick=${(/** @type {Event} */ event) => event.target === place.current && close()}
  >
    <div class="dialog">${children}</div>
  </dialog>`;
}

/** @param {Question} properties */
function Asked({ title, text, act, isGrave, answer }) {
  return html`<${Modal} label=${title} close=${() => answer(false)}>
    <h2>${title}</h2>
    <div class="text">${text}</div>
    <footer>
      <button onClick=${() => answer(false)}>Back</button>
      <button class=${isGrave ? "sell" : "accent"} autofocus onClick=${() => answer(true)}>${act}</button>
    </footer>
  <//>`;
}

const KEYS = [
  ["B", "Buy"],
  ["S", "Sell"],
  ["L", "Limit order"],
  ["M", "Market order"],
  ["/", "Search markets"],
  ["Enter", "Send the order from any of its fields"],
  ["↑ ↓", "One step of the price or the amount; ten with Shift"],
  ["Esc, then Enter", "Cancel all open orders of this market"],
  ["?", "This list"],
];

function Help() {
  return html`<${Modal} label="Keyboard" close=${toggleHelp}>
    <h2>Keyboard</h2>
    <dl class="keys">
      ${KEYS.map(([key, text]) => html`<dt>${key}</dt><dd>${text}</dd>`)}
    </dl>
    <p class="quiet">
      Charts by <a href="https://www.tradingview.com/" rel="noopener" target="_blank">TradingView</a>${" "}·${" "}
      <a href="/NOTICES.txt" target="_blank">Licences</a>${" "}·${" "}<a href="/docs" target="_blank">API</a>
    </p>
    <footer><button autofocus onClick=${toggleHelp}>Close</button></footer>
  <//>`;
}
