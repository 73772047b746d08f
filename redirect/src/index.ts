export type { AllocationStore, PortRange, StoredAllocation } from './allocation.ts';
export type { DesiredEndpoint, DesiredState, SubjectStep } from './desired-state.ts';
export { type Instance, type InstanceMarks, instanceOf } from './instance.ts';
export type { Kernel } from './kernel.ts';
export { type ApplyReport, type HeldSubject, openRedirector, type Redirector } from './redirector.ts';
export { installRouting, type RunIp, removeRouting, speaksIpv6 } from './routing.ts';
