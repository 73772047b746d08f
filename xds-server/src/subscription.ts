/** What one stream wants of one type (xds_protocol, "How the client specifies what resources to return"). */
export interface Subscription {
  readonly wildcard: boolean;
  /** Whether the client ever named anything; until then an empty list means everything. */
  readonly named: boolean;
  readonly names: ReadonlySet<string>;
}

export interface SubscriptionChange {
  readonly next: Subscription;
  /** Names to answer whether or not the client seems to have them. */
  readonly asked: readonly string[];
  /** Names that the client gave up. */
  readonly dropped: readonly string[];
  /** The wildcard began with this request. */
  readonly wildcardBegan: boolean;
  /** The wildcard ended; what no name asks for is given up. */
  readonly wildcardEnded: boolean;
}

export const noSubscription: Subscription = Object.freeze({
  wildcard: false,
  named: false,
  names: new Set<string>(),
});

export function includes({ wildcard, names }: Subscription, name: string): boolean {
  return wildcard || names.has(name);
}

/** Delta: names come and go by request. */
export function deltaChange(
  before: Subscription,
  subscribe: readonly string[],
  unsubscribe: readonly string[],
): SubscriptionChange {
  if (subscribe.length === 0 && unsubscribe.length === 0) {
    if (before.named || before.wildcard) return same(before);
    // Nothing was ever named: everything is meant.
    return { ...same({ ...before, wildcard: true }), wildcardBegan: true };
  }
  const named = before.named || subscribe.length > 0;
  const unsubscribed = new Set(unsubscribe);
  const wildcard =
    (before.wildcard || subscribe.includes('*')) && !(unsubscribed.has('*') && !subscribe.includes('*'));
  const asked = [...new Set(subscribe)].filter((name) => name !== '*');
  const dropped = [...unsubscribed].filter((name) => before.names.has(name) && !asked.includes(name));
  // Still under the wildcard, the client does not know whether it may keep what it gave up by name.
  const answered = wildcard ? dropped : [];
  return {
    next: { wildcard, named, names: edited(before.names, asked, dropped) },
    asked: [...asked, ...answered],
    dropped: wildcard ? [] : dropped,
    wildcardBegan: wildcard && !before.wildcard,
    wildcardEnded: !wildcard && before.wildcard,
  };
}

/** State-of-the-world: each request carries the whole list. */
export function sotwChange(before: Subscription, list: readonly string[]): SubscriptionChange {
  const named = before.named || list.length > 0;
  const names = new Set(list);
  const wildcard = !named || names.delete('*');
  return {
    next: { wildcard, named, names },
    asked: [...names].filter((name) => !before.names.has(name)),
    dropped: wildcard ? [] : [...before.names].filter((name) => !names.has(name)),
    wildcardBegan: wildcard && !before.wildcard,
    wildcardEnded: !wildcard && before.wildcard,
  };
}

function same(next: Subscription): SubscriptionChange {
  return { next, asked: [], dropped: [], wildcardBegan: false, wildcardEnded: false };
}

function edited(
  names: ReadonlySet<string>,
  added: readonly string[],
  removed: readonly string[],
): ReadonlySet<string> {
  if (added.length === 0 && removed.length === 0) return names;
  const next = new Set(names);
  for (const name of removed) next.delete(name);
  for (const name of added) next.add(name);
  return next;
}
