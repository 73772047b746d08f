import { RE2JS } from 're2js';
import type { Labels } from '../types/fact.ts';

/** Which labels take part in identities. */
export type LabelFilter = (labels: Labels) => Labels;

/**
 * Cilium's defaults: labels that change with every pod say nothing about who a workload is.
 * A pattern matches from the start of the key; `source:` before it limits it to labels of that source.
 */
const defaultPatterns = [
  'reserved:.*',
  'io[.]kubernetes[.]pod[.]namespace',
  'io[.]cilium[.]k8s[.]namespace[.]labels',
  'io[.]cilium[.]k8s[.]policy',
  'app[.]kubernetes[.]io',
  '!io[.]kubernetes',
  '!kubernetes[.]io',
  '!statefulset[.]kubernetes[.]io/pod-name',
  '!apps[.]kubernetes[.]io/pod-index',
  '!batch[.]kubernetes[.]io/job-completion-index',
  '!batch[.]kubernetes[.]io/controller-uid',
  '!.*beta[.]kubernetes[.]io',
  '!k8s[.]io',
  '!pod-template-generation',
  '!pod-template-hash',
  '!controller-revision-hash',
  '!controller-uid',
  '!annotation[.]',
  '!etcd_node',
];

/**
 * Builds a filter. Own patterns replace the defaults but for reserved and namespace labels; where one of them
 * includes, labels that no pattern matches are left out. Of the patterns that match, the longest match decides.
 */
export function createLabelFilter(patterns: readonly string[] | null): LabelFilter {
  const always = ['reserved:.*', 'io[.]kubernetes[.]pod[.]namespace'];
  const rules = (patterns === null ? defaultPatterns : [...always, ...patterns]).map(compilePattern);
  const listed = patterns?.some((pattern) => !pattern.startsWith('!')) ?? false;
  const known = new Map<string, boolean>();
  const keeps = (sourceKey: string): boolean => {
    const colon = sourceKey.indexOf(':');
    let longest = -1;
    let keep = !listed;
    for (const rule of rules) {
      if (rule.source !== null && rule.source !== sourceKey.slice(0, colon)) continue;
      const matcher = rule.regex.matcher(sourceKey.slice(colon + 1));
      if (!matcher.lookingAt()) continue;
      const length = matcher.end();
      if (length >= longest) [longest, keep] = [length, rule.include];
    }
    return keep;
  };
  return (labels) =>
    labels.filter((label) => {
      const sourceKey = label.split('=', 1)[0] ?? '';
      let keep = known.get(sourceKey);
      if (keep === undefined) {
        keep = keeps(sourceKey);
        if (known.size > 10_000) known.clear();
        known.set(sourceKey, keep);
      }
      return keep;
    });
}

function compilePattern(pattern: string): { include: boolean; source: string | null; regex: RE2JS } {
  const include = !pattern.startsWith('!');
  const text = include ? pattern : pattern.slice(1);
  const colon = text.indexOf(':');
  return {
    include,
    source: colon < 0 ? null : text.slice(0, colon),
    regex: RE2JS.compile(text.slice(colon + 1)),
  };
}
