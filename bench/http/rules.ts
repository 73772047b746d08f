import type { HttpRule } from '@weir/l7-policy';

/** The n-th rule of a set: an exact path, a path with a number in it, or everything under a prefix. */
export function rule(index: number): HttpRule {
  const forms = [`/shop/orders/${index}`, `/shop/v${index}/items/[0-9]+`, `/files/d${index}/.*`] as const;
  return {
    kind: 'http',
    id: `rule-${index}` as HttpRule['id'],
    method: 'GET',
    path: forms[index % forms.length] ?? '',
    host: null,
    headers: [],
    headerMatches: [],
  };
}

/** A path that the n-th rule allows, and no other. */
export function pathOf(index: number): string {
  return [`/shop/orders/${index}`, `/shop/v${index}/items/7`, `/files/d${index}/a.txt`][index % 3] ?? '';
}

/** A path that none allows. */
export const refusedPath = '/shop/orders/none';
