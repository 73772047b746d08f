// What acceleration must come through in any quantity. Each load gives what was wrong.

import { workloads } from './lab.ts';
import { type ProxiedLab, servers, sparePort } from './proxied-lab.ts';
import { openPuppet, type Puppet } from './puppet.ts';

export interface LoadSizes {
  readonly shortConnections: number;
  /** In each direction of one connection. */
  readonly bulkBytes: number;
  readonly slowReaders: number;
  /** Rounds. */
  readonly kills: number;
  readonly revocations: number;
}

/** Enough for a test suite. */
export const defaultSizes: LoadSizes = Object.freeze({
  shortConnections: 1500,
  bulkBytes: 100_000_000,
  slowReaders: 5,
  kills: 4,
  revocations: 2,
});

type Load = (proxied: ProxiedLab, lab: string, sizes: LoadSizes) => Promise<readonly string[]>;

export const loads: Readonly<Record<string, Load>> = Object.freeze({
  'short connections of 0 to 1 MB, half-closed': (proxied, _lab, { shortConnections }) =>
    proxied.many(shortConnections, 1_000_000),
  'messages of 1 to 65,536 bytes, echoed': conversations,
  'bulk in both directions at once': bulk,
  'slow readers': slowReaders,
  'processes killed in mid-stream': kills,
  'permission revoked in mid-stream': revocations,
});

/** Longer than anything here takes. */
const seconds = 600;
/** More than a connection carries before it is ended. */
const endless = 1e12;

/** Small enough to go around TCP, all of them. */
async function conversations({ client }: ProxiedLab, _lab: string, { bulkBytes }: LoadSizes) {
  const names = ['one', 'two', 'three', 'four'];
  for (const [seed, name] of names.entries()) {
    await client.ask({ op: 'connect', name, host: workloads.beta.address, port: servers.echoes.port });
    await client.ask({ op: 'converse', name, as: name, seed, bytes: bulkBytes / names.length });
  }
  const wrong: string[] = [];
  for (const name of names) {
    const at = await client.ask({ op: 'join', as: name, seconds });
    if (at !== null) wrong.push(`connection ${name}: the echo differs behind byte ${at}`);
    await client.ask({ op: 'close', name });
  }
  return wrong;
}

async function bulk({ establish, client, web }: ProxiedLab, _lab: string, { bulkBytes: bytes }: LoadSizes) {
  const [near, far] = await establish();
  await client.ask({ op: 'drain', name: near, as: 'down' });
  await web.ask({ op: 'drain', name: far, as: 'up' });
  await client.ask({ op: 'pour', name: near, as: 'pour', seed: 1, bytes });
  await web.ask({ op: 'pour', name: far, as: 'pour', seed: 2, bytes });
  return [
    ...(await compared(web, 'up', { seed: 1, bytes })),
    ...(await compared(client, 'down', { seed: 2, bytes })),
  ];
}

/** Half of them are woken by edges, and take a short read for the end of what is there. */
async function slowReaders({ establish, client, web }: ProxiedLab, _lab: string, sizes: LoadSizes) {
  const readers: { name: string; seed: number; bytes: number }[] = [];
  for (let seed = 0; seed < sizes.slowReaders; seed += 1) {
    const [near, far] = await establish();
    const bytes = 3_000_000 + seed * 50_000;
    const op = seed % 2 === 0 ? 'drain' : 'edge';
    await client.ask({ op, name: near, as: near, bytes, pause: 0.001 });
    await web.ask({ op: 'pour', name: far, as: far, seed, bytes, end: false });
    readers.push({ name: near, seed, bytes });
  }
  const wrong: string[] = [];
  for (const { name, seed, bytes } of readers) wrong.push(...(await compared(client, name, { seed, bytes })));
  return wrong;
}

