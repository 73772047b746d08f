import { type FdHandle, native } from './native.ts';

/** enum bpf_tc_attach_point of libbpf. */
const hooks = Object.freeze({ ingress: 1, egress: 2 });
/** Our place among an interface's filters: the same for every program, so that one replaces the other. */
const filterHandle = 1;
const filterPriority = 0x5e1f;

/** A clsact hook of an interface. */
export type TcHook = keyof typeof hooks;

/** Puts a program on a hook; one of ours that stands there is replaced in one step. Makes the clsact qdisc. */
export function attachTc(ifindex: number, hook: TcHook, program: FdHandle): void {
  native.attachTc(ifindex, hooks[hook], filterHandle, filterPriority, program);
}

/** Takes our filter off a hook. False when there was none. */
export function detachTc(ifindex: number, hook: TcHook): boolean {
  return native.detachTc(ifindex, hooks[hook], filterHandle, filterPriority);
}

/** The program on a hook as a handle that the caller closes, or undefined. */
export function programAt(ifindex: number, hook: TcHook): FdHandle | undefined {
  const id = native.queryTc(ifindex, hooks[hook], filterHandle, filterPriority);
  return id === 0 ? undefined : native.openProgramById(id);
}
