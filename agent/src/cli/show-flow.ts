import type { Flow, FlowPeer } from '../flows/flow.ts';
import { endText } from '../flows/protocol-name.ts';

/** One line for people: time, verdict, who to whom, what, and why. */
export function showFlow(flow: Flow): string {
  const { source, destination, request } = flow;
  const ends = `${showPeer(source)} -> ${showPeer(destination)} ${flow.protocol}`;
  const what =
    request === null
      ? showKafka(flow)
      : ` ${request.method} ${request.host}${request.path} ${showStatus(flow)}${showHeaders(flow)}`;
  const why = flow.reason === null ? '' : ` (${flow.reason})`;
  const rules = flow.rules.flatMap(({ places }) => places);
  const by =
    rules.length === 0 ? '' : `${flow.verdict === 'denied' ? ': no match at' : ' by'} ${rules.join(', ')}`;
  const more = flow.untold === 0 ? '' : `, and ${flow.untold} more like it before`;
  return `${flow.time.slice(11, 23)} ${flow.verdict.padEnd(10)} ${ends}${what}${why}${by}${more}`;
}

function showPeer({ address, port, endpoint, labels, identity }: FlowPeer): string {
  const who = endpoint ?? (labels.length > 0 ? labels.join(',') : `identity ${identity}`);
  return `${who} ${endText({ address, port })}`;
}

function showKafka({ kafka }: Flow): string {
  if (kafka === null) return '';
  const topics = kafka.topics.map(
    ({ name, refused }) => `${refused ? '!' : ''}${name === '' ? '(unknown id)' : name}`,
  );
  const more = kafka.topicCount > topics.length ? [`and ${kafka.topicCount - topics.length} more`] : [];
  const client = kafka.clientId === '' ? '' : ` client ${kafka.clientId}`;
  return ` ${[`${kafka.api} v${kafka.apiVersion}`, ...topics, ...more].join(' ')}${client}`;
}

/** Headers that rules name: they may be what decided. */
function showHeaders({ request }: Flow): string {
  const headers = Object.entries(request?.headers ?? {});
  return headers.length === 0 ? '' : ` [${headers.map(([name, value]) => `${name}: ${value}`).join(', ')}]`;
}

function showStatus({ request }: Flow): string {
  if (request === null) return '';
  return `${request.status === 0 ? 'no response' : request.status} ${request.durationMs.toFixed(1)} ms`;
}