/** Of clients and of servers, while both ends send. The other end reads what was sent, as far as it goes, and an end. */
async function kills({ client, web }: ProxiedLab, lab: string, sizes: LoadSizes) {
  const wrong: string[] = [];
  for (let round = 0; round < sizes.kills; round += 1) {
    const isClient = round % 2 === 0;
    const doomed = openPuppet(lab, isClient ? 'alpha' : 'beta');
    const widow = isClient ? web : client;
    const [name, on, host] = [`killed${round}`, 'doomed', workloads.beta.address];
    if (isClient) {
      await doomed.ask({ op: 'connect', name, host, port: 80 });
      await web.ask({ op: 'accept', name, on: 'plain' });
    } else {
      await doomed.ask({ op: 'listen', name: on, port: sparePort });
      await client.ask({ op: 'connect', name, host, port: sparePort });
      await doomed.ask({ op: 'accept', name, on });
    }
    await doomed.ask({ op: 'pour', name, as: 'sent', seed: round, bytes: endless });
    await doomed.ask({ op: 'drain', name, as: 'read' });
    await widow.ask({ op: 'pour', name, as: `${name} sent`, seed: round, bytes: endless });
    const first = 5_000_000;
    await widow.ask({ op: 'drain', name, as: `${name} first`, bytes: first });
    wrong.push(...(await compared(widow, `${name} first`, { seed: round, bytes: endless, to: first })));
    await widow.ask({ op: 'drain', name, as: `${name} rest` });
    await doomed.kill();
    wrong.push(...(await compared(widow, `${name} rest`, { seed: round, bytes: endless, from: first })));
    await widow.ask({ op: 'join', as: `${name} sent`, seconds });
    await widow.ask({ op: 'close', name });
  }
  return wrong;
}

/** Of connections that carry small messages, and of some that carry streams in both directions. */
async function revocations({ establish, permit, client, web }: ProxiedLab, _lab: string, sizes: LoadSizes) {
  const wrong: string[] = [];
  const to = { host: workloads.beta.address, port: servers.echoes.port };
  const first = 1_000_000;
  for (let round = 0; round < sizes.revocations; round += 1) {
    await client.ask({ op: 'busy', ...to, count: 200, as: 'busy' });
    const ends: { puppet: Puppet; name: string; seed: number }[] = [];
    for (let stream = 0; stream < 4; stream += 1) {
      const [near, far] = await establish();
      ends.push({ puppet: client, name: near, seed: stream }, { puppet: web, name: far, seed: stream });
    }
    for (const { puppet, name, seed } of ends) {
      await puppet.ask({ op: 'pour', name, as: `${name} sent`, seed, bytes: endless });
      await puppet.ask({ op: 'drain', name, as: `${name} first`, bytes: first });
    }
    for (const { puppet, name, seed } of ends) {
      wrong.push(...(await compared(puppet, `${name} first`, { seed, bytes: endless, to: first })));
      await puppet.ask({ op: 'drain', name, as: `${name} rest` });
    }
    permit('deny');
    const revokedAtNs = process.hrtime.bigint();
    const busy = (await client.ask({ op: 'join', as: 'busy', seconds })) as {
      living: number;
      last: number[];
    };
    for (const { puppet, name, seed } of ends) {
      wrong.push(...(await compared(puppet, `${name} rest`, { seed, bytes: endless, from: first })));
      await puppet.ask({ op: 'join', as: `${name} sent`, seconds });
      await puppet.ask({ op: 'close', name });
    }
    permit();
    if (busy.living > 0) wrong.push(`round ${round}: ${busy.living} connections live on`);
    const late = busy.last.filter((sentAt) => BigInt(Math.round(sentAt)) >= revokedAtNs).length;
    if (late > 0) wrong.push(`round ${round}: ${late} messages that were sent after it got an answer`);
  }
  return wrong;
}

/** Whether what a reader got are the bytes of a stream from one place on; all of them, unless the stream is endless. */
async function compared(
  reader: Puppet,
  as: string,
  { seed, bytes, from = 0, to }: { seed: number; bytes: number; from?: number; to?: number },
): Promise<readonly string[]> {
  const got = (await reader.ask({ op: 'join', as, seconds })) as { bytes: number; digest: string };
  const wanted = to ?? (bytes === endless ? undefined : bytes);
  if (wanted !== undefined && got.bytes !== wanted - from)
    return [`${as}: ${got.bytes} bytes instead of ${wanted - from}`];
  const digest = await reader.ask({ op: 'digest', seed, bytes, from, to: from + got.bytes });
  return got.digest === digest ? [] : [`${as}: other bytes than those that were sent, ${got.bytes} in all`];
}
