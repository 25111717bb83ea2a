export { h, render } from "preact";
export { useEffect, useRef, useMemo } from "preact/hooks";
export { signal, computed, effect, batch, untracked, useSignal, useComputed } from "@preact/signals";
export { html } from "htm/preact";
export type { ReadonlySignal, Signal } from "@preact/signals";
