// Rules of the xDS protocol document that bind a server, as scripts. Types: `cds`, `eds`, `lds`, `rds`,
// `vhds`, `sds`. A resource is `name:content`; content `bad` is what the client refuses. Past 500 lines, because it is one list.
import type { Variant } from '@weir/xds-server';

type Names = Readonly<Record<string, readonly string[]>>;

export type Step =
  /** The owner of the server sets or removes resources. */
  | { readonly set?: Names; readonly remove?: Names }
  | { readonly ready: true }
  /** A delta request. `answers` fills in the nonce of the newest response of the type. */
  | {
      readonly request: string;
      readonly subscribe?: readonly string[];
      readonly unsubscribe?: readonly string[];
      readonly has?: readonly string[];
      readonly nonce?: string;
      readonly refuses?: string;
    }
  /** A state-of-the-world request with the whole list of names. */
  | {
      readonly request: string;
      readonly names: readonly string[];
      readonly nonce?: 'newest' | string;
      readonly version?: 'newest' | string;
      readonly refuses?: string;
    }
  /** Acknowledges the newest response of a type. */
  | { readonly accept: string }
  | { readonly refuse: string; readonly why: string }
  | { readonly reconnect: true }
  | { readonly passMs: number }
  /** The responses since the last expectation, in order. */
  | { readonly expect: readonly Expected[] | 'any' }
  | { readonly ended: number };

export interface Expected {
  readonly type: string;
  readonly has?: readonly string[];
  readonly removed?: readonly string[];
}

export interface Case {
  readonly rule: string;
  readonly variants: readonly Variant[];
  readonly hold?: boolean;
  readonly service?: string;
  readonly steps: readonly Step[];
}

const nothing: Step = { expect: [] };

