/**
 * Proves that the pool's fuzz can fail: makes one fault after another in the pool's files, runs the fuzz against each,
 * and lists the faults that it did not notice. A task of its own, some minutes long, not part of the gate.
 *
 * ```sh
 * deno run -A tests/fuzz/pool_mutations.ts                 # all
 * deno run -A tests/fuzz/pool_mutations.ts waiting_queue   # one file
 * ```
 *
 * A fault is one change of a count, a list, a comparison, a condition or a result: see `faultsOf`. Each mutant is
 * compiled in memory; its loops are counted, so that one that never ends is noticed too. Exit code 1 if a fault
 * survives that pool_survivors.ts does not give a reason for, or if one listed there is noticed after all.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- this is a command: its output is the console
import { readFileSync } from "node:fs";
import process from "node:process";
import ts from "typescript";
import type { ExpiryQueue } from "../../src/agent/core/expiry_queue.ts";
import type { Heap } from "../../src/agent/core/heap.ts";
import type { PoolLimits } from "../../src/agent/core/pool.ts";
import type { SlotTable } from "../../src/agent/core/slot_table.ts";
import type { WaitingQueue } from "../../src/agent/core/waiting_queue.ts";
import { type FuzzedPool, fuzzPool } from "../core/pool_fuzz.ts";
import {
  checkExpiryBuckets,
  checkExpiryOrder,
  checkHeap,
  checkSpareRecords,
  checkSpareTickets,
  type Idle,
  type Ranked,
} from "../core/pool_parts.ts";
import { SURVIVORS } from "./pool_survivors.ts";

const CORE = new URL("../../src/agent/core/", import.meta.url);
const FILES: readonly string[] = [
  "linked_list",
  "heap",
  "expiry_queue",
  "pool_records",
  "slot_table",
  "waiting_queue",
  "pool_actions",
  "pool",
];
const SEEDS: readonly number[] = [1, 2, 3];
const STEPS_PER_SEED = 40_000;
/** More turns of a loop in one step than this: it does not end. */
const MAX_LOOP_TURNS = 20_000;

/** Replaces the source between two offsets. */
interface Fault {
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const sources = new Map(FILES.map((file) => [file, readFileSync(new URL(`${file}.ts`, CORE), "utf8")]));

function describe(fault: Fault): string {
  const source = sources.get(fault.file)!;
  const lineStart = source.lastIndexOf("\n", fault.start) + 1;
  const line = source.slice(lineStart, source.indexOf("\n", fault.start)).trim();
  const was = source.slice(fault.start, fault.end).replace(/\s+/g, " ");
  return `${fault.file}: ${line} | ${was} -> ${fault.text.replace(/\s+/g, " ")}`;
}

/** Runs the checks and the fuzz against the pool with a fault; true if all stays green. */
function survives(fault: Fault | undefined): boolean {
  let turns = 0;
  const countTurn = (): void => {
    if (++turns > MAX_LOOP_TURNS) throw new Error("A loop does not end");
  };
  const startStep = (): void => {
    turns = 0;
  };
  try {
    const { PoolCore, Heap, ExpiryQueue, SlotTable, WaitingQueue } = compile(fault, countTurn);
    checkExpiryBuckets(new ExpiryQueue());
    checkExpiryOrder(new ExpiryQueue(), startStep);
    checkHeap(new Heap(), startStep);
    checkSpareRecords(new SlotTable(), startStep);
    checkSpareTickets(new WaitingQueue(), startStep);
    for (const seed of SEEDS) fuzzPool((limits) => new PoolCore(limits), seed, STEPS_PER_SEED, startStep);
    return true;
  } catch {
    return false;
  }
}

interface Mutant {
  readonly PoolCore: new (limits: PoolLimits) => FuzzedPool;
  readonly Heap: new () => Heap<Ranked>;
  readonly ExpiryQueue: new () => ExpiryQueue<Idle>;
  readonly SlotTable: new () => SlotTable<object, object>;
  readonly WaitingQueue: new () => WaitingQueue<object, number>;
}

function compile(fault: Fault | undefined, countTurn: () => void): Mutant {
  const modules = new Map<string, Record<string, unknown>>();
  for (const file of FILES) {
    let source = sources.get(file)!;
    if (fault?.file === file) source = source.slice(0, fault.start) + fault.text + source.slice(fault.end);
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
      transformers: { before: [countLoops] },
    });
    const exports: Record<string, unknown> = {};
    modules.set(file, exports);
    const require = (path: string): unknown => modules.get(path.slice(2, -3));
    new Function("exports", "require", "countTurn", outputText)(exports, require, countTurn);
  }
  return Object.assign({}, ...modules.values()) as Mutant;
}

/** Lets each turn of each loop call countTurn(). */
function countLoops(context: ts.TransformationContext): (file: ts.SourceFile) => ts.SourceFile {
  const { factory } = context;
  const call = factory.createExpressionStatement(
    factory.createCallExpression(factory.createIdentifier("countTurn"), undefined, []),
  );
  const visit = (node: ts.Node): ts.Node => {
    const seen = ts.visitEachChild(node, visit, context);
    if (ts.isWhileStatement(seen)) {
      return factory.updateWhileStatement(seen, seen.expression, factory.createBlock([call, seen.statement]));
    }
    if (ts.isForStatement(seen)) {
      const body = factory.createBlock([call, seen.statement]);
      return factory.updateForStatement(seen, seen.initializer, seen.condition, seen.incrementor, body);
    }
    return seen;
  };
  return (file) => ts.visitEachChild(file, visit, context);
}

