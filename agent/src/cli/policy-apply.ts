import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Problem } from '@weir/l7-policy';
import { Command } from 'commander';
import type { Status } from '../api/api-types.ts';
import { placeFile } from '../files/place-file.ts';
import { POLICY_FILE } from '../options.ts';
import { clientOf, type GlobalOptions, globalOptions, print } from './global-options.ts';
import { fileProblems, validationText } from './policy-validate.ts';

/** `weir policy apply FILE…`: puts files into the agent's folder and returns when what they say is in force. */
export function applyCommand(): Command {
  return new Command('apply')
    .description(
      "put files into the agent's policy folder and return when they are in force; status 1 when not",
    )
    .argument('<file...>', 'files; one of the same name in the folder is replaced')
    .action(async (files: readonly string[], _words, command: Command) => {
      const options = globalOptions(command);
      const names = new Set(files.map((file) => basename(file)));
      if (names.size < files.length) throw new Error('two of the files have the same name');
      const unread = files.find((file) => !POLICY_FILE.test(basename(file)));
      if (unread !== undefined)
        throw new Error(`${unread}: the agent reads .yaml, .yml and .json files only`);
      const directory = await policyDirectory(options);
      const others = readdirSync(directory, { withFileTypes: true })
        .filter((entry) => entry.isFile() && POLICY_FILE.test(entry.name) && !names.has(entry.name))
        .map(({ name }) => join(directory, name));
      const problems = fileProblems([...others, ...files]).filter(({ file }) => files.includes(file));
      if (problems.some(({ severity }) => severity === 'error')) return refuse(options, problems);
      const texts = files.map((file) => [basename(file), readFileSync(file)] as const);
      for (const [name, text] of texts) placeFile(directory, name, text);
      await settle(options, problems);
    });
}

/** `weir policy remove NAME…`: takes files out of the agent's folder. */
export function removeCommand(): Command {
  return new Command('remove')
    .description(
      "take files out of the agent's policy folder and return when that is in force; status 1 when not",
    )
    .argument('<name...>', 'names of files in the folder')
    .action(async (names: readonly string[], _words, command: Command) => {
      const options = globalOptions(command);
      const directory = await policyDirectory(options);
      const paths = names.map((name) => join(directory, basename(name)));
      const missing = paths.find((path) => !existsSync(path));
      if (missing !== undefined) throw new Error(`there is no ${missing}`);
      for (const path of paths) rmSync(path);
      await settle(options, []);
    });
}

async function policyDirectory(options: GlobalOptions): Promise<string> {
  return ((await clientOf(options).call('GET', '/v1/status')) as Status).policies.directory;
}

function refuse(options: GlobalOptions, problems: readonly Problem[]): void {
  print(options, { problems, missing: [] }, () => `${validationText(problems)}; nothing was changed`);
  process.exitCode = 1;
}

async function settle(options: GlobalOptions, problems: readonly Problem[]): Promise<void> {
  const { missing } = (await clientOf(options).call('POST', '/v1/sync')) as { missing: readonly string[] };
  print(options, { problems, missing }, () =>
    [
      ...(problems.length > 0 ? [validationText(problems)] : []),
      missing.length === 0 ? 'in force' : missing.join('\n'),
    ].join('\n'),
  );
  if (missing.length > 0) process.exitCode = 1;
}
