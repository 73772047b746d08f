import type { Outcome } from '@weir/bpf';
import { servedKinds } from '@weir/envoy-config';
import type { Engine, L7Kind } from '@weir/l7-policy';
import type { HeldSubject, Redirector } from '@weir/redirect';
import type { ControllerStatus } from '../controller.ts';
import { placesOfClass } from '../flows/places.ts';
import type { ProxyClasses } from '../proxy/proxy-classes.ts';
import type { Workload } from '../workloads/workload.ts';
import type { WorkloadOrigin } from '../workloads/workload-registry.ts';
import type { ClassStatus, WorkloadStatus } from './api-types.ts';

/** How each workload stands: who it is, and whether it is protected. */
export function workloadStatus(
  workloads: readonly { readonly workload: Workload; readonly origin: WorkloadOrigin }[],
  engine: Pick<Engine, 'state'>,
  indexOf: (workload: string) => number | undefined,
  { report }: ControllerStatus,
  outcomes: readonly Outcome[],
): readonly WorkloadStatus[] {
  const outcomesOf = Map.groupBy(outcomes, ({ ifindex }) => ifindex as number);
  const { endpoints, subjects } = engine.state();
  const unattached = new Set(report.unattached.map(({ endpoint }) => endpoint));
  return workloads.map(({ workload: { name, namespace, addresses }, origin }) => {
    const endpoint = endpoints.get(name);
    const policy = endpoint === undefined ? undefined : subjects.get(endpoint.subject);
    const ifindex = indexOf(name) ?? null;
    return {
      name,
      namespace,
      origin,
      addresses,
      ifindex,
      identity: endpoint?.identity ?? null,
      protected: endpoint !== undefined && ifindex !== null && !unattached.has(name),
      enforced: {
        ingress: policy !== undefined && policy.ingress !== null,
        egress: policy !== undefined && policy.egress !== null,
      },
      outcomes: (ifindex === null ? [] : (outcomesOf.get(ifindex) ?? [])).map(
        ({ direction, reason, packets }) => ({ direction, reason, packets: Number(packets) }),
      ),
    };
  });
}

/** What becomes of connections that ask for rules of a kind; null: a proxy serves them. */
export function notServed(kind: L7Kind): string | null {
  return servedKinds.has(kind)
    ? null
    : `no proxy serves ${kind} rules yet: these connections are refused (l7-unavailable)`;
}

/** How each class stands at the proxy. */
export function classStatus(
  engine: Pick<Engine, 'state'>,
  proxy: ProxyClasses,
  redirector: Redirector,
): readonly ClassStatus[] {
  const { classes } = engine.state();
  return [...classes.values()].map((item) => {
    const places = placesOfClass(engine, item);
    const problem = notServed(item.kind);
    if (problem !== null) {
      return { id: item.id, port: 0, state: 'not-served', places, problem };
    }
    const progress = proxy.progress(item.id);
    return {
      id: item.id,
      port: redirector.portOf(item.id),
      state: progress?.kind ?? 'waiting',
      places,
      problem: progress?.kind === 'refused' ? progress.problem : null,
    };
  });
}

/** Why a subject keeps its last version, as a sentence. */
export function showHeld(held: HeldSubject): string {
  switch (held.kind) {
    case 'waits-for-proxy':
      return `subject ${held.subject} keeps its last version: the proxy is not ready for ${held.classes.join(', ')}`;
    case 'refused-by-kernel':
      return `subject ${held.subject} keeps its last version: the kernel refused the new one (${String(held.error)})`;
  }
}
