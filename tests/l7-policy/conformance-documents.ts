import { globSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

const data = resolve(import.meta.dirname, '../conformance/data');

/** The documents of one conformance case. */
export interface CaseDocuments {
  readonly title: string;
  readonly policies: string;
  readonly nodeSelectorLabels: boolean;
  /** The case expects a refusal. */
  readonly refused: boolean;
}

interface WrittenCase {
  readonly name: string;
  readonly policies?: string;
  readonly config?: { readonly nodeSelectorLabels?: boolean };
  readonly errors?: readonly unknown[];
}

/** The policies of every conformance case that has some. */
export function conformanceDocuments(): readonly CaseDocuments[] {
  return globSync('*.yaml', { cwd: data })
    .sort()
    .flatMap((file) => {
      const { cases }: { readonly cases: readonly WrittenCase[] } = parse(
        readFileSync(resolve(data, file), 'utf8'),
      );
      return cases.flatMap(({ name, policies = '', config, errors }) => ({
        title: `${basename(file, '.yaml')}: ${name}`,
        policies,
        nodeSelectorLabels: config?.nodeSelectorLabels === true,
        refused: errors !== undefined,
      }));
    })
    .filter(({ policies }) => policies.trim() !== '');
}

/** The values of a text's YAML documents, those that hold something. */
export function yamlValues(text: string): readonly unknown[] {
  return [...parseAllDocuments(text)]
    .map((document): unknown => document.toJS())
    .filter((value) => value !== null && value !== undefined);
}
