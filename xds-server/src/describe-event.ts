import type { XdsEvent } from './events.ts';
import type { Refusal } from './in-force.ts';
import type { Problem } from './resource-file.ts';

/** One line for people, or null for what they need not see. */
export function describeEvent(event: XdsEvent): string | null {
  switch (event.kind) {
    case 'client-connected': {
      const { node, id, peer } = event.client;
      const agent = [node.userAgent.name, node.userAgent.version].filter((part) => part !== '').join(' ');
      return event.first ? `connected ${id} (${agent === '' ? 'unknown client' : agent}) from ${peer}` : null;
    }
    case 'client-disconnected':
      return `gone      ${event.client}`;
    case 'accepted': {
      const what = listOf([...event.resources, ...event.removed.map((name) => `-${name}`)]);
      return `accepted  ${event.client}: ${shortType(event.typeUrl)} ${what}`;
    }
    case 'refused':
      return event.suspects > 1
        ? `refused   ${event.client}: one of ${event.suspects} ${shortType(event.typeUrl)} resources, looking for it`
        : null;
    case 'quarantined':
      return describeRefusal(event.refusal);
    case 'released':
      return `mended    ${event.client}: ${shortType(event.ref.typeUrl)} ${event.ref.name}`;
    case 'order-given-up':
      return `warning   ${event.client}: ${shortType(event.typeUrl)} went ahead, ${shortType(event.waitedFor)} does not move`;
    case 'stream-opened':
    case 'stream-closed':
    case 'pushed':
      return null;
  }
}

/** A refusal with the client's own words. */
export function describeRefusal({ client, ref, accepted, reason }: Refusal): string {
  const why =
    reason.kind === 'nack' ? reason.detail.trim() : `${reason.bytes} bytes are more than a response may hold`;
  const kept = accepted === null ? 'nothing of it is in force' : `version ${accepted} stays in force`;
  return `refused   ${client}: ${shortType(ref.typeUrl)} ${ref.name} (${kept}): ${why}`;
}

export function describeProblem({ file, line, column, message }: Problem): string {
  return `error     ${file}:${line}:${column}: ${message}; what it gave before stays in force`;
}

function shortType(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
}

/** More names than this are counted. */
const namesShown = 8;

function listOf(names: readonly string[]): string {
  if (names.length === 0) return '(nothing to have)';
  const shown = names.slice(0, namesShown).join(' ');
  return names.length > namesShown ? `${shown} and ${names.length - namesShown} more` : shown;
}
