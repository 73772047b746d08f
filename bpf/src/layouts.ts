import { addressBytes, addressFromBytes, type IpAddress } from './address.ts';
import { be16, type Field, layout, reserved, u8, u16, u32, u64 } from './layout.ts';

/** Raised with every change of lib/shared.h (WEIR_LAYOUT there); maps are pinned under it. */
export const layoutVersion = 7;

const address: Field<IpAddress> = {
  bytes: 16,
  align: 4,
  read: (view, offset) => addressFromBytes(new Uint8Array(view.buffer, view.byteOffset + offset, 16)),
  write: (view, offset, value) =>
    new Uint8Array(view.buffer, view.byteOffset + offset, 16).set(addressBytes(value)),
};

const end = layout('weir_flow_end', { ifindex: u32, identity: u32, subject: u32, generation: u32, set: u32 });

/** The structures of lib/shared.h by what they are for; tests/bpf/layout.test.ts compares both through BTF. */
export const layouts = Object.freeze({
  address: layout('weir_address', { words: address }),
  endpoint: layout('weir_endpoint', { identity: u32, subject: u32 }),
  localAddress: layout('weir_local_address', { ifindex: u32, identity: u32, subject: u32, flags: u32 }),
  prefix: layout('weir_prefix', { prefix_length: u32, address }),
  subject: layout('weir_subject', { ingress: u32, egress: u32 }),
  peerKey: layout('weir_peer_key', { generation: u32, identity: u32 }),
  table: layout('weir_table', { table: u32, lengths: u32 }),
  tableKey: layout('weir_table_key', { table: u32, port: u16, protocol: u8, length: u8 }),
  policyValue: layout('weir_policy_value', { set: u32, verdict: u8, reserved: reserved(3) }),
  pair: layout('weir_pair', { egress_set: u32, ingress_set: u32 }),
  pairValue: layout('weir_pair_value', { proxy_port: u16, reserved: reserved(2, 2) }),
  widening: layout('weir_widening', { from: u32, to: u32 }),
  flowKey: layout('weir_flow_key', {
    low: address,
    high: address,
    low_port: be16,
    high_port: be16,
    protocol: u8,
    reserved: reserved(3),
  }),
  flowEnd: end,
  flow: layout('weir_flow', {
    last_seen_ns: u64,
    source: end,
    destination: end,
    ipcache_epoch: u32,
    proxy_port: u16,
    flags: u16,
  }),
  fragmentKey: layout('weir_fragment_key', { source: address, destination: address, id: u32 }),
  state: layout('weir_state', { ipcache_epoch: u32 }),
  event: layout('weir_event', {
    timestamp_ns: u64,
    source: address,
    destination: address,
    source_identity: u32,
    destination_identity: u32,
    egress_set: u32,
    ingress_set: u32,
    ifindex: u32,
    untold: u32,
    source_port: be16,
    destination_port: be16,
    proxy_port: u16,
    kind: u8,
    reason: u8,
    protocol: u8,
    direction: u8,
    hook: u8,
    reserved: reserved(1),
  }),
  outcomeKey: layout('weir_outcome_key', {
    ifindex: u32,
    direction: u8,
    reason: u8,
    reserved: reserved(2, 2),
  }),
});

/** Numbers of lib/shared.h that structures carry. */
export const codes = Object.freeze({
  direction: Object.freeze({ ingress: 0, egress: 1 }),
  hook: Object.freeze({ 'from-workload': 0, 'to-workload': 1, 'from-network': 2, guard: 3 }),
  generation: Object.freeze({ none: 0, open: 1 }),
  addressFlag: Object.freeze({ answersRefused: 1 }),
  verdict: Object.freeze({ allow: 1, deny: 2, l7: 3 }),
  event: Object.freeze({ drop: 1, allow: 2, redirect: 3 }),
  flow: Object.freeze({
    sourceIsLow: 1,
    ingressOnly: 2,
    leg: 4,
    replied: 8,
    sourceFinished: 16,
    destinationFinished: 32,
    cut: 64,
    shared: 128,
    otherSourceFinished: 256,
    otherDestinationFinished: 512,
  }),
});
