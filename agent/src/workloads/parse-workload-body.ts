import { stringify } from 'yaml';
import { parseWorkloads } from './parse-workloads.ts';
import type { Workload } from './workload.ts';

/** Parses one workload as the API and the state store hold it. Throws an Error with what is wrong. */
export function parseWorkloadBody(value: unknown): Workload {
  const { attachment, ...rest } = isRecord(value) ? value : {};
  const { kind, name, ...place } = isRecord(attachment) ? attachment : {};
  const fields = kind === 'interface' ? { interface: name } : place;
  const namedPorts = isRecord(rest['namedPorts'])
    ? Object.fromEntries(Object.entries(rest['namedPorts']).map(([port, at]) => [port, namedPortText(at)]))
    : undefined;
  const workload = { ...rest, ...fields, ...(namedPorts === undefined ? {} : { namedPorts }) };
  const result = parseWorkloads(stringify({ workloads: [workload] }), 'workload');
  if (result.kind === 'refused') throw new Error(result.problems.map(({ message }) => message).join('; '));
  const [parsed] = result.workloads;
  if (parsed === undefined) throw new Error('expected a workload');
  return parsed;
}

function namedPortText(value: unknown): unknown {
  return isRecord(value) ? `${value['port']}/${value['protocol']}` : value;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
