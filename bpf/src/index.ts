export { type AccelerationCount, type AccelerationState, accelerationCounts } from './acceleration.ts';
export { addressBytes, type IpAddress, type IpPrefix, ipAddress, ipPrefix } from './address.ts';
export { BpfError } from './bpf-error.ts';
export { type LoadedObject, loadObject, type ObjectOptions } from './bpf-object.ts';
export type { Outcome } from './counters.ts';
export {
  type AttachedInterface,
  type Datapath,
  openDatapath,
  removeDatapath,
} from './datapath.ts';
export {
  type Connection,
  type DatapathMaps,
  type DenyAction,
  type EndpointValue,
  type FlowEnd,
  type LocalAddressValue,
  lengthsOf,
  type PairKey,
  type PairValue,
  type PeerKey,
  type PolicyDirection,
  type PolicyVerdict,
  type SubjectValue,
  type TableKey,
  type TableRef,
  type WideningKey,
} from './datapath-maps.ts';
export type { AccelerationChoice, DatapathMarks, DatapathOptions } from './datapath-options.ts';
export type { InterfaceRole } from './datapath-programs.ts';
export { type DatapathView, openDatapathView } from './datapath-view.ts';
export type { DatapathEvent, EventFlow, EventStream, Hook } from './events.ts';
export { attachCgroup, type CgroupHook, closeHandle, openPinned, pin, runProgram } from './handles.ts';
export { type Codec, kernelArray, kernelMap } from './kernel-map.ts';
export { be16, type Field, type Layout, layout, reserved, u8, u16, u32, u64 } from './layout.ts';
export { codes, layouts, layoutVersion } from './layouts.ts';
export { type LinkWatch, watchLinks } from './links.ts';
export type { FdHandle, ProgramRun } from './native.ts';
export {
  anyIdentity,
  type Generation,
  generation,
  hostIdentity,
  type IdentityNumber,
  type Ifindex,
  identityNumber,
  ifindex,
  noSet,
  openGeneration,
  type ProxyPort,
  proxyPort,
  type SetNumber,
  type SubjectNumber,
  setNumber,
  subjectNumber,
  type TableNumber,
  tableNumber,
  worldIdentity,
} from './numbers.ts';
export { type ConnectionEnds, internetChecksum, openingPacket } from './opening-packet.ts';
export {
  openPacketRunner,
  type PacketPlace,
  type PacketRun,
  type PacketRunner,
  type PacketRunnerOptions,
} from './packet-runner.ts';
export { lookUpPolicy, type PolicyEntry, policyEntries, type SideOfPolicy } from './policy-lookup.ts';
export { type Feature, type KernelProbes, probeFeatures } from './probe.ts';
export { type ProcessWatch, watchProcess } from './process.ts';
export { type DropReason, type Reason, reasons } from './reasons.ts';
export { destroySockets, listeningPorts, type SocketEnds } from './sockets.ts';
export { attachTc, detachTc, type TcHook } from './tc-attachment.ts';
export {
  type ConnectionTrace,
  type TraceStep,
  type TraceSurroundings,
  type TraceVerdict,
  traceConnection,
} from './trace-connection.ts';
export type { TypedMap } from './typed-map.ts';
export { describeTypes } from './types-of-object.ts';
