import type { SideOfPolicy } from '@weir/bpf';
import { endText, protocolName } from '../flows/protocol-name.ts';
import type { Trace, TraceEnd } from '../trace/trace-flow.ts';
import { showEntry, showEntryVerdict } from './show-entry.ts';
import { showExplanation } from './show-explanation.ts';

/** A trace as people read it: the connection, the way, the verdict, and the policy behind it. */
export function showTrace({ protocol, source, destination, steps, sides, verdict, policy }: Trace): string {
  return [
    `${showEnd(source)} -> ${showEnd(destination)} ${protocolName(protocol)}`,
    ...steps.map(({ hook, interface: link, action }) => `  ${hook} at ${link}: ${action}`),
    ...sides.map((side) => `  ${showSide(side)}`),
    `kernel: ${showVerdict(verdict)}`,
    ...(policy === null ? [] : [`policy: ${showExplanation(policy)}`]),
  ].join('\n');
}

function showSide({ direction, subject, generation, peerIdentity, kind, entry }: SideOfPolicy): string {
  const what = `${direction} of subject ${subject}, peer identity ${peerIdentity}`;
  if (kind === 'open') return `${what}: not enforced`;
  if (kind === 'missing') return `${what}: no version of its policy is there`;
  const found = entry === null ? 'no entry' : `${showEntry(entry)}: ${showEntryVerdict(entry.verdict)}`;
  return `${what}, generation ${generation}: ${found}`;
}

function showVerdict(verdict: Trace['verdict']): string {
  switch (verdict.kind) {
    case 'allowed':
      return 'allowed';
    case 'redirected':
      return `redirected to proxy port ${verdict.proxyPort}`;
    case 'not-judged':
      return 'not judged: neither end is a workload of this node';
    case 'denied': {
      const port = verdict.proxyPort === undefined ? '' : `, on its way to proxy port ${verdict.proxyPort}`;
      return `denied, ${verdict.direction}: ${verdict.reason}${port}`;
    }
  }
}

function showEnd(end: TraceEnd): string {
  return end.workload === null ? endText(end) : `${end.workload} ${endText(end)}`;
}
