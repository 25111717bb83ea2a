/** What the forms of the pages share: fields into signals, and sending once at a time. */

import { ApiError } from "./api.js";
import { html } from "./view.js";

/** @param {import("./view.js").Signal<string>} value */
export function into(value) {
  return (/** @type {any} */ event) => {
    value.value = event.target.value;
  };
}

/**
 * A number as the exchange reads it.
 * @param {string} text
 */
export function plain(text) {
  return text.trim().replaceAll(",", "");
}

/** @param {{ fault: string }} properties */
export function Fault({ fault }) {
  return fault !== "" && html`<p class="fault" role="alert">${fault}</p>`;
}

/**
 * Run what a form asks for, once at a time, and show why it was refused.
 * @param {import("./view.js").Signal<boolean>} isBusy
 * @param {import("./view.js").Signal<string>} fault
 * @param {(event: Event) => Promise<void>} act
 */
export function submitting(isBusy, fault, act) {
  return async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (isBusy.peek()) {
      return;
    }
    isBusy.value = true;
    fault.value = "";
    try {
      await act(event);
    } catch (refusal) {
      if (!(refusal instanceof ApiError)) {
        throw refusal;
      }
      fault.value = refusal.words;
    } finally {
      isBusy.value = false;
    }
  };
}

/**
 * Requests of one form, which carry a reference so that a repeated one is done once. It stays the
 * same for as long as nobody knows what became of the last request.
 */
export function referring() {
  let reference = crypto.randomUUID();
  return async (/** @type {(reference: string) => Promise<void>} */ act) => {
    try {
      await act(reference);
    } catch (refusal) {
      if (refusal instanceof ApiError && !refusal.isUnknown) {
        reference = crypto.randomUUID();
      }
      throw refusal;
    }
    reference = crypto.randomUUID();
  };
}
