import type { Brand } from './brand.ts';

/** The number of one set of security-relevant labels. 0 stands for any peer in map entries. */
export type Identity = Brand<number, 'Identity'>;

/** Makes an identity of a number that an allocator, a store or the kernel handed out. */
export function identity(value: number): Identity {
  return value as Identity;
}

/** Any peer, in a policy map entry. */
export const anyIdentity: Identity = identity(0);

/** The reserved identities, by the name that follows `reserved:` in their label (Cilium's numbers). */
export const reservedIdentities = Object.freeze({
  host: identity(1),
  world: identity(2),
  unmanaged: identity(3),
  health: identity(4),
  init: identity(5),
  'remote-node': identity(6),
  'kube-apiserver': identity(7),
  ingress: identity(8),
  'world-ipv4': identity(9),
  'world-ipv6': identity(10),
} as const);

export type ReservedName = keyof typeof reservedIdentities;

/** Identities of prefixes and names outside the cluster start here; they mean something on this node only. */
export const firstLocalIdentity: Identity = identity(0x0100_0000);
