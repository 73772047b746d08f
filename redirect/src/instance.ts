import { createHash } from 'node:crypto';

/** Every name and number that one agent leaves on a machine, so that two agents never meet. */
export interface Instance {
  /** `[a-z0-9][-a-z0-9]*`, at most 32 characters. */
  readonly name: string;
  readonly marks: InstanceMarks;
  /** Routing table that delivers marked packets locally. */
  readonly routingTable: number;
  /** Routing protocol number that tells the instance's rule from another one's with the same marks. */
  readonly routingProtocol: number;
  /** Preference of the rule that looks into the table: after `local`, before `main`. */
  readonly rulePreference: number;
}

/** Values of the packet mark that belong to one instance, all under one mask. */
export interface InstanceMarks {
  /** The bits that are the instance's; all other bits of a mark are left as they are. */
  readonly mask: number;
  /** The packet is to be delivered to the local proxy. */
  readonly deliver: number;
  /** Mark of every socket of the proxy. */
  readonly proxy: number;
  /** Set and read by the BPF programs alone. */
  readonly reinject: number;
}

const NAME = /^[a-z0-9][-a-z0-9]{0,31}$/;
/** Above the bits that kube-proxy (0xc000) and Cilium (0x0f00) use. */
const MARK_MASK = 0x00ff0000;
/** Numbers below have names in iproute2's rt_protos. */
const FIRST_PROTOCOL = 200;
const ROLE_SHIFT = 16;
const NUMBER_SHIFT = 18;
const LAST_NUMBER = 63;

/**
 * The instance of that name. Its number, 1 to 63, is derived from the name, so that no register of
 * instances is needed; two names that share a number are found when the routing rule is installed.
 */
export function instanceOf(name: string): Instance {
  if (!NAME.test(name)) {
    throw new Error(
      `\`${name}\` is no instance name: lower-case letters, digits and -, at most 32 characters`,
    );
  }
  const digest = createHash('sha256').update(name).digest();
  const number = name === 'default' ? 1 : 2 + (digest.readUInt32BE(0) % (LAST_NUMBER - 1));
  const mark = (role: number): number => (number << NUMBER_SHIFT) | (role << ROLE_SHIFT);
  return Object.freeze({
    name,
    marks: Object.freeze({ mask: MARK_MASK, deliver: mark(1), proxy: mark(2), reinject: mark(3) }),
    routingTable: 2000 + number,
    routingProtocol: FIRST_PROTOCOL + (digest.readUInt32BE(4) % (256 - FIRST_PROTOCOL)),
    rulePreference: 100,
  });
}
