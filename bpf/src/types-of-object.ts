import { resolve } from 'node:path';
import { buildFolder, type DescribedEnum, type DescribedStruct, native } from './native.ts';

/** What the BTF of one of our object files says, e.g. `describeTypes('from-workload.bpf.o')`: structures and enums by name. */
export function describeTypes(object: string): Readonly<Record<string, DescribedStruct | DescribedEnum>> {
  return native.describeTypes(resolve(buildFolder, object));
}
