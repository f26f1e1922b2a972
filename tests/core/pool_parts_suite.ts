import { ExpiryQueue } from "../../src/agent/core/expiry_queue.ts";
import { Heap } from "../../src/agent/core/heap.ts";
import { LinkedList } from "../../src/agent/core/linked_list.ts";
import { SlotTable } from "../../src/agent/core/slot_table.ts";
import { WaitingQueue } from "../../src/agent/core/waiting_queue.ts";
import { suite } from "../harness/suite.ts";
import {
  checkExpiryBuckets,
  checkExpiryOrder,
  checkHeap,
  checkList,
  checkSpareRecords,
  checkSpareTickets,
} from "./pool_parts.ts";

const test = suite("PoolCore's parts");

test("Heap.top is the lowest rank through random changes", () => checkHeap(new Heap()));

test("SlotTable knows what is in use, and of the rest what was so last", () =>
  checkSpareRecords(new SlotTable()));

test("WaitingQueue gives the ticket that was left last to who comes next", () =>
  checkSpareTickets(new WaitingQueue()));

test("LinkedList keeps the order of arrival and lets anyone leave", () => checkList(new LinkedList()));

test("ExpiryQueue finds in the order of time, at most a grain late and never early", () => {
  checkExpiryOrder(new ExpiryQueue());
});

test("ExpiryQueue has one bucket a grain and keeps no empty one but the last used", () => {
  checkExpiryBuckets(new ExpiryQueue());
});

test.run();
