/**
 * The house rules that imports do not show, as a `deno lint` plugin: a runtime is named only in its adapter and in
 * `runtime/mod.ts`, only `clock.ts` waits or reads time, and nobody
 * prints.
 */

/** Global -> the source files that may name it. */
const OWNERS: Readonly<Record<string, RegExp>> = {
  Deno: /\/src\/runtime\/(deno[a-z0-9_]*|mod)\.ts$/,
  Bun: /\/src\/runtime\/(bun[a-z0-9_]*|mod)\.ts$/,
  console: /^$/,
  process: /\/src\/runtime\/mod\.ts$/,
  setTimeout: /\/src\/clock\.ts$/,
  setInterval: /\/src\/clock\.ts$/,
  setImmediate: /\/src\/clock\.ts$/,
  performance: /\/src\/clock\.ts$/,
  Date: /\/src\/clock\.ts$/,
};

const plugin: Deno.lint.Plugin = {
  name: "holdfast",
  rules: {
    "owned-globals": {
      create(context): Deno.lint.LintVisitor {
        if (!context.filename.includes("/src/")) return {};
        const check = (node: Deno.lint.Identifier | Deno.lint.Literal, name: string): void => {
          const owner = Object.hasOwn(OWNERS, name) ? OWNERS[name] : undefined;
          if (owner === undefined || owner.test(context.filename)) return;
          context.report({ node, message: `"${name}" may be named only in ${owner.source}` });
        };
        return {
          Identifier(node): void {
            if (isGlobalUse(node)) check(node, node.name);
          },
          // globalThis["Deno"]
          "MemberExpression[computed=true] > Literal"(node: Deno.lint.Literal): void {
            if (typeof node.value === "string") check(node, node.value);
          },
        };
      },
    },
  },
};

/** False for `x.Deno` of a named object, `{ Deno: 1 }`, a type's member and the like. */
function isGlobalUse(node: Deno.lint.Identifier): boolean {
  const parent = node.parent as Deno.lint.Node & { computed?: boolean; key?: unknown; property?: unknown };
  switch (parent.type) {
    case "MemberExpression":
      return parent.property !== node || parent.computed === true ||
        (parent.object.type === "Identifier" && parent.object.name === "globalThis");
    case "Property":
      return parent.key !== node || parent.computed === true;
    case "TSPropertySignature":
    case "TSMethodSignature":
    case "MethodDefinition":
    case "PropertyDefinition":
      return parent.key !== node;
    default:
      return true;
  }
}

export default plugin;
