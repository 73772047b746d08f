import { readFileSync } from 'node:fs';
import type { Instance } from './instance.ts';

/** Runs `ip` with these words in the proxy's network namespace and gives its standard output. */
export type RunIp = (...words: readonly string[]) => Promise<string>;

interface Rule {
  readonly priority: number;
  readonly fwmark?: string;
  readonly fwmask?: string;
  readonly table: string;
  readonly protocol?: string;
}

type Family = '-4' | '-6';

/** Whether the current network namespace speaks IPv6 on loopback, where the proxy listens. */
export function speaksIpv6(): boolean {
  try {
    return readFileSync('/proc/sys/net/ipv6/conf/lo/disable_ipv6', 'utf8').trim() === '0';
  } catch {
    return false;
  }
}

function families(): readonly Family[] {
  return speaksIpv6() ? ['-4', '-6'] : ['-4'];
}

/**
 * Makes packets with the instance's deliver mark arrive at local sockets, whatever their destination:
 * one rule and one table per address family. Safe to repeat. Throws when another instance, or
 * anybody else, already uses the mark with another table.
 */
export async function installRouting(instance: Instance, ip: RunIp): Promise<void> {
  for (const family of families()) {
    const { own, foreign } = await findRules(instance, family, ip);
    if (foreign !== undefined) {
      throw new Error(
        `mark ${hex(instance.marks.deliver)} is already routed by somebody else's rule (table ${foreign.table}): choose another --instance, or remove that rule`,
      );
    }
    const table = String(instance.routingTable);
    await ip(family, 'route', 'replace', 'local', 'default', 'dev', 'lo', 'table', table);
    if (own === undefined) await ip(family, 'rule', 'add', ...ruleWords(instance));
  }
}

/** Takes back what `installRouting` made. Safe to repeat. */
export async function removeRouting(instance: Instance, ip: RunIp): Promise<void> {
  for (const family of families()) {
    const { own, foreign } = await findRules(instance, family, ip);
    if (own !== undefined) await ip(family, 'rule', 'del', ...ruleWords(instance));
    if (foreign === undefined && (await hasTable(instance, family, ip))) {
      await ip(family, 'route', 'flush', 'table', String(instance.routingTable));
    }
  }
}

/** Rules for the instance's deliver mark: the instance's own, and anybody else's. */
async function findRules(
  instance: Instance,
  family: Family,
  ip: RunIp,
): Promise<{ own: Rule | undefined; foreign: Rule | undefined }> {
  const rules: readonly Rule[] = JSON.parse(await ip(family, '-j', 'rule', 'show'));
  const marked = rules.filter(
    ({ fwmark, fwmask }) =>
      fwmark !== undefined &&
      Number(fwmark) === instance.marks.deliver &&
      Number(fwmask) === instance.marks.mask,
  );
  const own = marked.find(({ protocol }) => protocol === String(instance.routingProtocol));
  return { own, foreign: marked.find((rule) => rule !== own) };
}

/** `ip route show table N` fails for a table that was never used. */
async function hasTable(instance: Instance, family: Family, ip: RunIp): Promise<boolean> {
  const routes: readonly { readonly table?: string }[] = JSON.parse(
    await ip(family, '-j', 'route', 'show', 'table', 'all'),
  );
  return routes.some(({ table }) => table === String(instance.routingTable));
}

function ruleWords(instance: Instance): string[] {
  const mark = `${hex(instance.marks.deliver)}/${hex(instance.marks.mask)}`;
  const where = ['lookup', String(instance.routingTable), 'protocol', String(instance.routingProtocol)];
  return ['pref', String(instance.rulePreference), 'fwmark', mark, ...where];
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
