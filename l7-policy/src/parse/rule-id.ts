import { digest } from '../digest.ts';
import type { RuleId } from '../types/l7-rule.ts';

/** The id of a rule with this content. Half a digest: ids stand in every route. */
export function ruleId(kind: string, content: unknown): RuleId {
  return digest([kind, JSON.stringify(content)]).slice(0, 16) as RuleId;
}
