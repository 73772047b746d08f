// What a receiver makes of the bytes of a frame, written from the RFCs without a look at the programs.

/** The ends of a connection that a packet belongs to; for ICMP the port of the receiver is the type. */
export interface Tuple {
  readonly protocol: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

export type Frame =
  | { readonly kind: 'arp'; readonly sender: string }
  /** Nothing that the stack of a receiver would take in as IP. */
  | { readonly kind: 'unreadable' }
  | {
      readonly kind: 'ip';
      readonly source: string;
      readonly destination: string;
      readonly hopLimit: number;
      readonly fragmentId: number;
      readonly fragment: 'none' | 'first' | 'later';
      readonly protocol: number;
      /** Absent in a later fragment, and where the header is cut short. */
      readonly tuple: Tuple | undefined;
      /** The connection that the message answers, when it can only answer. */
      readonly answers: Tuple | undefined;
      /** What an ICMP error quotes. */
      readonly quotes: Tuple | undefined;
      readonly icmpType: number | undefined;
      /** The address that a neighbour advertisement speaks of. */
      readonly target: string | undefined;
      readonly isReset: boolean;
    };

const unreadable: Frame = { kind: 'unreadable' };
const extensions = new Set([0, 43, 44, 51, 60]);
const icmpAnswers = new Map([
  [0, 8],
  [14, 13],
]);
const icmpErrors = new Set([3, 11, 12]);

export function readFrame(bytes: Uint8Array): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 14) return unreadable;
  let at = 14;
  let type = view.getUint16(12);
  for (let tags = 0; tags < 2 && (type === 0x8100 || type === 0x88a8); tags += 1) {
    if (bytes.length < at + 4) return unreadable;
    type = view.getUint16(at + 2);
    at += 4;
  }
  if (type === 0x0806) return { kind: 'arp', sender: bytes.length < at + 18 ? '?' : v4(bytes, at + 14) };
  const header =
    type === 0x0800 ? readV4(view, bytes, at) : type === 0x86dd ? readV6(view, bytes, at) : undefined;
  if (header === undefined) return unreadable;
  return { kind: 'ip', ...header, ...readTransport(view, bytes, header) };
}

interface IpHeader {
  readonly source: string;
  readonly destination: string;
  readonly hopLimit: number;
  readonly fragmentId: number;
  readonly fragment: 'none' | 'first' | 'later';
  readonly protocol: number;
  readonly payloadAt: number;
}

function readV4(view: DataView, bytes: Uint8Array, at: number): IpHeader | undefined {
  if (bytes.length < at + 20 || view.getUint8(at) >> 4 !== 4) return undefined;
  const headerBytes = (view.getUint8(at) & 15) * 4;
  if (headerBytes < 20) return undefined;
  const fragment = view.getUint16(at + 6);
  return {
    source: v4(bytes, at + 12),
    destination: v4(bytes, at + 16),
    hopLimit: view.getUint8(at + 8),
    fragmentId: view.getUint16(at + 4),
    fragment: (fragment & 0x1fff) !== 0 ? 'later' : (fragment & 0x2000) !== 0 ? 'first' : 'none',
    protocol: view.getUint8(at + 9),
    payloadAt: at + headerBytes,
  };
}

function readV6(view: DataView, bytes: Uint8Array, at: number): IpHeader | undefined {
  if (bytes.length < at + 40 || view.getUint8(at) >> 4 !== 6) return undefined;
  let protocol = view.getUint8(at + 6);
  let payloadAt = at + 40;
  let fragment: IpHeader['fragment'] = 'none';
  let fragmentId = 0;
  while (extensions.has(protocol) && fragment !== 'later') {
    if (bytes.length < payloadAt + 8) return undefined;
    if (protocol === 44) {
      const field = view.getUint16(payloadAt + 2);
      fragment = (field & 0xfff8) !== 0 ? 'later' : (field & 1) !== 0 ? 'first' : 'none';
      fragmentId = view.getUint32(payloadAt + 4);
    }
    const units = view.getUint8(payloadAt + 1);
    const size = protocol === 44 ? 8 : protocol === 51 ? (units + 2) * 4 : (units + 1) * 8;
    protocol = view.getUint8(payloadAt);
    payloadAt += size;
  }
  return {
    source: v6(view, at + 8),
    destination: v6(view, at + 24),
    hopLimit: view.getUint8(at + 7),
    fragmentId,
    fragment,
    protocol,
    payloadAt,
  };
}

function readTransport(view: DataView, bytes: Uint8Array, ip: IpHeader) {
  const none = {
    tuple: undefined,
    answers: undefined,
    quotes: undefined,
    icmpType: undefined,
    target: undefined,
    isReset: false,
  };
  const { payloadAt: at, protocol, source, destination } = ip;
  if (ip.fragment === 'later') return none;
  const ends = (sourcePort: number, destinationPort: number): Tuple => ({
    protocol,
    source,
    sourcePort,
    destination,
    destinationPort,
  });
  if (protocol !== 6 && protocol !== 17 && protocol !== 132 && protocol !== 1 && protocol !== 58)
    return { ...none, tuple: ends(0, 0) };
  if (bytes.length < at + 8) return none;
  if (protocol !== 1 && protocol !== 58) {
    const isReset = protocol === 6 && bytes.length >= at + 14 && (view.getUint8(at + 13) & 4) !== 0;
    return { ...none, tuple: ends(view.getUint16(at), view.getUint16(at + 2)), isReset };
  }
  const type = view.getUint8(at);
  const isError = protocol === 1 ? icmpErrors.has(type) : type >= 1 && type <= 4;
  if (isError) return { ...none, icmpType: type, quotes: readQuoted(view, bytes, at + 8, protocol) };
  const request = protocol === 1 ? icmpAnswers.get(type) : type === 129 ? 128 : undefined;
  const id = view.getUint16(at + 4);
  const target = protocol === 58 && type === 136 && bytes.length >= at + 24 ? v6(view, at + 8) : undefined;
  if (request === undefined) return { ...none, tuple: ends(id, type), icmpType: type, target };
  return { ...none, icmpType: type, answers: reverse(ends(request, id)) };
}

function readQuoted(view: DataView, bytes: Uint8Array, at: number, protocol: number): Tuple | undefined {
  const header = protocol === 1 ? readV4(view, bytes, at) : readV6(view, bytes, at);
  if (header === undefined || header.fragment === 'later') return undefined;
  const { source, destination, payloadAt } = header;
  if (bytes.length < payloadAt + 8) return undefined;
  const read = readTransport(view, bytes, { ...header, source, destination });
  return read.tuple ?? (read.answers === undefined ? undefined : reverse(read.answers));
}

export function reverse({ protocol, source, sourcePort, destination, destinationPort }: Tuple): Tuple {
  return {
    protocol,
    source: destination,
    sourcePort: destinationPort,
    destination: source,
    destinationPort: sourcePort,
  };
}

export function keyOf({ protocol, source, sourcePort, destination, destinationPort }: Tuple): string {
  return `${protocol} ${source} ${sourcePort} ${destination} ${destinationPort}`;
}

function v4(bytes: Uint8Array, at: number): string {
  return bytes.subarray(at, at + 4).join('.');
}

/** Not the canonical text, but one text for one address: eight groups, none left out. */
function v6(view: DataView, at: number): string {
  return Array.from({ length: 8 }, (_, index) => view.getUint16(at + index * 2).toString(16)).join(':');
}
