import { encodeKafkaRules } from '../kafka/encode-rules.ts';
import { RuleTable } from '../kafka/rule-table.ts';
import { apiKeyName, asksForAllTopics, kafkaApiClass, kafkaClassNumber } from '../model/kafka-api.ts';
import type { KafkaRule } from '../types/l7-rule.ts';
import type { KafkaRequest } from '../types/request.ts';
import { type ConditionResult, costs } from './match-http.ts';

/** Every condition of a Kafka rule but the topics, with its outcome. */
export function kafkaConditions(rule: KafkaRule, request: KafkaRequest): ConditionResult[] {
  const results: ConditionResult[] = [];
  const key = apiKeyName(request.apiKey);
  if (rule.apiKeys !== null) {
    const met = rule.apiKeys.includes(request.apiKey);
    const wanted = rule.apiKeys.map(apiKeyName).join(', ');
    results.push({
      met,
      text: `API key ${key} is ${met ? '' : 'not '}one of ${wanted}`,
      cost: costs.other,
    });
  } else if (kafkaApiClass(request.apiKey) === 'explicit' && rule.topic !== null) {
    results.push({
      met: false,
      text: `API key ${key} has power over the cluster and is not named`,
      cost: costs.other,
    });
  }
  if (rule.apiVersion !== null) {
    const met = rule.apiVersion === request.apiVersion;
    results.push({
      met,
      text: `API version ${request.apiVersion} is ${met ? '' : 'not '}${rule.apiVersion}`,
      cost: costs.header,
    });
  }
  if (rule.clientId !== null) {
    const met = rule.clientId === request.clientId;
    results.push({
      met,
      text: `client id \`${request.clientId}\` is ${met ? '' : 'not '}\`${rule.clientId}\``,
      cost: costs.header,
    });
  }
  return results;
}

/** What rules say about a request. */
export interface KafkaJudgement {
  readonly allowed: boolean;
  /** The rule that decided for each topic, or the one that lets the request through; each once. */
  readonly deciding: readonly KafkaRule[];
  readonly refusedTopics: readonly string[];
}

/**
 * Judges a request by the rules of one side, with the table that the filter in Envoy looks into as well. A topic
 * binds the requests that name it; what one that names none asks for is its API's class's affair.
 */
export function judgeKafkaRequest(rules: readonly KafkaRule[], request: KafkaRequest): KafkaJudgement {
  const table = new RuleTable(encodeKafkaRules(rules), 0);
  const client = Buffer.from(request.clientId);
  const { apiKey, apiVersion, topics } = request;
  const apiClass = kafkaClassNumber(apiKey);
  const forTopic = (topic: string | null): number => {
    const name = Buffer.from(topic ?? '');
    const size = topic === null ? -1 : name.length;
    return table.forTopic(apiKey, apiVersion, apiClass, client, 0, client.length, name, 0, size);
  };
  if (topics.length === 0) {
    const found = asksForAllTopics(apiKey)
      ? forTopic(null)
      : table.forAnyOf(apiKey, apiVersion, apiClass, client, 0, client.length);
    return { allowed: found >= 0, deciding: rulesAt(rules, [found]), refusedTopics: [] };
  }
  const found = topics.map(forTopic);
  const refusedTopics = topics.filter((_, index) => found[index] === -1);
  return { allowed: refusedTopics.length === 0, deciding: rulesAt(rules, found), refusedTopics };
}

function rulesAt(rules: readonly KafkaRule[], found: readonly number[]): readonly KafkaRule[] {
  return [...new Set(found)].flatMap((index) => rules[index] ?? []);
}
