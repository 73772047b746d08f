import { apiKeyByName, apiKeysByRole } from '../model/kafka-api.ts';
import type { RuleAt } from '../model/policy.ts';
import { type Fields, optionalText, readFields, readList, warnOfNulls } from './fields.ts';
import type { Refusals } from './refusals.ts';
import { ruleId } from './rule-id.ts';
import type { Value } from './value.ts';

/** `rules.kafka`. */
export function readKafkaRules(refusals: Refusals, value: Value): RuleAt[] {
  return readList(refusals, value, 'rules.kafka').flatMap((item) => {
    const what = 'rules.kafka[]';
    const known = ['role', 'apiKey', 'apiVersion', 'clientID', 'topic'];
    const fields = readFields(refusals, item, what, known);
    if (fields === null) return [];
    warnOfNulls(refusals, fields, known, what);
    const content = {
      apiKeys: readApiKeys(refusals, fields, what),
      apiVersion: readApiVersion(refusals, fields, what),
      clientId: readClientId(refusals, fields, what),
      topic: readTopic(refusals, fields, what),
    };
    return [
      {
        rule: Object.freeze({ kind: 'kafka', id: ruleId('kafka', content), ...content }),
        source: refusals.source(item.at),
      },
    ];
  });
}

function readApiKeys(refusals: Refusals, fields: Fields, what: string): readonly number[] | null {
  const role = nonEmpty(optionalText(refusals, fields, 'role', what));
  const apiKey = nonEmpty(optionalText(refusals, fields, 'apiKey', what));
  if (role !== null && apiKey !== null) {
    refusals.error(
      fields.keyAt('apiKey'),
      `a Kafka role ("${role}") and apiKey ("${apiKey}") cannot stand together`,
    );
    return [];
  }
  if (role !== null) {
    const keys = apiKeysByRole(role);
    if (keys === null)
      refusals.error(fields.keyAt('role'), `invalid Kafka role "${role}"`, 'use produce or consume');
    return keys ?? [];
  }
  if (apiKey === null) return null;
  const key = apiKeyByName(apiKey);
  if (key === null) refusals.error(fields.keyAt('apiKey'), `invalid Kafka APIKey "${apiKey}"`);
  return key === null ? [] : [key];
}

function readApiVersion(refusals: Refusals, fields: Fields, what: string): number | null {
  const value = fields.get('apiVersion');
  if (value === null) return null;
  const text = value.kind === 'text' || value.kind === 'number' ? value.text : '';
  if (text === '' && value.kind === 'text') return null;
  if (!/^[0-9]{1,5}$/.test(text) || Number(text) > 32767) {
    refusals.error(value.at, `invalid Kafka APIVersion "${text}" in ${what}`, 'a number from 0 to 32767');
    return null;
  }
  return Number(text);
}

/** Kafka's header has no room for a longer one. */
const longestClientId = 32_767;

function readClientId(refusals: Refusals, fields: Fields, what: string): string | null {
  const clientId = nonEmpty(optionalText(refusals, fields, 'clientID', what));
  if (clientId !== null && Buffer.byteLength(clientId) > longestClientId)
    refusals.error(fields.keyAt('clientID'), `a Kafka client id has at most ${longestClientId} bytes`);
  return clientId;
}

function readTopic(refusals: Refusals, fields: Fields, what: string): string | null {
  const topic = nonEmpty(optionalText(refusals, fields, 'topic', what));
  if (topic === null) return null;
  if (topic.length > 255)
    refusals.error(fields.keyAt('topic'), 'a Kafka topic name has at most 255 characters');
  if (!/^[a-zA-Z0-9._-]+$/.test(topic)) {
    refusals.error(
      fields.keyAt('topic'),
      `invalid Kafka Topic name "${topic}"`,
      'letters, digits, ".", "_" and "-"; no patterns',
    );
  }
  return topic;
}

function nonEmpty(text: string | null): string | null {
  return text === '' ? null : text;
}
