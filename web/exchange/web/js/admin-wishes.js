/** What the parts of the admin page share: reading again and again, and asking for a reason. */

import { enter } from "./account.js";
import { ApiError } from "./api.js";
import { Modal } from "./dialogs.js";
import { Fault, submitting } from "./forms.js";
import { html, signal, useEffect } from "./view.js";

/**
 * Something that is read again and again. Only the newest request is shown; a failed one leaves
 * what is known, and says why that is old.
 * @template T
 * @param {() => Promise<T>} read
 */
export function reading(read) {
  const value = /** @type {import("./view.js").Signal<T | null>} */ (signal(null));
  const fault = signal("");
  let newest = 0;
  const load = async () => {
    newest += 1;
    const mine = newest;
    try {
      const found = await read();
      if (mine === newest) {
        value.value = found;
        fault.value = "";
      }
    } catch (refusal) {
      const words = inWords(refusal);
      if (mine === newest) {
        fault.value = words;
      }
    }
  };
  return { value, fault, load };
}

/**
 * Why something was refused. Whose session has ended has to sign in again.
 * @param {unknown} refusal
 */
export function inWords(refusal) {
  if (!(refusal instanceof ApiError)) {
    throw refusal;
  }
  if (refusal.status === 401) {
    enter(null);
  }
  return refusal.words;
}

// --- What is asked before something is done ------------------------------------------------------

/**
 * @typedef {{ name: string, title: string, value: string, choices?: [string, string][] }} Field
 * @typedef {{ title: string, text: string, button: string, isGrave: boolean, fields: Field[],
 *   run: (values: Record<string, string>) => Promise<void> }} Wish
 */

/** @type {import("./view.js").Signal<Wish | null>} */
export const wish = signal(null);

/** @param {Partial<Wish> & Pick<Wish, "title" | "button" | "run">} asked */
export function ask(asked) {
  wish.value = { text: "", isGrave: false, fields: [], ...asked };
}

/** @param {{ wish: Wish }} properties */
export function Asked({ wish: asked }) {
  const close = () => {
    if (wish.peek() === asked) {
      wish.value = null;
    }
  };
  return html`<${Modal} label=${asked.title} close=${close}><${Reasons} asked=${asked} close=${close} /><//>`;
}

/** Counts what was tried, for lists that are read again then. */
export const done = signal(0);
const fault = signal("");
const isBusy = signal(false);

/** @param {{ asked: Wish, close: () => void }} properties */
function Reasons({ asked, close }) {
  useEffect(() => {
    fault.value = "";
  }, []);
  const send = submitting(isBusy, fault, async (/** @type {any} */ event) => {
    try {
      const values = Object.fromEntries(new FormData(event.target));
      await asked.run(
        Object.fromEntries(Object.entries(values).map(([name, text]) => [name, `${text}`.trim()])),
      );
      close();
    } catch (refusal) {
      inWords(refusal);
      throw refusal;
    } finally {
      done.value += 1;
    }
  });
  return html`<form class="stack" onSubmit=${send}>
    <h2>${asked.title}</h2>
    ${asked.text !== "" && html`<p>${asked.text}</p>`}
    ${asked.fields.map((field) => html`<${Entry} key=${field.name} field=${field} />`)}
    <${Entry} field=${{ name: "reason", title: "Reason, for the record", value: "" }} />
    <${Fault} fault=${fault.value} />
    <footer class="wide">
      <button type="button" onClick=${close}>Back</button>
      <button class=${asked.isGrave ? "sell" : "accent"} type="submit" disabled=${isBusy.value}>${asked.button}</button>
    </footer>
  </form>`;
}

/** @param {{ field: Field }} properties */
function Entry({ field: { name, title, value, choices } }) {
  return html`<label class="field"><span>${title}</span>${
    choices === undefined
      ? html`<input name=${name} required maxlength=${name === "reason" ? 500 : 40} autocomplete="off"
          inputmode=${name === "reason" ? "text" : "decimal"} defaultValue=${value} />`
      : html`<select name=${name}>${choices.map(
          ([key, words]) => html`<option value=${key} selected=${key === value}>${words}</option>`,
        )}</select>`
  }</label>`;
}
