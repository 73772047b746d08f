import type { Peer } from '../model/policy.ts';
import { containsPrefix, type Prefix, parseAddress, parsePrefix } from '../net/prefix.ts';
import { readFields, readList, readText } from './fields.ts';
import { isSubdomain, readSelector } from './label-selector.ts';
import type { Refusals } from './refusals.ts';
import type { Value } from './value.ts';

/** fromCIDR and toCIDR: prefixes or single addresses. */
export function readCidrs(refusals: Refusals, value: Value, what: string): Peer[] {
  return readList(refusals, value, what).flatMap((item) => {
    const prefix = readCidr(refusals, item, `${what}[]`);
    return prefix === null ? [] : [{ kind: 'cidr', prefix, except: [] } as const];
  });
}

/** A prefix, or an address as the prefix of itself alone. */
export function readCidr(refusals: Refusals, value: Value, what: string): Prefix | null {
  const text = readText(refusals, value, what);
  if (text === null) return null;
  if (text === '') {
    refusals.error(value.at, `${what}: an address must be specified`);
    return null;
  }
  const prefix = parsePrefix(text) ?? parseAddress(text);
  if (prefix === null)
    refusals.error(value.at, `unable to parse CIDR "${text}"`, 'write it as 10.0.0.0/8 or 2001:db8::/32');
  return prefix;
}

/** fromCIDRSet and toCIDRSet. */
export function readCidrSet(refusals: Refusals, value: Value, what: string): Peer[] {
  return readList(refusals, value, what).flatMap((item) => {
    const peer = readCidrSetItem(refusals, item, `${what}[]`);
    return peer === null ? [] : [peer];
  });
}

function readCidrSetItem(refusals: Refusals, value: Value, what: string): Peer | null {
  const fields = readFields(refusals, value, what, ['cidr', 'except', 'cidrGroupRef', 'cidrGroupSelector']);
  if (fields === null) return null;
  const chosen = ['cidr', 'cidrGroupRef', 'cidrGroupSelector'].filter((name) => fields.get(name) !== null);
  if (chosen.length > 1) {
    refusals.error(
      fields.at,
      `${what} has more than one of cidr, cidrGroupRef and cidrGroupSelector (${chosen.join(', ')})`,
    );
    return null;
  }
  const except = fields.get('except');
  const excepted = except === null ? [] : readExcept(refusals, except, `${what}.except`);
  const cidr = fields.get('cidr');
  if (cidr !== null) {
    const text = readText(refusals, cidr, `${what}.cidr`);
    if (text === null) return null;
    const prefix = parsePrefix(text);
    if (prefix === null) {
      refusals.error(cidr.at, `unable to parse CIDR "${text}"`, 'write it as 10.0.0.0/8 or 2001:db8::/32');
      return null;
    }
    for (const { at, prefix: hole } of excepted) {
      if (!containsPrefix(prefix, hole)) {
        refusals.error(at, `the CIDR ${prefix.text} does not contain the excepted CIDR ${hole.text}`);
      }
    }
    return { kind: 'cidr', prefix, except: excepted.map((item) => item.prefix) };
  }
  const holes = excepted.map((item) => item.prefix);
  const reference = fields.get('cidrGroupRef');
  if (reference !== null) {
    const name = readText(refusals, reference, `${what}.cidrGroupRef`);
    if (name === null) return null;
    if (!isSubdomain(name)) refusals.error(reference.at, `"${name}" is not the name of a CiliumCIDRGroup`);
    return { kind: 'cidr-group', group: { name }, except: holes };
  }
  const selector = fields.get('cidrGroupSelector');
  if (selector !== null) {
    return {
      kind: 'cidr-group',
      group: { labels: readSelector(refusals, selector, `${what}.cidrGroupSelector`) },
      except: holes,
    };
  }
  refusals.error(fields.at, `${what} needs one of cidr, cidrGroupRef and cidrGroupSelector`);
  return null;
}

function readExcept(refusals: Refusals, value: Value, what: string): { at: number; prefix: Prefix }[] {
  return readList(refusals, value, what).flatMap((item) => {
    const text = readText(refusals, item, `${what}[]`);
    if (text === null) return [];
    const prefix = parsePrefix(text);
    if (prefix === null) refusals.error(item.at, `unable to parse CIDR "${text}"`);
    return prefix === null ? [] : [{ at: item.at, prefix }];
  });
}

/** An ipBlock of a Kubernetes NetworkPolicy. */
export function readIpBlock(refusals: Refusals, value: Value, what: string): Peer | null {
  const fields = readFields(refusals, value, what, ['cidr', 'except']);
  if (fields === null) return null;
  if (fields.get('cidr') === null) {
    refusals.error(fields.at, `${what} has no cidr`);
    return null;
  }
  return readCidrSetItem(refusals, value, what);
}
