import assert from 'node:assert/strict';
import {
  createKafkaFilterInNode,
  type KafkaConnectionInNode,
  type KafkaFilterInNode,
  type KafkaFilterLimits,
  kafkaFilterConfig,
} from '@weir/envoy-config';
import {
  readRequest,
  readResponse,
  requestFrame,
  responseFrame,
  type Structure,
  schemaOf,
} from './kafka-codec.ts';
import { slotsOf } from './rules.ts';
import { topicId } from './samples.ts';

/** The filter in Node under rules, and one connection through it. */
export interface Scene {
  readonly filter: KafkaFilterInNode;
  readonly connection: KafkaConnectionInNode;
  /** Sends a request and gives what goes to the broker; null: the connection was closed. */
  send(
    apiKey: number,
    version: number,
    body: Structure,
    correlation?: number,
    client?: string,
  ): Buffer | null;
  /** Sends an answer of the broker and gives what goes to the client, read; null: nothing, or closed. */
  answer(apiKey: number, version: number, body: Structure, correlation?: number): Structure | null;
  /** The broker's answer to the request that stands in the place of a refused one, as the client gets it. */
  refusal(apiKey: number, version: number, correlation?: number): Structure;
  rules(rules: string): void;
}

/** `rules` is YAML of `rules.kafka`, of the ingress side. */
export function scene(
  rules: string,
  limits: KafkaFilterLimits = {},
  shared: Map<string, Uint8Array> = new Map(),
): Scene {
  const filter = createKafkaFilterInNode(limits, shared);
  const configure = (text: string) =>
    assert.ok(
      filter.configure(kafkaFilterConfig({ revision: '', id: 'c', egress: null, ingress: slotsOf(text) })),
    );
  configure(rules);
  return { ...over(filter, filter.connect()), rules: configure };
}

/** The same over another connection. */
export function over(filter: KafkaFilterInNode, connection: KafkaConnectionInNode): Omit<Scene, 'rules'> {
  const answer = (apiKey: number, version: number, body: Structure, correlation = 1): Structure | null => {
    const out = connection.answer(responseFrame(schemaOf(apiKey, version), version, correlation, body));
    if (out === null || out.length === 0) return null;
    return readResponse(schemaOf(apiKey, version), version, Buffer.from(out)).body;
  };
  return {
    filter,
    connection,
    answer,
    send(apiKey, version, body, correlation = 1, client = 'me') {
      const out = connection.request(
        requestFrame(schemaOf(apiKey, version), version, correlation, client, body),
      );
      return out === null ? null : Buffer.from(out);
    },
    refusal(apiKey, version, correlation = 1) {
      const out = connection.answer(responseFrame(schemaOf(18, 0), 0, correlation, { ApiKeys: [] }));
      assert.ok(out !== null && out.length > 0, 'there is a refusal');
      return readResponse(schemaOf(apiKey, version), version, Buffer.from(out)).body;
    },
  };
}

/** Whether this is the request that stands in the place of a refused one. */
export function isPlaceholder(frame: Buffer | null): boolean {
  return frame !== null && /^0000000a00120000[0-9a-f]{8}ffff$/.test(frame.toString('hex'));
}

/** The body of what the broker gets. */
export function bodyOf(frame: Buffer | null): Structure {
  assert.ok(frame !== null && frame.length > 0, 'something is forwarded');
  return readRequest(frame).body;
}

/** Lets a filter learn ids of topics from an answer to Metadata. */
export function learn(filter: KafkaFilterInNode, topics: readonly string[]): void {
  const { send, answer } = over(filter, filter.connect());
  send(3, 12, { Topics: null });
  answer(3, 12, { Topics: topics.map((Name) => ({ Name, TopicId: topicId(Name) })) });
}
