import { type EngineChange, type Problem, reservedIdentities } from '@weir/l7-policy';
import type { Interfaces } from '../network/interfaces.ts';
import { endpointFact } from './endpoint-fact.ts';
import { parseWorkloadBody } from './parse-workload-body.ts';
import type { Workload } from './workload.ts';
import type { WorkloadRegistry, WorkloadsChange } from './workload-registry.ts';

/** The workloads of this node, as the engine and the kernel hear of them. */
export interface Workloads {
  /** Announces the workloads that the registry starts with. */
  start(): Promise<void>;
  replaceFile(workloads: readonly Workload[]): Promise<void>;
  /** Parses and adds one; what it throws is for the user. */
  add(value: unknown): Promise<Workload>;
  remove(name: string): Promise<void>;
  /** Looks interfaces and the node's own addresses up again; true when anything is different. */
  look(): Promise<boolean>;
}

/** What they are made of. */
export interface WorkloadsParts {
  readonly registry: WorkloadRegistry;
  readonly interfaces: Interfaces;
  readonly clusterName: string;
  readonly change: (facts: readonly EngineChange[]) => Promise<readonly Problem[]>;
}

/** Each change looks the interfaces up before the turn that protects them. */
export function createWorkloads({ registry, interfaces, clusterName, change }: WorkloadsParts): Workloads {
  let announced: ReadonlySet<string> = new Set();
  let last: Promise<unknown> = Promise.resolve();

  /** One at a time, or an older view could come after a newer one. */
  function look(): Promise<boolean> {
    const next = last.then(lookNow, lookNow);
    last = next;
    return next;
  }

  async function lookNow(): Promise<boolean> {
    const different = await interfaces.refresh(registry.all().map(({ workload }) => workload));
    const own = interfaces.nodeAddresses();
    const facts = nodeFacts(announced, own);
    announced = own;
    if (facts.length > 0) await change(facts);
    return different;
  }

  async function announce({ set, removed }: WorkloadsChange): Promise<void> {
    await look();
    await change([
      ...removed.map((id): EngineChange => ({ kind: 'remove-endpoint', id })),
      ...set.map(
        (workload): EngineChange => ({ kind: 'set-endpoint', endpoint: endpointFact(workload, clusterName) }),
      ),
    ]);
  }

  return {
    start: () => announce({ set: registry.all().map(({ workload }) => workload), removed: [] }),
    replaceFile: (workloads) => announce(registry.replaceFile(workloads)),
    async add(value) {
      const workload = parseWorkloadBody(value);
      await announce(registry.add(workload));
      return workload;
    },
    remove: (name) => announce(registry.remove(name)),
    look,
  };
}

/** What the engine must hear so that the node's own addresses are those of the host. */
function nodeFacts(before: ReadonlySet<string>, now: ReadonlySet<string>): readonly EngineChange[] {
  const prefix = (address: string): string => `${address}/${address.includes(':') ? 128 : 32}`;
  const { host: identity } = reservedIdentities;
  return [
    ...[...before.difference(now)].map(
      (address) => ({ kind: 'remove-address', prefix: prefix(address) }) as const,
    ),
    ...[...now.difference(before)].map(
      (address) => ({ kind: 'set-address', prefix: prefix(address), identity }) as const,
    ),
  ];
}
