/**
 * The house rules that imports do not show, as a `deno lint` plugin: a runtime is named only in its adapter and in
 * `runtime/mod.ts`, only `clock.ts` waits or reads time, and nobody prints.
 */

/** Global -> the source files that may name it. */
const OWNERS: Readonly<Record<string, RegExp>> = {
  Deno: /\/src\/runtime\/(deno[a-z0-9_]*|mod)\.ts$/,
  Bun: /\/src\/runtime\/(bun[a-z0-9_]*|mod)\.ts$/,
  console: /^$/,
  process: /\/src\/runtime\/(node[a-z0-9_]*|mod)\.ts$/,
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
          // A timer by another name.
          "MemberExpression[object.name='AbortSignal'][property.name='timeout']"(
            node: Deno.lint.MemberExpression,
          ): void {
            context.report({ node, message: "AbortSignal.timeout() is a timer: only clock.ts waits" });
          },
        };
      },
    },
  },
};

/** False for `x.Deno` of another object than globalThis, `{ Deno: 1 }`, a type's member and the like. */
function isGlobalUse(node: Deno.lint.Identifier): boolean {
  const { parent } = node;
  switch (parent.type) {
    case "MemberExpression":
      return parent.property !== node || parent.computed || isGlobalThis(parent.object);
    case "Property":
      // The key of a pattern reads the member: const { setTimeout: wait } = globalThis.
      return parent.key !== node || parent.computed || parent.parent.type === "ObjectPattern";
    case "TSPropertySignature":
    case "TSMethodSignature":
    case "MethodDefinition":
    case "PropertyDefinition":
      return parent.key !== node;
    default:
      return true;
  }
}

/** `globalThis`, whatever type it is taken for. */
function isGlobalThis(node: Deno.lint.Node): boolean {
  switch (node.type) {
    case "Identifier":
      return node.name === "globalThis";
    case "TSAsExpression":
    case "TSNonNullExpression":
    case "TSTypeAssertion":
      return isGlobalThis(node.expression);
    default:
      return false;
  }
}

export default plugin;
