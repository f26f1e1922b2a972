import * as assert from "uvu/assert";
import { EndpointTable, plainName } from "../../src/agent/endpoint_table.ts";
import { PoolStats } from "../../src/agent/pool_stats.ts";
import { RecentMap } from "../../src/agent/recent_map.ts";
import { suite } from "../harness/suite.ts";

const test = suite("RecentMap");

test("keeps the half that was asked for last, and never more than all", () => {
  const forgotten: number[] = [];
  const map = new RecentMap<number>(8, (value) => forgotten.push(value));
  for (let n = 0; n < 100; n++) {
    map.set(`${n}`, n);
    assert.is(map.get("0"), 0, "asked for each time");
    for (let recent = n; recent > Math.max(0, n - 3); recent--) assert.is(map.get(`${recent}`), recent);
    assert.ok(map.size <= 8);
    assert.equal([...map.keys()].map(Number).sort(), [...map.values()].sort());
  }
  assert.is(forgotten.length + map.size, 100);
  assert.is(new Set([...forgotten, ...map.values()]).size, 100);
  map.clear();
  assert.equal([map.size, map.get("0")], [0, undefined]);
});

test("an endpoint stays the same object among 10,000 others, and its key the same for ever", () => {
  const table = new EndpointTable();
  const find = (n: number): object => table.find({ host: `host${n}`, port: 80 }, false, plainName);
  const all = Array.from({ length: 10_000 }, (_, n) => find(n));
  for (let round = 0; round < 2; round++) {
    for (const [n, endpoint] of all.entries()) assert.ok(find(n) === endpoint);
  }
  const { key } = table.find({ host: "a", port: 80 }, false, plainName).place;
  for (let n = 0; n < 50_000; n++) find(n);
  assert.is(table.find({ host: "a", port: 80 }, false, plainName).place.key, key);
});

test("endpoints that no other request has do not pile up, and their keys differ", () => {
  const table = new EndpointTable();
  const keys = new Set<string>();
  for (let n = 0; n < 1_000; n++) {
    const lookup = (): void => {};
    keys.add(table.find({ host: "a", port: 80, lookup }, false, plainName).place.key);
  }
  assert.is(keys.size, 1_000);
});

test("the counts of names that are not kept any more are in the whole", () => {
  const stats = new PoolStats();
  for (let n = 0; n < 40_000; n++) stats.of(`${n}`).opened++;
  assert.is(stats.total().opened, 40_000);
  assert.ok([...stats.names()].length <= 16_384);
});

test("counts go on being counted for who holds them when their name is not kept any more", () => {
  const stats = new PoolStats();
  const held = stats.of("held");
  held.reuse();
  for (let n = 0; n < 40_000; n++) stats.of(`${n}`);
  assert.not([...stats.names()].includes("held"));
  held.reuse();
  stats.of("held").reuse();
  assert.is(stats.total().reused, 3);
});

test.run();
