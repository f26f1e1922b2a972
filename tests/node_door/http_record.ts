/** The recorded logs of node:http, and ours where they differ. */
import { readFileSync } from "node:fs";

/** What is told in a situation. */
export interface Order {
  readonly theirs: string;
  readonly ours: string;
}

/** Reads what http_order_record.ts has printed: name to log. */
export function readRecord(path: string): Map<string, Order> {
  const text = readFileSync(path, "utf8");
  const orders = new Map<string, Order>();
  let order: Order = { theirs: "", ours: "" };
  for (const line of text.trimEnd().split("\n")) {
    if (line.startsWith("    ")) orders.set(line.trim(), order);
    else if (line.startsWith("! ")) order = { ...order, ours: line.slice(2) };
    else order = { theirs: line, ours: line };
  }
  return orders;
}
