/** Runs a program from the project's root, or another folder, and keeps what it says. */
import { root } from "./runtimes.ts";

/** How a program ended. */
export interface CommandResult {
  readonly success: boolean;
  /** What it wrote to both outputs. */
  readonly text: string;
}

/** Resolves when it has ended, whatever its exit code. */
export async function runCommand(program: string, args: string[], cwd: URL = root): Promise<CommandResult> {
  const output = await new Deno.Command(program, { args, cwd, stdin: "null", env: { NO_COLOR: "1" } })
    .output();
  const text = new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr);
  return { success: output.success, text };
}
