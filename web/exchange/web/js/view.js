/** The vendored view library, under one name for all modules. */

export * from "../vendor/preact-11.2.0.js";
