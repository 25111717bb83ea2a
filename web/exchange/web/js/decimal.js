/**
 * Decimal text as whole units and back. An amount is a bigint in the smallest unit of its asset;
 * nothing on this page computes with fractions.
 */

/** @type {bigint[]} */
const POWERS = Array.from({ length: 40 }, (_, exponent) => 10n ** BigInt(exponent));

/** @param {number} exponent */
export function power(exponent) {
  return POWERS[exponent];
}

/**
 * Units from what the exchange sends or a person types; null for what is no such number.
 * @param {string} text
 * @param {number} decimals
 * @returns {bigint | null}
 */
export function toUnits(text, decimals) {
  const point = text.indexOf(".");
  // What the exchange sends always has all decimals: this is every level of every diff.
  if (point > 0 && text.length - point - 1 === decimals && /^\d+\.\d+$/.test(text)) {
    return BigInt(text.slice(0, point) + text.slice(point + 1));
  }
  const match = /^(\d*)(?:\.(\d*))?$/.exec(text.trim().replaceAll(",", ""));
  if (match === null || (match[1] === "" && !match[2])) {
    return null;
  }
  const fraction = (match[2] ?? "").replace(/0+$/, "");
  if (fraction.length > decimals) {
    return null;
  }
  return BigInt(match[1] + fraction.padEnd(decimals, "0"));
}

/**
 * Units from an exchange's text; what is no number there is a fault of ours.
 * @param {string} text
 * @param {number} decimals
 */
export function sentUnits(text, decimals) {
  const units = toUnits(text.startsWith("-") ? text.slice(1) : text, decimals);
  if (units === null) {
    throw new Error(`not an amount: ${text}`);
  }
  return text.startsWith("-") ? -units : units;
}

/**
 * Plain text with exactly `shown` decimals; digits beyond are cut off, never rounded up.
 * @param {bigint} units
 * @param {number} decimals
 * @param {number} [shown]
 */
export function toText(units, decimals, shown = decimals) {
  const digits = (units < 0n ? -units : units).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = digits.slice(digits.length - decimals).slice(0, shown);
  const sign = units < 0n ? "-" : "";
  return sign + (shown > 0 ? `${whole}.${fraction.padEnd(shown, "0")}` : whole);
}

/**
 * Plain text without zeros at its end, as a person would type it.
 * @param {bigint} units
 * @param {number} decimals
 */
export function toShortText(units, decimals) {
  const text = toText(units, decimals);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/**
 * How many decimals a step such as "0.01000000" really has.
 * @param {bigint} step
 * @param {number} decimals
 */
export function decimalsOf(step, decimals) {
  let shown = decimals;
  while (shown > 0 && step % power(decimals - shown + 1) === 0n) {
    shown -= 1;
  }
  return shown;
}

/**
 * The largest multiple of `step` that is not above.
 * @param {bigint} units
 * @param {bigint} step
 */
export function floorTo(units, step) {
  return units - (units % step);
}

/**
 * The smallest multiple of `step` that is not below.
 * @param {bigint} units
 * @param {bigint} step
 */
export function ceilTo(units, step) {
  const rest = units % step;
  return rest === 0n ? units : units + step - rest;
}
