/**
 * Facts of a client that Node's http document tells, one by one, as lines of text: for comparing ours with node:http. Where
 * http_order.ts and http_scenes.ts ask which events come in which order, these ask what members say, what methods return, what
 * options send and which error is told.
 *
 * Owns how a fact is found out; the facts are http_facts_*.ts's. Nothing in a fact depends on time.
 */
import { type AnyOptions, type Fact, type Facts, type Kit, type Request, wordsOf } from "./http_fact.ts";
import { errorFacts } from "./http_facts_errors.ts";
import { memberFacts } from "./http_facts_members.ts";
import { optionFacts } from "./http_facts_options.ts";
import { orderFacts } from "./http_facts_orders.ts";
import { ok, type WireAnswer, wireOrigin } from "./http_origin.ts";

/** What is told behind the last line. */
const REST_MS = 15;
const PATIENCE_MS = 10_000;

/** All of them. */
export const FACTS: Facts = { ...optionFacts, ...memberFacts, ...errorFacts, ...orderFacts };

const whole: WireAnswer = (socket, { head }) =>
  void socket.write(head.startsWith("HEAD") ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" : ok());

async function find(kit: Kit, fact: Fact): Promise<string> {
  const origin = await wireOrigin(fact.answer ?? whole);
  const agent = new kit.Agent({ keepAlive: true, ...fact.agent });
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const ask = (options?: AnyOptions): Request =>
    kit.request({ host: "127.0.0.1", port: origin.port, agent, ...options }) as Request;
  let giveUp: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    giveUp = setTimeout(() => {
      log("nothing more came");
      resolve();
    }, PATIENCE_MS);
  });
  try {
    await Promise.race([fact.play({ kit, origin, agent, log, ask }), late]);
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
  } catch (error) {
    log(`thrown ${wordsOf(error)}`);
  } finally {
    clearTimeout(giveUp);
    agent.destroy();
    await origin.close();
  }
  return lines.join("; ").replaceAll(String(origin.port), "PORT");
}

/** Finds all of them out with a client, a few at a time: name to lines. */
export async function factsOf(
  given: unknown,
  isWanted: (name: string) => boolean = () => true,
): Promise<Map<string, string>> {
  const kit = given as Kit;
  const logs = new Map<string, string>();
  const waiting = Object.keys(FACTS).filter(isWanted);
  for (const name of waiting) logs.set(name, "");
  const work = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      logs.set(name, await find(kit, FACTS[name]!));
    }
  };
  await Promise.all(Array.from({ length: 4 }, work));
  return logs;
}