/** One fault for each thing in the file that can be wrong on its own. */
function faultsOf(file: string): Fault[] {
  const faults: Fault[] = [];
  const tree = ts.createSourceFile(`${file}.ts`, sources.get(file)!, ts.ScriptTarget.ES2022, true);
  const visit = (node: ts.Node): void => {
    for (const text of replacementsOf(node)) {
      faults.push({ file, start: node.getStart(tree), end: node.getEnd(), text });
    }
    if (!isTypeOnly(node)) ts.forEachChild(node, visit);
  };
  visit(tree);
  return faults;
}

function isTypeOnly(node: ts.Node): boolean {
  return ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) ||
    ts.isImportDeclaration(node);
}

const COMPARISONS: Readonly<Record<string, readonly string[]>> = {
  "<": ["<=", ">"],
  "<=": ["<", ">"],
  ">": [">=", "<"],
  ">=": [">", "<"],
  "===": ["!=="],
  "!==": ["==="],
  "&&": ["||"],
  "||": ["&&"],
  "+": ["-"],
  "-": ["+"],
  "*": ["/"],
  "/": ["*"],
  ">>": ["<<"],
};

const ASSIGNMENTS: Readonly<Record<string, readonly string[]>> = {
  "+=": ["-="],
  "-=": ["+="],
  "??=": ["="],
};

function replacementsOf(node: ts.Node): string[] {
  const text = (part: ts.Node): string => part.getText();
  if (ts.isExpressionStatement(node)) return ["{}"];
  if (ts.isReturnStatement(node) && node.expression === undefined) return ["{}"];
  if (ts.isIfStatement(node)) return ifFaults(node);
  if (ts.isConditionalExpression(node)) return [`(${text(node.whenTrue)})`, `(${text(node.whenFalse)})`];
  if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
    const operand = text(node.operand);
    switch (node.operator) {
      case ts.SyntaxKind.PlusPlusToken:
        return [`${operand}--`];
      case ts.SyntaxKind.MinusMinusToken:
        return [`${operand}++`];
      case ts.SyntaxKind.ExclamationToken:
        return [operand];
    }
    return [];
  }
  if (ts.isBinaryExpression(node)) return binaryFaults(node);
  if (node.kind === ts.SyntaxKind.TrueKeyword) return ["false"];
  if (node.kind === ts.SyntaxKind.FalseKeyword) return ["true"];
  if (ts.isNumericLiteral(node)) return [String(Number(node.text) + 1)];
  if (ts.isIdentifier(node) && node.text === "Infinity") return ["0"];
  if (ts.isPropertyAccessExpression(node)) return propertyFaults(node);
  return [];
}

function ifFaults(node: ts.IfStatement): string[] {
  const then = node.thenStatement.getText();
  const otherwise = node.elseStatement?.getText();
  return [otherwise ?? "{}", otherwise === undefined ? then : `{ ${then} }`];
}

function binaryFaults(node: ts.BinaryExpression): string[] {
  const [left, operator, right] = [node.left, node.operatorToken, node.right].map((part) => part.getText());
  const others = COMPARISONS[operator!] ?? ASSIGNMENTS[operator!] ?? [];
  const faults = others.map((other) => `${left} ${other} ${right}`);
  if (operator === "&&" || operator === "||") faults.push(left!, right!);
  if (operator === "??") faults.push(`(${left})`, `(${right})`);
  return faults;
}

/** The other end of a list, the other list, the other cap. */
function propertyFaults(node: ts.PropertyAccessExpression): string[] {
  const other: Readonly<Record<string, string>> = {
    first: "last",
    last: "first",
    next: "prev",
    prev: "next",
    maxSockets: "maxTotalSockets",
    maxTotalSockets: "maxSockets",
    planned: "held",
    held: "planned",
  };
  const swapped = other[node.name.text];
  // A list that has a first has a last: no fault.
  if (isComparedWithUndefined(node) && (swapped === "first" || swapped === "last")) return [];
  return swapped === undefined ? [] : [`${node.expression.getText()}.${swapped}`];
}

function isComparedWithUndefined(node: ts.Node): boolean {
  return ts.isBinaryExpression(node.parent) && node.parent.right.getText() === "undefined";
}

function main(wanted: string | undefined): number {
  if (!survives(undefined)) throw new Error("The fuzz fails without a fault");
  const survivors: string[] = [];
  let noticed = 0;
  for (const file of FILES) {
    if (wanted !== undefined && file !== wanted) continue;
    for (const fault of faultsOf(file)) {
      if (survives(fault)) survivors.push(describe(fault));
      else noticed++;
    }
    console.log(`${file}: ${noticed} noticed so far, ${survivors.length} survive`);
  }
  const reasons = new Map(SURVIVORS.flatMap(([reason, ids]) => ids.map((id) => [id, reason] as const)));
  for (const id of survivors) console.log(`${id}\n    ${reasons.get(id) ?? "SURVIVES WITHOUT A REASON"}`);
  const listed = [...reasons.keys()].filter((id) => wanted === undefined || id.startsWith(`${wanted}:`));
  const stale = listed.filter((id) => !survivors.includes(id));
  for (const id of stale) console.log(`LISTED as a survivor, but noticed or not there: ${id}`);
  const unexplained = survivors.filter((id) => !reasons.has(id)).length;
  console.log(`${noticed} noticed, ${survivors.length} survive, ${unexplained} of them without a reason`);
  return unexplained + stale.length > 0 ? 1 : 0;
}

process.exit(main(process.argv[2]));
