/**
 * The npm package's manifest, made from deno.json: one source for dnt (`build_npm.ts`) and its stand-in
 * (`emit_npm.ts`).
 */

/** The parts of deno.json that the package is made of. */
export interface DenoConfig {
  name: string;
  version: string;
  license: string;
  /** Entry point name ("./testing") -> source file. */
  exports: Record<string, string>;
}

/** Reads deno.json. */
export async function readDenoConfig(): Promise<DenoConfig> {
  return JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
}

/** Where `mod.ts` is emitted to, without its ending: "mod"; for "./src/http.ts": "src/http". */
export function emittedStem(source: string): string {
  return source.replace(/^\.\//, "").replace(/\.ts$/, "");
}

/** What dnt takes as `package`; it adds the entry points to `exports` itself. */
export function packageFields(
  config: DenoConfig,
): Record<string, unknown> & { name: string; version: string; exports: Record<string, string> } {
  return {
    name: config.name,
    version: config.version,
    description: "Node's http.Agent and HTTP client done right, the same on Node, Deno and Bun",
    license: config.license,
    keywords: ["http", "agent", "keep-alive", "connection-pool", "http-client", "node", "deno", "bun"],
    engines: { node: ">=20" },
    sideEffects: false,
    // Tools read a package's version by it.
    exports: { "./package.json": "./package.json" },
  };
}

/** The whole package.json, as dnt writes it. */
export function packageManifest(config: DenoConfig): Record<string, unknown> {
  const entries = Object.entries(config.exports).map(([name, source]) => {
    const stem = emittedStem(source);
    return [name, { import: `./esm/${stem}.js`, require: `./script/${stem}.js` }] as const;
  });
  const fields = packageFields(config);
  return {
    ...fields,
    main: "./script/mod.js",
    module: "./esm/mod.js",
    types: "./esm/mod.d.ts",
    exports: { ...Object.fromEntries(entries), ...fields.exports },
  };
}
