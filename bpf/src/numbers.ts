import type { Branded } from './brand.ts';

/** Interface number in the network namespace of the calling process, from 1. */
export type Ifindex = Branded<number, 'Ifindex'>;
/** Numeric identity of a peer or workload, 32 bits. In policy entries 0 stands for any peer. */
export type IdentityNumber = Branded<number, 'IdentityNumber'>;
/** Number the reconciler gave a subject policy, from 1; 0 is none. */
export type SubjectNumber = Branded<number, 'SubjectNumber'>;
/** Number the reconciler gave an L7 set, from 1; 0 is "this direction asks for no L7". */
export type SetNumber = Branded<number, 'SetNumber'>;
/** Number of one version of one direction policy; 1 is "not enforced", others are never given twice in an instance. */
export type Generation = Branded<number, 'Generation'>;
/** Number of a port table, from 1, never given twice while the agent runs. */
export type TableNumber = Branded<number, 'TableNumber'>;
/** TCP port of a class's listener on loopback, host order. */
export type ProxyPort = Branded<number, 'ProxyPort'>;

/** Identity of the node itself (`reserved:host`). */
export const hostIdentity = identityNumber(1);
/** Identity of every address the ipcache does not know (`reserved:world`). */
export const worldIdentity = identityNumber(2);
/** Stands for any peer in policy entries. */
export const anyIdentity = identityNumber(0);
/** In force where a direction is not enforced. */
export const openGeneration = generation(1);
/** No L7 asked for. */
export const noSet = setNumber(0);

/** Checks an interface number. Throws RangeError outside 1..2^31-1. */
export function ifindex(value: number): Ifindex {
  return within(value, 1, 0x7fffffff, 'interface number') as Ifindex;
}

/** Checks an identity. Throws RangeError outside 32 bits. */
export function identityNumber(value: number): IdentityNumber {
  return within(value, 0, 0xffffffff, 'identity') as IdentityNumber;
}

/** Checks a subject number. Throws RangeError outside 32 bits. */
export function subjectNumber(value: number): SubjectNumber {
  return within(value, 0, 0xffffffff, 'subject number') as SubjectNumber;
}

/** Checks an L7 set number. Throws RangeError outside 32 bits. */
export function setNumber(value: number): SetNumber {
  return within(value, 0, 0xffffffff, 'L7 set number') as SetNumber;
}

/** Checks a generation. Throws RangeError outside 32 bits. */
export function generation(value: number): Generation {
  return within(value, 0, 0xffffffff, 'generation') as Generation;
}

/** Checks a table number. Throws RangeError outside 32 bits. */
export function tableNumber(value: number): TableNumber {
  return within(value, 1, 0xffffffff, 'table number') as TableNumber;
}

/** Checks a proxy port. Throws RangeError outside 1..65535. */
export function proxyPort(value: number): ProxyPort {
  return within(value, 1, 0xffff, 'proxy port') as ProxyPort;
}

function within(value: number, low: number, high: number, what: string): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw new RangeError(`${what} must be a whole number from ${low} to ${high}, not ${value}`);
}
