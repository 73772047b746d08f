import type { Command } from 'commander';
import { type ControlClient, controlClient } from '../api/control-client.ts';
import { runDirectory, socketPaths } from '../options.ts';

/** Options that stand before the command. */
export interface GlobalOptions {
  readonly instance: string;
  readonly runDir?: string;
  readonly json?: boolean;
}

/** The options that stand before any command of `command`'s program. */
export function globalOptions(command: Command): GlobalOptions {
  return command.optsWithGlobals<GlobalOptions>();
}

/** A client of the agent that the options name. */
export function clientOf(options: GlobalOptions): ControlClient {
  return controlClient(socketPaths(runDirectory(options)).control);
}

/** Prints a value as JSON, or as `show` puts it for people. */
export function print<Value>({ json }: GlobalOptions, value: Value, show: (value: Value) => string): void {
  process.stdout.write(`${json === true ? JSON.stringify(value, null, 2) : show(value)}\n`);
}
