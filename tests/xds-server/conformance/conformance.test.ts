// Plays the scripts of cases.testdata.ts.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createXdsServer, encodedResource, typeUrls, type Variant } from '@weir/xds-server';
import { manualClock } from '../manual-clock.ts';
import { type Response, simulatedClient } from '../simulated-client.ts';
import { type Case, cases, type Expected } from './cases.testdata.ts';

const types: Readonly<Record<string, string>> = {
  '': '',
  cds: typeUrls.cluster,
  eds: typeUrls.endpoint,
  lds: typeUrls.listener,
  rds: typeUrls.route,
  vhds: typeUrls.virtualHost,
  sds: typeUrls.secret,
};
const shortNames = new Map(Object.entries(types).map(([short, url]) => [url, short]));

suite('the xDS protocol', () => {
  for (const one of cases) {
    for (const variant of one.variants) test(`${variant}: ${one.rule}`, () => play(one, variant));
  }
});

function play({ steps, hold = false, service }: Case, variant: Variant): void {
  const clock = manualClock();
  const server = createXdsServer({ clock, hold });
  const typeUrl = service === undefined ? null : urlOf(service);
  let seen: Response[] = [];
  const newest = new Map<string, Response>();
  const names = new Map<string, readonly string[]>();
  const connect = () =>
    simulatedClient(server, {
      variant,
      typeUrl,
      onResponse: (response) => {
        seen.push(response);
        newest.set(response.typeUrl, response);
      },
    });
  let client = connect();

  for (const [number, step] of steps.entries()) {
    take(step, `step ${number + 1}: ${JSON.stringify(step)}`);
    clock.settle();
  }

  function take(step: Case['steps'][number], where: string): void {
    if ('set' in step || 'remove' in step) {
      const set = named(step.set).map(([type, text]) => resourceOf(type, text));
      const remove = named(step.remove).map(([type, name]) => ({ typeUrl: urlOf(type), name }));
      server.update({ set, remove });
    } else if ('ready' in step) server.ready();
    else if ('accept' in step) answer(urlOf(step.accept), null);
    else if ('refuse' in step) answer(urlOf(step.refuse), step.why);
    else if ('reconnect' in step) {
      client.close();
      client = connect();
    } else if ('passMs' in step) clock.pass(step.passMs);
    else if ('ended' in step) assert.equal(client.ended()?.code, step.ended, where);
    else if ('expect' in step) expectResponses(step.expect, where);
    else if ('request' in step) request(step);
  }

  function request(step: Extract<Case['steps'][number], { request: string }>): void {
    const url = urlOf(step.request);
    const errorDetail = step.refuses === undefined ? {} : { errorDetail: { message: step.refuses } };
    const node = { id: 'client' };
    if (variant === 'sotw') {
      const list = 'names' in step ? step.names : [];
      names.set(url, list);
      const { nonce = '', version = '' } = 'names' in step ? step : {};
      client.sotw({
        node,
        typeUrl: url,
        resourceNames: [...list],
        responseNonce: nonce === 'newest' ? (newest.get(url)?.nonce ?? '') : nonce,
        versionInfo: version === 'newest' ? (newest.get(url)?.version ?? '') : version,
        ...errorDetail,
      });
      return;
    }
    const {
      subscribe = [],
      unsubscribe = [],
      has = [],
      nonce = '',
    } = 'names' in step ? { subscribe: step.names } : step;
    const versions = has.map((text) => [text.split(':')[0] ?? '', resourceOf(step.request, text).version]);
    client.delta({
      node,
      typeUrl: url,
      resourceNamesSubscribe: [...subscribe],
      resourceNamesUnsubscribe: [...unsubscribe],
      initialResourceVersions: Object.fromEntries(versions),
      responseNonce: nonce,
      ...errorDetail,
    });
  }

  function answer(url: string, why: string | null): void {
    const response = newest.get(url);
    assert.ok(response, `no response of type ${url} to answer`);
    const errorDetail = why === null ? {} : { errorDetail: { message: why } };
    const common = { typeUrl: url, responseNonce: response.nonce, ...errorDetail };
    if (variant === 'delta') client.delta(common);
    else
      client.sotw({ ...common, versionInfo: response.version, resourceNames: [...(names.get(url) ?? [])] });
  }

  function expectResponses(expected: readonly Expected[] | 'any', where: string): void {
    const got = seen.map(({ typeUrl: url, resources, removed }) => ({
      type: shortNames.get(url),
      has: resources.map(({ value }) => value).sort(),
      removed: [...removed].sort(),
    }));
    seen = [];
    if (expected === 'any') return;
    const wanted = expected.map(({ type, has = [], removed = [] }) => ({ type, has, removed }));
    assert.deepEqual(got, wanted, where);
  }
}

function named(
  names: Readonly<Record<string, readonly string[]>> = {},
): readonly (readonly [string, string])[] {
  return Object.entries(names).flatMap(([type, list]) => list.map((text) => [type, text] as const));
}

function urlOf(type: string): string {
  const url = types[type];
  assert.ok(url !== undefined, `unknown type ${type}`);
  return url;
}

function resourceOf(type: string, text: string): ReturnType<typeof encodedResource> {
  return encodedResource({ typeUrl: urlOf(type), name: text.split(':')[0] ?? '', value: Buffer.from(text) });
}
