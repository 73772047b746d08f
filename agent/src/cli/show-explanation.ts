import type { EntryVerdict, Explanation, RuleNote, SideExplanation } from '@weir/l7-policy';

interface ShownExplanation extends Explanation {
  readonly proxy?: readonly string[];
}

/** The explanation as people read it: the verdict, then each side with the lines that led to it. */
export function showExplanation({ verdict, summary, sides, headers, proxy = [] }: ShownExplanation): string {
  return [
    `${verdict.toUpperCase()}: ${summary}`,
    ...proxy.map((text) => `  proxy: ${text}`),
    ...sides.map(showSide),
    ...(verdict !== 'allowed' || headers === null || headers.length === 0
      ? []
      : [`  headers after the rules: ${headers.map(([name, value]) => `${name}: ${value}`).join(', ')}`]),
  ].join('\n');
}

function showSide({ direction, subject, enforced, enforcedBy, verdict, notes }: SideExplanation): string {
  const policies = [...new Set(enforcedBy.map(({ policy }) => policy))];
  const how = policies.length === 0 ? 'restricted' : `in default deny by ${policies.join(', ')}`;
  const state = enforced ? `${how}: ${showVerdict(verdict)}` : 'not in default deny: everything passes';
  return [`  ${direction} of ${subject}, ${state}`, ...notes.map(showNote)].join('\n');
}

function showVerdict(verdict: EntryVerdict): string {
  switch (verdict.kind) {
    case 'allow':
      return 'allowed on layers 3 and 4';
    case 'deny':
      return 'denied';
    case 'l7':
      return 'asks the proxy';
  }
}

function showNote({ source, effect, text }: RuleNote): string {
  const near = effect === 'nearest' ? 'nearest: ' : '';
  return `    ${source.file}:${source.line} (${source.policy}): ${near}${text}`;
}
