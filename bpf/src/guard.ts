import { readdirSync, unlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BpfError } from './bpf-error.ts';
import { loadObject } from './bpf-object.ts';
import { required } from './datapath-programs.ts';
import { buildFolder, type FdHandle, native } from './native.ts';
import { linkPrefix } from './pin-folder.ts';

/** The program on netfilter's hooks that refuses workloads nobody announced (programs/guard.bpf.c). */
export interface Guard {
  /** Puts it there, or takes it off; its links are pinned. */
  set(on: boolean): void;
  close(): void;
}

/** BPF_PROG_TYPE_NETFILTER and BPF_NETFILTER (linux/bpf.h, since 6.4). */
const type = Object.freeze({ program: 32, attach: 45 });
/** NFPROTO_* (linux/netfilter.h). */
export const netfilterFamilies = { ipv4: 2, ipv6: 10 } as const;
/** enum nf_inet_hooks: what is for the node itself, and what it forwards. */
export const netfilterHooks = { input: 1, forward: 2 } as const;
const spots = Object.entries(netfilterFamilies).flatMap(([family, pf]) =>
  Object.entries(netfilterHooks).map(([hook, number]) => ({
    name: `guard_${family}_${hook}`,
    family: pf,
    hook: number,
  })),
);
/** Priorities, negated: before the filter tables of the node (0). One program each, and other instances have some. */
const places = Object.freeze({ first: 500, last: 700 });

/** Loads nothing until it is wanted, so that a kernel without it serves all the rest. Its maps are those in force. */
export function openGuard(pinRoot: string, useMap: (name: string) => FdHandle): Guard {
  let program: FdHandle | undefined;

  function attach(): void {
    program = loadGuardProgram(useMap);
    for (const { name, family, hook } of spots) {
      const before = pinnedAt(pinRoot, name);
      const { link, place } = takePlace(program, family, hook);
      native.pin(link, join(pinRoot, `${linkPrefix}${name}_${place}`));
      native.close(link);
      // Links of this kind cannot be updated: for a moment there are two, which say the same.
      before.forEach(unlinkSync);
    }
  }

  return Object.freeze({
    set(on: boolean): void {
      if (on && program === undefined) attach();
      if (on) return;
      for (const { name } of spots) pinnedAt(pinRoot, name).forEach(unlinkSync);
      if (program !== undefined) native.close(program);
      program = undefined;
    },
    close(): void {
      if (program !== undefined) native.close(program);
      program = undefined;
    },
  });
}

/** Whether the kernel takes the program; throws BpfError when it does not. */
export function probeGuard(): boolean {
  const small = ['conntrack', 'endpoints', 'local_addresses'].map((name) => [name, 64] as const);
  native.close(loadGuardProgram(() => null, new Map(small)));
  return true;
}

/** Over the maps that `useMaps` gives, or maps of its own; the caller closes it. Throws BpfError before Linux 6.4. */
export function loadGuardProgram(
  useMaps: (name: string) => FdHandle | null,
  maxEntries: ReadonlyMap<string, number> = new Map(),
): FdHandle {
  const path = resolve(buildFolder, 'guard.bpf.o');
  const { programs, maps } = loadObject({ path, useMaps, maxEntries, type }, ['guard']);
  for (const map of Object.values(maps)) native.close(map);
  return required(programs, 'guard');
}

function pinnedAt(pinRoot: string, name: string): readonly string[] {
  return readdirSync(pinRoot)
    .filter((found) => found.startsWith(`${linkPrefix}${name}_`))
    .map((found) => join(pinRoot, found));
}

function takePlace(program: FdHandle, family: number, hook: number): { link: FdHandle; place: number } {
  for (let place = places.first; place <= places.last; place += 1) {
    const link = native.attachNetfilter(program, family, hook, place);
    if (link !== false) return { link, place };
  }
  throw new BpfError('EBUSY', 'attach to netfilter', 'every place for the guard is taken');
}
