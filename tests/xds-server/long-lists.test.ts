// Long lists are kept and encoded piece by piece; what clients get is what was set all the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createXdsServer, encodedResource, type Resource, typeUrls, type Variant } from '@weir/xds-server';
import fc from 'fast-check';
import { manualClock } from './manual-clock.ts';
import { type Response, simulatedClient } from './simulated-client.ts';

const typeUrl = typeUrls.cluster;
const count = 300;

function cluster(number: number, text: string): Resource {
  return encodedResource({ typeUrl, name: `c${number}`, value: Buffer.from(`c${number}:${text}`) });
}

/** What a client has when it takes everything, and the response that came last. */
function listener(
  server: ReturnType<typeof createXdsServer>,
  variant: Variant,
  soon: (run: () => void) => void,
) {
  const has = new Map<string, string>();
  let last: Response | null = null;
  const client = simulatedClient(server, {
    variant,
    onResponse: (response) => {
      last = response;
      if (variant === 'sotw') has.clear();
      for (const { name, value } of response.resources) has.set(name, value);
      for (const name of response.removed) has.delete(name);
      const answer = { typeUrl, responseNonce: response.nonce };
      soon(() => (variant === 'sotw' ? client.sotw(answer) : client.delta(answer)));
    },
  });
  client[variant]({ node: { id: variant }, typeUrl });
  return { sorted: () => [...has.values()].sort(), version: (): string => last?.version ?? '' };
}

test('whatever changes in a long list, every client has it, under a version that follows from it', () => {
  const change = fc.record({
    number: fc.nat(count + 20),
    text: fc.constantFrom('', 'a', 'longer than before'),
  });
  fc.assert(
    fc.property(fc.array(fc.array(change, { minLength: 1, maxLength: 8 }), { maxLength: 12 }), (rounds) => {
      const clock = manualClock();
      const server = createXdsServer({ clock });
      const want = new Map(Array.from({ length: count }, (_, number) => [number, 'first']));
      server.update({ set: [...want].map(([number, text]) => cluster(number, text)) });
      const clients = (['sotw', 'delta'] as const).map((variant) => listener(server, variant, clock.soon));
      clock.settle();
      for (const round of rounds) {
        for (const { number, text } of round) {
          if (text === '') {
            want.delete(number);
            server.update({ remove: [{ typeUrl, name: `c${number}` }] });
          } else {
            want.set(number, text);
            server.update({ set: [cluster(number, text)] });
          }
        }
        clock.settle();
        const all = [...want].map(([number, text]) => `c${number}:${text}`).sort();
        for (const client of clients) assert.deepEqual(client.sorted(), all);
      }
      const other = createXdsServer({ clock });
      other.update({ set: [...want].reverse().map(([number, text]) => cluster(number, text)) });
      const late = listener(other, 'sotw', clock.soon);
      clock.settle();
      assert.equal(late.version(), clients[0]?.version());
    }),
    { numRuns: 20 },
  );
});

test('of thousands of versions after a reconnect, what is right is not sent again, and all else is', () => {
  const names = Array.from(
    { length: count },
    (_, number) => `${'é'.repeat((number % 2) * 90)}c${1_000 + number}`,
  );
  const server = createXdsServer({ clock: manualClock() });
  server.update({ set: names.map((name) => encodedResource({ typeUrl, name, value: Buffer.from(name) })) });
  const versions = new Map(server.resources().map(({ name, version }) => [name, version as string]));
  const claim = fc.tuple(fc.constantFrom(...names, 'gone'), fc.constantFrom('right', '0123456789abcdef', ''));
  fc.assert(
    fc.property(fc.uniqueArray(claim, { selector: ([name]) => name, maxLength: count }), (claims) => {
      const clock = manualClock();
      const other = createXdsServer({ clock });
      other.update({ set: server.resources() });
      const client = simulatedClient(other, { variant: 'delta' });
      const said = claims.map(([name, kind]) => [name, kind === 'right' ? (versions.get(name) ?? '') : kind]);
      client.delta({ node: { id: 'back' }, typeUrl, initialResourceVersions: Object.fromEntries(said) });
      clock.settle();
      const right = new Set(claims.flatMap(([name, kind]) => (kind === 'right' ? [name] : [])));
      const sent = client.inbox.flatMap(({ resources }) => resources.map(({ name }) => name));
      assert.deepEqual(sent.sort(), names.filter((name) => !right.has(name)).sort());
    }),
    { numRuns: 20 },
  );
});
