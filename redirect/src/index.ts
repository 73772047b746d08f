export type { AllocationStore, PortRange, StoredAllocation } from './allocation.ts';
export type { DesiredEndpoint, DesiredState } from './desired-state.ts';
export { type Instance, type InstanceMarks, instanceOf } from './instance.ts';
export type { Kernel } from './kernel.ts';
export { isNearlyFull, MapFullError, type MapUsage } from './map-room.ts';
export { type ApplyReport, openRedirector, type Redirector } from './redirector.ts';
export { installRouting, type RunIp, removeRouting, speaksIpv6 } from './routing.ts';
export type { HeldSubject } from './subject-table.ts';
