import { RE2JS } from 're2js';
import { parseRegex, type RegexNode, wideRanges } from './syntax.ts';

/**
 * About how many instructions RE2 makes of a pattern: what a match costs in the worst case, for each byte
 * of the text.
 * @throws Error when RE2 does not take the pattern.
 */
export function regexCost(pattern: string): number {
  const node = parseRegex(pattern);
  if (node !== null) return nodeCost(node) + 1;
  // Flags, Unicode classes and what else the analysis leaves alone: RE2's own count is by character, not by byte.
  return RE2JS.compile(pattern).programSize() * wideRanges;
}

function nodeCost(node: RegexNode): number {
  switch (node.kind) {
    case 'literal':
      return Buffer.byteLength(node.text);
    case 'any':
      return wideRanges;
    case 'set':
      return node.ranges;
    case 'begin':
    case 'end':
      return 1;
    case 'concat':
    case 'alternate':
      return node.parts.reduce((sum, part) => sum + nodeCost(part) + (node.kind === 'alternate' ? 1 : 0), 0);
    case 'repeat': {
      const copies = Number.isFinite(node.max) ? node.max : Math.max(node.min, 1);
      return copies * nodeCost(node.node) + 1;
    }
  }
}
