import { apiKeyName, carriesTopics } from '../model/kafka-api.ts';
import type { KafkaRule } from '../types/l7-rule.ts';
import type { KafkaRequest } from '../types/request.ts';
import { type ConditionResult, costs } from './match-http.ts';

/**
 * Every condition of a Kafka rule but the topics, with its outcome, and the topics it takes: null is any.
 * A topic binds only requests that carry topics; one of those that names none asks for all of them.
 */
export function kafkaConditions(rule: KafkaRule, request: KafkaRequest): ConditionResult[] {
  const results: ConditionResult[] = [];
  if (rule.apiKeys !== null) {
    const met = rule.apiKeys.includes(request.apiKey);
    const wanted = rule.apiKeys.map(apiKeyName).join(', ');
    results.push({
      met,
      text: `API key ${apiKeyName(request.apiKey)} is ${met ? '' : 'not '}one of ${wanted}`,
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

/** Whether the rules together allow the request: each of its topics by some rule that takes it. */
export function kafkaAllowed(rules: readonly KafkaRule[], request: KafkaRequest): boolean {
  const matching = rules.filter((rule) => kafkaConditions(rule, request).every(({ met }) => met));
  if (request.topics.length > 0) {
    return request.topics.every((topic) => matching.some((rule) => takesTopic(rule, topic)));
  }
  return matching.some((rule) => rule.topic === null || !carriesTopics(request.apiKey));
}

/** Whether a rule's topic condition lets a topic through. */
export function takesTopic(rule: KafkaRule, topic: string): boolean {
  return rule.topic === null || rule.topic === topic;
}