export const cases: readonly Case[] = [
  {
    rule: 'wildcard, old form: a first request without names asks for everything',
    variants: ['delta', 'sotw'],
    steps: [
      { set: { cds: ['a:1', 'b:1'] } },
      { request: 'cds', names: [] },
      { expect: [{ type: 'cds', has: ['a:1', 'b:1'] }] },
    ],
  },
  {
    rule: 'wildcard, new form: the name * asks for everything',
    variants: ['delta', 'sotw'],
    steps: [
      { set: { cds: ['a:1', 'b:1'] } },
      { request: 'cds', names: ['*'] },
      { expect: [{ type: 'cds', has: ['a:1', 'b:1'] }] },
    ],
  },
  {
    rule: 'wildcard: a client hears at once that there is nothing',
    variants: ['delta', 'sotw'],
    steps: [{ request: 'cds', names: [] }, { expect: [{ type: 'cds' }] }],
  },
  {
    rule: 'wildcard: what springs into existence later is sent',
    variants: ['delta', 'sotw'],
    steps: [
      { request: 'cds', names: [] },
      { accept: 'cds' },
      { expect: [{ type: 'cds' }] },
      { set: { cds: ['a:1'] } },
      { expect: [{ type: 'cds', has: ['a:1'] }] },
    ],
  },
  {
    rule: 'sotw: once a name was sent, an empty list is no wildcard but the end of the subscription',
    variants: ['sotw'],
    steps: [
      { set: { eds: ['a:1', 'b:1'] } },
      { request: 'eds', names: ['a'] },
      { expect: [{ type: 'eds', has: ['a:1'] }] },
      { accept: 'eds' },
      { request: 'eds', names: [], nonce: 'newest' },
      { set: { eds: ['a:2', 'b:2'] } },
      nothing,
    ],
  },
  {
    rule: 'sotw: the old wildcard ends when a name is sent without *',
    variants: ['sotw'],
    steps: [
      { set: { cds: ['a:1', 'b:1'] } },
      { request: 'cds', names: [] },
      { expect: [{ type: 'cds', has: ['a:1', 'b:1'] }] },
      { request: 'cds', names: ['a'], nonce: 'newest', version: 'newest' },
      { expect: [{ type: 'cds', has: ['a:1'] }] },
    ],
  },
  {
    rule: 'delta: a name beside the old wildcard continues it',
    variants: ['delta'],
    steps: [
      { set: { cds: ['a:1'] } },
      { request: 'cds' },
      { accept: 'cds' },
      { expect: [{ type: 'cds', has: ['a:1'] }] },
      { request: 'cds', subscribe: ['z'] },
      { expect: [{ type: 'cds', removed: ['z'] }] },
      { accept: 'cds' },
      { set: { cds: ['b:1'] } },
      { expect: [{ type: 'cds', has: ['b:1'] }] },
    ],
  },
  {
    rule: 'delta: unsubscribing * leaves the names',
    variants: ['delta'],
    steps: [
      { set: { cds: ['a:1', 'b:1'] } },
      { request: 'cds', subscribe: ['*', 'a'] },
      { expect: [{ type: 'cds', has: ['a:1', 'b:1'] }] },
      { accept: 'cds' },
      { request: 'cds', unsubscribe: ['*'] },
      { set: { cds: ['a:2', 'b:2'] } },
      { expect: [{ type: 'cds', has: ['a:2'] }] },
    ],
  },
  {
    rule: 'delta: unsubscribing the last name is no wildcard',
    variants: ['delta'],
    steps: [
      { set: { eds: ['a:1', 'b:1'] } },
      { request: 'eds', subscribe: ['a'] },
      { expect: [{ type: 'eds', has: ['a:1'] }] },
      { accept: 'eds' },
      { request: 'eds', unsubscribe: ['a'] },
      { request: 'eds' },
      { set: { eds: ['a:2', 'b:2'] } },
      nothing,
    ],
  },
  {
    rule: 'delta: a name given up under a wildcard is answered, with the resource',
    variants: ['delta'],
    steps: [
      { set: { cds: ['a:1'] } },
      { request: 'cds', subscribe: ['*', 'a'] },
      { expect: [{ type: 'cds', has: ['a:1'] }] },
      { accept: 'cds' },
      { request: 'cds', unsubscribe: ['a'] },
      { expect: [{ type: 'cds', has: ['a:1'] }] },
    ],
  },
  {
    rule: 'delta: a name given up under a wildcard is answered, with its absence',
    variants: ['delta'],
    steps: [
      { request: 'cds', subscribe: ['*', 'a'] },
      { expect: [{ type: 'cds', removed: ['a'] }] },
      { accept: 'cds' },
      { request: 'cds', unsubscribe: ['a'] },
      { expect: [{ type: 'cds', removed: ['a'] }] },
    ],
  },
  {
    rule: 'delta: unsubscribing alone needs no answer, and phantom names do no harm',
    variants: ['delta'],
    steps: [
      { set: { eds: ['a:1'] } },
      { request: 'eds', subscribe: ['a'] },
      { expect: [{ type: 'eds', has: ['a:1'] }] },
      { accept: 'eds' },
      { request: 'eds', unsubscribe: ['a', 'phantom'] },
      nothing,
    ],
  },
  {
    rule: 'delta: a name that does not exist is answered in removed_resources',
    variants: ['delta'],
    steps: [
      { request: 'rds', subscribe: ['nope'] },
      { expect: [{ type: 'rds', removed: ['nope'] }] },
      { accept: 'rds' },
      { set: { rds: ['nope:1'] } },
      { expect: [{ type: 'rds', has: ['nope:1'] }] },
    ],
  },
  {
    rule: 'delta: a name subscribed again is sent again, though the client seems to have it',
    variants: ['delta'],
    steps: [
      { set: { eds: ['a:1'] } },
      { request: 'eds', subscribe: ['a'] },
      { expect: [{ type: 'eds', has: ['a:1'] }] },
      { accept: 'eds' },
      { request: 'eds', subscribe: ['a'] },
      { expect: [{ type: 'eds', has: ['a:1'] }] },
    ],
  },
  {
    rule: 'sotw: names that are new in the list are sent, the others of a partial type are not',
    variants: ['sotw'],
    steps: [
      { set: { eds: ['a:1', 'b:1'] } },
      { request: 'eds', names: ['a'] },
      { expect: [{ type: 'eds', has: ['a:1'] }] },
      { accept: 'eds' },
      { request: 'eds', names: ['a', 'b'], nonce: 'newest', version: 'newest' },
      { expect: [{ type: 'eds', has: ['b:1'] }] },
    ],
  },
  {
    rule: 'sotw: a request without news after the answer asks again (Envoy does, for a cluster that warms)',
    variants: ['sotw'],
    steps: [
      { set: { eds: ['a:1'] } },
      { request: 'eds', names: ['a'] },
      { expect: [{ type: 'eds', has: ['a:1'] }] },
      { accept: 'eds' },
      nothing,
      { request: 'eds', names: ['a'], nonce: 'newest', version: 'newest' },
      { expect: [{ type: 'eds', has: ['a:1'] }] },
    ],
  },
  {
    rule: 'sotw: listeners and clusters come whole',
    variants: ['sotw'],
    steps: [
      { set: { lds: ['a:1', 'b:1'] } },
      { request: 'lds', names: [] },
      { expect: [{ type: 'lds', has: ['a:1', 'b:1'] }] },
      { accept: 'lds' },
      { set: { lds: ['b:2'] } },
      { expect: [{ type: 'lds', has: ['a:1', 'b:2'] }] },
      { accept: 'lds' },
      { remove: { lds: ['a'] } },
      { expect: [{ type: 'lds', has: ['b:2'] }] },
    ],
  },
  {
    rule: 'sotw: other types come piece by piece, and their removal cannot be told',
    variants: ['sotw'],
    steps: [
      { set: { rds: ['a:1', 'b:1'] } },
      { request: 'rds', names: ['a', 'b'] },
      { expect: [{ type: 'rds', has: ['a:1', 'b:1'] }] },
      { accept: 'rds' },
      { set: { rds: ['b:2'] } },
      { expect: [{ type: 'rds', has: ['b:2'] }] },
      { accept: 'rds' },
      { remove: { rds: ['a'] } },
      nothing,
    ],
  },
  {
    rule: 'delta: only what changed is sent, and removals are told',
    variants: ['delta'],
    steps: [
      { set: { lds: ['a:1', 'b:1'] } },
      { request: 'lds' },
      { expect: [{ type: 'lds', has: ['a:1', 'b:1'] }] },
      { accept: 'lds' },
      { set: { lds: ['b:2'] } },
      { expect: [{ type: 'lds', has: ['b:2'] }] },
      { accept: 'lds' },
      { remove: { lds: ['a'] } },
      { expect: [{ type: 'lds', removed: ['a'] }] },
    ],
  },
  {
    rule: 'equal content is not sent again',
    variants: ['delta', 'sotw'],
    steps: [
      { set: { cds: ['a:1'] } },
      { request: 'cds', names: [] },
      { expect: [{ type: 'cds', has: ['a:1'] }] },
      { accept: 'cds' },
      { set: { cds: ['a:1'] } },
      nothing,
    ],
  },
  {
    rule: 'one unanswered response per type; states in between are never sent',
    variants: ['delta', 'sotw'],
    steps: [
      { set: { cds: ['a:1'] } },
      { request: 'cds', names: [] },
      { expect: [{ type: 'cds', has: ['a:1'] }] },
      { set: { cds: ['a:2'] } },
      { set: { cds: ['a:3'] } },
      nothing,
      { accept: 'cds' },
      { expect: [{ type: 'cds', has: ['a:3'] }] },
    ],
  },
  {
    rule: 'a change taken back while unanswered sends nothing',
    variants: ['delta'],
    steps: [
      { set: { cds: ['a:1'] } },
      { request: 'cds' },
      { expect: [{ type: 'cds', has: ['a:1'] }] },
      { set: { cds: ['a:2'] } },
      { set: { cds: ['a:1'] } },
      { accept: 'cds' },
      nothing,
    ],
  },
  {
    rule: 'sotw: a stale nonce is ignored, its names too',
    variants: ['sotw'],
    steps: [
      { set: { eds: ['a:1', 'b:1'] } },
      { request: 'eds', names: ['a'] },
      { expect: [{ type: 'eds', has: ['a:1'] }] },
      { accept: 'eds' },
      { request: 'eds', names: ['a', 'b'], nonce: 'of long ago' },
      nothing,
    ],
  },
  {
    rule: 'delta: a stale nonce answers nothing, but its subscriptions count',
    variants: ['delta'],
    steps: [
      { set: { eds: ['a:1', 'b:1'] } },
      { request: 'eds', subscribe: ['a'] },
      { expect: [{ type: 'eds', has: ['a:1'] }] },
      { request: 'eds', subscribe: ['b'], nonce: 'of long ago', refuses: 'stale' },
      nothing,
      { accept: 'eds' },
      { expect: [{ type: 'eds', has: ['b:1'] }] },
    ],
  },
  {
    rule: 'sotw: the first request of a stream may carry a nonce of an earlier one',
    variants: ['sotw'],
    steps: [
      { set: { eds: ['a:1'] } },
      { request: 'eds', names: ['a'], nonce: 'of an earlier stream', version: 'old' },
      { expect: [{ type: 'eds', has: ['a:1'] }] },
    ],
  },
  {
    rule: 'delta reconnect: what the client has is not sent again, what is gone is told',
    variants: ['delta'],
    steps: [
      { set: { cds: ['a:1', 'b:1'] } },
      { request: 'cds' },
      { expect: [{ type: 'cds', has: ['a:1', 'b:1'] }] },
      { accept: 'cds' },
      { reconnect: true },
      { set: { cds: ['b:2'] } },
      { request: 'cds', has: ['a:1', 'b:1', 'gone:1'] },
      { expect: [{ type: 'cds', has: ['b:2'] }] },
      { accept: 'cds' },
      { expect: [{ type: 'cds', removed: ['gone'] }] },
    ],
  },
  {
    rule: 'delta reconnect: nothing at all when nothing changed, for names as well',
    variants: ['delta'],
    steps: [
      { set: { eds: ['a:1', 'b:1'] } },
      { request: 'eds', subscribe: ['a', 'b'], has: ['a:1', 'b:1'] },
      nothing,
    ],
  },
  {
    rule: 'sotw reconnect: nothing for a wildcard client that is up to date',
    variants: ['sotw'],
    steps: [
      { set: { cds: ['a:1'] } },
      { request: 'cds', names: [] },
      { expect: [{ type: 'cds', has: ['a:1'] }] },
      { accept: 'cds' },
      { reconnect: true },
      { request: 'cds', names: [], version: 'newest' },
      nothing,
      { set: { cds: ['a:2'] } },
      { expect: [{ type: 'cds', has: ['a:2'] }] },
    ],
  },
  {
    rule: 'sotw reconnect: a client that has things which are gone hears of it',
    variants: ['sotw'],
    steps: [{ request: 'cds', names: [], version: 'old' }, { expect: [{ type: 'cds' }] }],
  },
  {
    rule: 'nothing is answered before the server is ready',
    variants: ['delta', 'sotw'],
    hold: true,
    steps: [
      { request: 'lds', names: [] },
      { set: { lds: ['a:1'] } },
      nothing,
      { ready: true },
      { expect: [{ type: 'lds', has: ['a:1'] }] },
    ],
  },
  {
    rule: 'order: clusters, endpoints, listeners, routes',
    variants: ['delta', 'sotw'],
    steps: [
      { set: { rds: ['r:0'], lds: ['l:0'], eds: ['c:0'], cds: ['c:0'] } },
      { request: 'rds', names: ['r'] },
      { request: 'lds', names: [] },
      { request: 'eds', names: ['c'] },
      { request: 'cds', names: [] },
      { accept: 'cds' },
      { accept: 'eds' },
      { accept: 'lds' },
      { accept: 'rds' },
      { expect: 'any' },
      { set: { rds: ['r:1'], lds: ['l:1'], eds: ['c:1'], cds: ['c:1'] } },
      {
        expect: [
          { type: 'cds', has: ['c:1'] },
          { type: 'eds', has: ['c:1'] },
          { type: 'lds', has: ['l:1'] },
          { type: 'rds', has: ['r:1'] },
        ],
      },
    ],
  },
  {
    rule: 'order: a route waits for a cluster that cannot be sent yet, but not for ever',
    variants: ['delta'],
    steps: [
      { request: 'cds' },
      { request: 'rds', subscribe: ['r'] },
      { accept: 'rds' },
      { expect: [{ type: 'cds' }, { type: 'rds', removed: ['r'] }] },
      { set: { rds: ['r:1'], cds: ['c:1'] } },
      nothing,
      { passMs: 4_999 },
      nothing,
      { passMs: 1 },
      { expect: [{ type: 'rds', has: ['r:1'] }] },
      { accept: 'cds' },
      { expect: [{ type: 'cds', has: ['c:1'] }] },
    ],
  },
  {
    rule: 'order: an answer to a question does not wait (a cluster warms until its endpoints come)',
    variants: ['delta', 'sotw'],
    steps: [
      { set: { cds: ['c:1'], eds: ['c:1'] } },
      { request: 'cds', names: [] },
      { expect: [{ type: 'cds', has: ['c:1'] }] },
      { set: { cds: ['c:2'] } },
      { request: 'eds', names: ['c'] },
      { expect: [{ type: 'eds', has: ['c:1'] }] },
    ],
  },
  {
    rule: 'order: removals go last and backwards, when all else is accepted',
    variants: ['delta'],
    steps: [
      { set: { cds: ['c:1'], lds: ['l:1'], rds: ['r:1'] } },
      { request: 'cds' },
      { request: 'lds' },
      { request: 'rds', subscribe: ['r'] },
      { accept: 'cds' },
      { accept: 'lds' },
      { accept: 'rds' },
      {
        expect: [
          { type: 'cds', has: ['c:1'] },
          { type: 'lds', has: ['l:1'] },
          { type: 'rds', has: ['r:1'] },
        ],
      },
      { remove: { cds: ['c'], lds: ['l'] }, set: { rds: ['r:2'] } },
      { expect: [{ type: 'rds', has: ['r:2'] }] },
      { accept: 'rds' },
      { expect: [{ type: 'lds', removed: ['l'] }] },
      { accept: 'lds' },
      { expect: [{ type: 'cds', removed: ['c'] }] },
    ],
  },
  {
    rule: 'order: state-of-the-world keeps a stale cluster until the routes have moved',
    variants: ['sotw'],
    steps: [
      { set: { cds: ['old:1'], rds: ['r:1'] } },
      { request: 'cds', names: [] },
      { request: 'rds', names: ['r'] },
      { accept: 'cds' },
      { accept: 'rds' },
      {
        expect: [
          { type: 'cds', has: ['old:1'] },
          { type: 'rds', has: ['r:1'] },
        ],
      },
      { remove: { cds: ['old'] }, set: { cds: ['new:1'], rds: ['r:2'] } },
      {
        expect: [
          { type: 'cds', has: ['new:1', 'old:1'] },
          { type: 'rds', has: ['r:2'] },
        ],
      },
      { accept: 'cds' },
      { accept: 'rds' },
      { expect: [{ type: 'cds', has: ['new:1'] }] },
    ],
  },
  {
    rule: 'isolation: the culprit alone is held back, and tried again when it changes',
    variants: ['delta'],
    steps: [
      { set: { cds: ['a:1', 'b:bad', 'c:1', 'd:1'] } },
      { request: 'cds' },
      { expect: [{ type: 'cds', has: ['a:1', 'b:bad', 'c:1', 'd:1'] }] },
      { refuse: 'cds', why: 'no hint' },
      { expect: [{ type: 'cds', has: ['a:1', 'b:bad'] }] },
      { refuse: 'cds', why: 'no hint' },
      { expect: [{ type: 'cds', has: ['c:1', 'd:1'] }] },
      { accept: 'cds' },
      { expect: [{ type: 'cds', has: ['a:1'] }] },
      { accept: 'cds' },
      { expect: [{ type: 'cds', has: ['b:bad'] }] },
      { refuse: 'cds', why: 'no hint' },
      nothing,
      { set: { cds: ['e:1'] } },
      { expect: [{ type: 'cds', has: ['e:1'] }] },
      { accept: 'cds' },
      { set: { cds: ['b:2'] } },
      { expect: [{ type: 'cds', has: ['b:2'] }] },
      { accept: 'cds' },
      nothing,
    ],
  },
  {
    rule: "isolation: a name in the client's own words saves the search",
    variants: ['delta'],
    steps: [
      { set: { lds: ['a:1', 'b:bad', 'c:1', 'd:1'] } },
      { request: 'lds' },
      { expect: [{ type: 'lds', has: ['a:1', 'b:bad', 'c:1', 'd:1'] }] },
      { refuse: 'lds', why: 'Error adding/updating listener(s) b: no' },
      { expect: [{ type: 'lds', has: ['a:1', 'c:1', 'd:1'] }] },
      { accept: 'lds' },
      { expect: [{ type: 'lds', has: ['b:bad'] }] },
      { refuse: 'lds', why: 'no' },
      nothing,
    ],
  },
  {
    rule: 'isolation: state-of-the-world keeps what is good, and the culprit at its accepted version',
    variants: ['sotw'],
    steps: [
      { set: { lds: ['a:1', 'b:1'] } },
      { request: 'lds', names: [] },
      { accept: 'lds' },
      { expect: [{ type: 'lds', has: ['a:1', 'b:1'] }] },
      { set: { lds: ['a:2', 'b:bad'] } },
      { expect: [{ type: 'lds', has: ['a:2', 'b:bad'] }] },
      { refuse: 'lds', why: 'no hint' },
      { expect: [{ type: 'lds', has: ['a:2', 'b:1'] }] },
      { accept: 'lds' },
      { expect: [{ type: 'lds', has: ['a:2', 'b:bad'] }] },
      { refuse: 'lds', why: 'no hint' },
      nothing,
      { set: { lds: ['a:3'] } },
      { expect: [{ type: 'lds', has: ['a:3', 'b:1'] }] },
      { accept: 'lds' },
      { set: { lds: ['b:4'] } },
      { expect: [{ type: 'lds', has: ['a:3', 'b:4'] }] },
    ],
  },
  {
    rule: 'isolation: a refused answer does not loop',
    variants: ['delta', 'sotw'],
    steps: [
      { set: { eds: ['a:bad'] } },
      { request: 'eds', names: ['a'] },
      { expect: [{ type: 'eds', has: ['a:bad'] }] },
      { refuse: 'eds', why: 'no' },
      nothing,
    ],
  },
  {
    rule: 'isolation: a refused listener that only lacked room gets another try after a removal',
    variants: ['delta'],
    steps: [
      { set: { lds: ['old:1'] } },
      { request: 'lds' },
      { accept: 'lds' },
      { set: { lds: ['new:1'] } },
      { refuse: 'lds', why: 'duplicate address' },
      {
        expect: [
          { type: 'lds', has: ['old:1'] },
          { type: 'lds', has: ['new:1'] },
        ],
      },
      { remove: { lds: ['old'] } },
      { expect: [{ type: 'lds', removed: ['old'] }] },
      { accept: 'lds' },
      { expect: [{ type: 'lds', has: ['new:1'] }] },
    ],
  },
  {
    rule: 'a single service serves its own type without being told, and no other',
    variants: ['delta', 'sotw'],
    service: 'cds',
    steps: [
      { set: { cds: ['a:1'] } },
      { request: '', names: [] },
      { expect: [{ type: 'cds', has: ['a:1'] }] },
      { request: 'lds', names: [] },
      { ended: 3 },
    ],
  },
  {
    rule: 'an aggregated stream needs a type in each request',
    variants: ['delta', 'sotw'],
    steps: [{ request: '', names: [] }, { ended: 3 }],
  },
];
