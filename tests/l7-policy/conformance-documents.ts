import { globSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { EndpointFact } from '@weir/l7-policy';
import { parse, parseAllDocuments } from 'yaml';

const data = resolve(import.meta.dirname, '../conformance/data');

/** The documents of one conformance case. */
export interface CaseDocuments {
  readonly title: string;
  readonly policies: string;
  readonly nodeSelectorLabels: boolean;
  readonly endpoints: readonly EndpointFact[];
  /** The case expects a refusal. */
  readonly refused: boolean;
}

interface WrittenCase {
  readonly name: string;
  readonly policies?: string;
  readonly endpoints?: Readonly<Record<string, WrittenEndpoint>>;
  readonly config?: { readonly nodeSelectorLabels?: boolean };
  readonly errors?: readonly unknown[];
}

interface WrittenEndpoint {
  readonly labels?: Readonly<Record<string, string>>;
  readonly ips?: readonly string[];
  readonly namedPorts?: Readonly<Record<string, string>>;
  readonly managed?: boolean;
}

/** The policies of every conformance case that has some. */
export function conformanceDocuments(): readonly CaseDocuments[] {
  return globSync('*.yaml', { cwd: data })
    .sort()
    .flatMap((file) => {
      const { cases }: { readonly cases: readonly WrittenCase[] } = parse(
        readFileSync(resolve(data, file), 'utf8'),
      );
      return cases.flatMap(({ name, policies = '', config, errors, endpoints = {} }) => ({
        title: `${basename(file, '.yaml')}: ${name}`,
        policies,
        nodeSelectorLabels: config?.nodeSelectorLabels === true,
        endpoints: Object.entries(endpoints).map(([id, written]) => endpointFact(id, written)),
        refused: errors !== undefined,
      }));
    })
    .filter(({ policies }) => policies.trim() !== '');
}

function endpointFact(id: string, { labels, ips, namedPorts, managed }: WrittenEndpoint): EndpointFact {
  return {
    id,
    labels: Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`),
    addresses: ips ?? [],
    namedPorts: Object.entries(namedPorts ?? {}).map(([name, text]) => {
      const [port = '', protocol] = text.split('/');
      return {
        name,
        port: Number(port),
        protocol: protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP',
      };
    }),
    local: managed !== false,
  };
}

/** The values of a text's YAML documents, those that hold something. */
export function yamlValues(text: string): readonly unknown[] {
  return [...parseAllDocuments(text)]
    .map((document): unknown => document.toJS())
    .filter((value) => value !== null && value !== undefined);
}
