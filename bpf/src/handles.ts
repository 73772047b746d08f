import { type FdHandle, native, type ProgramRun } from './native.ts';

/** Numbers of enum bpf_attach_type for programs on cgroups. */
const cgroupHooks = Object.freeze({
  ingress: 0,
  egress: 1,
  sockOps: 3,
  connect4: 10,
  connect6: 11,
  getsockopt: 21,
});

/** Where on a cgroup a program attaches. */
export type CgroupHook = keyof typeof cgroupHooks;

/** Opens what is pinned at a path: a map, program or link. The caller closes it. */
export function openPinned(path: string): FdHandle {
  return native.openPinned(path);
}

/** Pins a map, program or link; it lives as long as the file does. */
export function pin(handle: FdHandle, path: string): void {
  native.pin(handle, path);
}

/** Attaches a program to a cgroup v2 folder; gives a link, which detaches when its last handle and pin are gone. */
export function attachCgroup(program: FdHandle, folder: string, hook: CgroupHook): FdHandle {
  return native.attachCgroup(program, folder, cgroupHooks[hook]);
}

/**
 * Runs a program on a packet (BPF_PROG_RUN), `context` being the start of a `struct __sk_buff`, or empty. Whatever the
 * program writes to its maps or sends stays written and sent. With `repeat` the packet of one run goes into the next.
 */
export function runProgram(
  program: FdHandle,
  packet: Uint8Array,
  context: Uint8Array = new Uint8Array(),
  repeat = 1,
): ProgramRun {
  return native.runProgram(program, packet, context, repeat);
}

/** Closes a handle. Closing twice is the same as once. */
export function closeHandle(handle: FdHandle): void {
  native.close(handle);
}
