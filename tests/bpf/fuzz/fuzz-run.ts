// Frames through the programs, and whether what passes may. The kernel's maps are filled by the real reconcile; who may
// pass is decided by reading frames and rules anew (read-frame.ts, policy-model.ts).
import {
  type DatapathMarks,
  type Ifindex,
  openPacketRunner,
  type PacketPlace,
  type PacketRun,
  type PacketRunner,
} from '@weir/bpf';
import { createEngine, type EngineChange, reservedIdentities } from '@weir/l7-policy';
import fc from 'fast-check';
import { endpoints, fileOf, setEndpoint, setFile } from '../../l7-policy/model-world.ts';
import {
  type ModelEndpoint,
  type ModelPeer,
  type ModelPolicy,
  type ModelProbe,
  modelVerdict,
  outside,
  policy,
} from '../../l7-policy/policy-model.ts';
import { fullPrefix, type KernelUnderTest } from '../conformance/kernel-under-test.ts';
import { bpffs } from '../lab.ts';
import { type Cast, type Ends, makeFrame, makeSegment } from './make-frame.ts';
import { type Random, randomOf } from './random.ts';
import { type Frame, keyOf, readFrame, reverse, type Tuple } from './read-frame.ts';

/** What a run came to. */
export interface FuzzReport {
  readonly frames: number;
  readonly runs: number;
  /** Connections through the proxy that were there from the start, each leg counted. */
  readonly proxied: number;
  readonly passed: number;
  readonly dropped: number;
  /** Sent to the proxy, or round to be sent there. */
  readonly toProxy: number;
  /** What passed that must not, with all it takes to see it again. */
  readonly findings: readonly string[];
}

const framesOfWorld = 2000;
const host = '172.31.0.1';
const remoteNode = '172.31.0.6';
const reserved = new Map([
  [fullPrefix(host), reservedIdentities.host],
  [fullPrefix(remoteNode), reservedIdentities['remote-node']],
]);
const ports = [80, 80, 81, 85, 86, 8080, 79] as const;
/** Few at a time, so that packets meet connections. */
const portsOfWorld = 3;

const manyPolicies = fc.uniqueArray(policy, { minLength: 3, maxLength: 5, selector: fileOf });

/** Runs until `frames` are made; stops at 20 findings. */
export function fuzz(
  kernel: KernelUnderTest,
  marks: DatapathMarks,
  instance: string,
  interfaces: readonly Ifindex[],
  { frames, seed }: { readonly frames: number; readonly seed: number },
): FuzzReport {
  const total = { frames: 0, runs: 0, proxied: 0, passed: 0, dropped: 0, toProxy: 0 };
  const findings: string[] = [];
  const uplink = interfaces.at(-1)!;
  const runner = openPacketRunner({ instance, marks, bpffs, events: false });
  try {
    const worlds = fc.sample(fc.noBias(fc.tuple(manyPolicies, endpoints)), {
      numRuns: Math.ceil(frames / framesOfWorld),
      seed,
    });
    for (const [number, [docs, pods]] of worlds.entries()) {
      if (findings.length >= 20) break;
      const random = randomOf(seed + number);
      const engine = createEngine();
      engine.apply([...pods.map(withV6), ...docs.map(setFile)]);
      kernel.enforce(engine, new Set(pods.map(({ id }) => id)), reserved);
      runner.forget();
      const linkOf = new Map(
        [...kernel.datapath.maps.localAddresses.entries()].map(([address, { ifindex }]) => [
          address as string,
          ifindex,
        ]),
      );
      const some = Array.from({ length: portsOfWorld }, () => random.of(ports));
      const world = createWorld(docs, pods, some, (pod) => linkOf.get(pod.address)!);
      const proxied = openProxied(random, world, runner, marks, uplink);
      total.proxied += proxied.length;
      for (let frame = 0; frame < framesOfWorld && total.frames < frames; frame += 1) {
        total.frames += 1;
        const fault = oneFrame(random, world, proxied, runner, marks, uplink, total);
        if (fault !== undefined) findings.push(`world ${number}: ${fault}`);
      }
    }
  } finally {
    runner.close();
  }
  return { ...total, findings };
}

type Totals = { -readonly [Name in Exclude<keyof FuzzReport, 'findings'>]: number };

/** Connections of a world through the proxy that frames are to be of. */
const proxiedOfWorld = 12;
const syn = 0x02;

/**
 * Opens connections that the policy sends through the proxy, and the proxy's own to the server, some of which have the
 * port of the client. Nobody listens: they are tracked all the same, and what is left of the proxy is its mark.
 */
function openProxied(
  random: Random,
  world: World,
  runner: PacketRunner,
  marks: DatapathMarks,
  uplink: Ifindex,
): readonly Ends[] {
  const opened: Ends[] = [];
  const { v4, v6, ports: some } = world.cast;
  const redirected = [v4, v6].flatMap((addresses) =>
    addresses.flatMap((source) =>
      addresses.flatMap((destination) =>
        some
          .map((destinationPort) => ({ source, sourcePort: 0, destination, destinationPort }))
          .filter((ends) => source !== destination && world.isRedirected({ ...ends, protocol: 6 })),
      ),
    ),
  );
  while (redirected.length > 0 && opened.length < proxiedOfWorld) {
    const sourcePort = 1000 + random.below(4);
    const ends = { ...random.of(redirected), sourcePort };
    const opening = makeSegment(random, ends, syn);
    const [client, server] = [world.podAt(ends.source), world.podAt(ends.destination)];
    if (client !== undefined) {
      const ifindex = world.linkOf(client);
      runner.run(opening, { hook: 'from-workload', ifindex, cameThrough: ifindex });
    } else if (server !== undefined) {
      runner.run(opening, { hook: 'to-workload', ifindex: world.linkOf(server), cameThrough: uplink });
    }
    opened.push(ends);
    if (server === undefined) continue;
    const leg = { ...ends, sourcePort: random.once(4) ? sourcePort : 1000 + random.below(4) };
    const place = { hook: 'to-workload', ifindex: world.linkOf(server), mark: marks.proxy } as const;
    runner.run(makeSegment(random, leg, syn), place);
    opened.push(leg);
  }
  for (const ends of opened) world.proxies({ ...ends, protocol: 6 });
  return opened;
}

/** Leads one frame the way it would go; gives what went wrong. */
function oneFrame(
  random: Random,
  world: World,
  proxied: readonly Ends[],
  runner: PacketRunner,
  marks: DatapathMarks,
  uplink: Ifindex,
  total: Totals,
): string | undefined {
  /** Bits of the mark that are not the instance's must not matter. */
  const mark = random.once(4) ? (random.below(0x7fffffff) & ~marks.mask) >>> 0 : 0;
  const run = (packet: Uint8Array, place: PacketPlace): PacketRun & { readonly deliver: boolean } => {
    const done = runner.run(packet, place);
    const deliver = (done.mark & marks.mask) === marks.deliver;
    total.runs += 1;
    if (done.action === 'drop') total.dropped += 1;
    else if (done.action === 'round' || deliver) total.toProxy += 1;
    else total.passed += 1;
    return { ...done, deliver };
  };
  const fault = (what: string, packet: Uint8Array, place: PacketPlace, done: PacketRun): string =>
    `${what}: ${place.hook} at ${place.ifindex} through ${place.cameThrough ?? 'the node'}, mark ${mark}: ` +
    `${Buffer.from(packet).toString('hex')} -> ${done.action} ${done.mark} ${Buffer.from(done.packet).toString('hex')} ` +
    JSON.stringify(readFrame(packet));

  const tracked = proxied.length > 0 && random.once(3) ? eitherWay(random, random.of(proxied)) : undefined;
  const sender =
    tracked !== undefined ? world.podAt(tracked.source) : random.once(3) ? undefined : random.of(world.pods);
  const owned = sender === undefined ? undefined : world.addressesOf(sender);
  let packet = tracked === undefined ? makeFrame(random, world.cast, owned) : makeSegment(random, tracked);
  let cameThrough: Ifindex | undefined;
  if (random.once(tracked === undefined ? 20 : 3)) {
    const frame = readFrame(packet);
    const receiver = (frame.kind === 'ip' && world.podAt(frame.destination)) || random.of(world.pods);
    const place: PacketPlace = {
      hook: 'to-workload',
      ifindex: world.linkOf(receiver),
      mark: (mark | marks.proxy) >>> 0,
    };
    const done = run(packet, place);
    if (done.action === 'round')
      return world.mayReachProxy(frame) ? undefined : fault('sent round', packet, place, done);
    return done.action === 'drop' ||
      world.mayComeFromProxy(receiver, frame) ||
      // What the proxy says of a connection that nobody knows ends it, whoever has it: a bare reset.
      isResetOf(frame, readFrame(done.packet))
      ? undefined
      : fault('passed from the proxy', packet, place, done);
  }
  if (sender === undefined) {
    cameThrough = random.once(8) ? undefined : uplink;
    if (cameThrough !== undefined) {
      const place: PacketPlace = { hook: 'from-network', ifindex: uplink, cameThrough, mark };
      const done = run(packet, place);
      if (done.deliver && !world.mayReachProxy(readFrame(packet)))
        return fault('to the proxy', packet, place, done);
      if (done.action === 'drop' || done.deliver) return undefined;
      packet = done.packet;
    }
  } else {
    cameThrough = world.linkOf(sender);
    const place: PacketPlace = { hook: 'from-workload', ifindex: cameThrough, cameThrough, mark };
    const frame = readFrame(packet);
    const done = run(packet, place);
    const may = world.maySend(sender, frame);
    if (done.deliver && !world.mayReachProxy(frame)) return fault('to the proxy', packet, place, done);
    if (done.action === 'pass' && !done.deliver && !may && !world.isOwnReset(frame, done.packet))
      return fault('passed', packet, place, done);
    if (done.action === 'round') return fault('sent round', packet, place, done);
    if (done.action === 'drop' || done.deliver) return undefined;
    packet = done.packet;
  }
  const frame = readFrame(packet);
  const receiver =
    frame.kind === 'ip' ? (world.podAt(frame.destination) ?? random.of(world.pods)) : random.of(world.pods);
  const place: PacketPlace = {
    hook: 'to-workload',
    ifindex: world.linkOf(receiver),
    mark,
    ...(cameThrough === undefined ? {} : { cameThrough }),
  };
  const done = run(packet, place);
  if (done.action === 'drop') return undefined;
  const may = world.mayReceive(receiver, frame, cameThrough);
  if (done.action === 'pass')
    return may || world.isOwnReset(frame, done.packet) ? undefined : fault('passed', packet, place, done);
  if (!world.mayReachProxy(frame)) return fault('sent round', packet, place, done);
  const again: PacketPlace = { ...place, hook: 'from-workload', mark: done.mark };
  const delivered = run(done.packet, again);
  if (delivered.action !== 'pass' || delivered.deliver) return undefined;
  // A reset that is not for the proxy: the stack routes it on, and it comes by the same hook once more.
  const last: PacketPlace = { ...place, cameThrough: place.ifindex, mark: delivered.mark };
  return run(delivered.packet, last).action === 'pass'
    ? fault('round and through', packet, again, delivered)
    : undefined;
}

function isResetOf(frame: Frame, sent: Frame): boolean {
  if (frame.kind !== 'ip' || sent.kind !== 'ip' || frame.tuple === undefined || sent.tuple === undefined)
    return false;
  return sent.isReset && keyOf(sent.tuple) === keyOf(frame.tuple);
}

function eitherWay(random: Random, ends: Ends): Ends {
  if (random.once(2)) return ends;
  const { source, sourcePort, destination, destinationPort } = ends;
  return {
    source: destination,
    sourcePort: destinationPort,
    destination: source,
    destinationPort: sourcePort,
  };
}

/** A policy, its workloads, and what has been let through so far. */
interface World {
  readonly pods: readonly ModelEndpoint[];
  readonly cast: Cast;
  addressesOf(pod: ModelEndpoint): { v4: string; v6: string };
  linkOf(pod: ModelEndpoint): Ifindex;
  podAt(address: string): ModelEndpoint | undefined;
  /** Also notes the connection, so that its answers may pass. */
  maySend(pod: ModelEndpoint, frame: Frame): boolean;
  mayReceive(pod: ModelEndpoint, frame: Frame, cameThrough: Ifindex | undefined): boolean;
  /** Its connection goes through the proxy. */
  mayReachProxy(frame: Frame): boolean;
  /** From a socket with the proxy's mark, at the workload's own hook. */
  mayComeFromProxy(pod: ModelEndpoint, frame: Frame): boolean;
  /** A new connection goes through the proxy. */
  isRedirected(tuple: Tuple): boolean;
  /** Notes a connection of the proxy. */
  proxies(tuple: Tuple): void;
  /** A reset that the programs made out of a segment of a connection that was known. */
  isOwnReset(frame: Frame, sent: Uint8Array): boolean;
}

type Verdict = 'allowed' | 'denied' | 'redirected';

function createWorld(
  docs: readonly ModelPolicy[],
  pods: readonly ModelEndpoint[],
  ports: readonly number[],
  linkOf: (pod: ModelEndpoint) => Ifindex,
): World {
  const byAddress = new Map(pods.flatMap((pod) => [[pod.address, pod] as const, [v6Of(pod), pod] as const]));
  const known = new Set<string>();
  const fragments = new Set<string>();
  const verdicts = new Map<string, Verdict>();

  function judge(tuple: Tuple, sides: 'both' | 'ingress'): Verdict {
    const source = byAddress.get(tuple.source);
    const destination = byAddress.get(tuple.destination);
    const egress =
      sides === 'ingress' || source === undefined
        ? 'allowed'
        : side(source, 'egress', tuple.destination, tuple);
    const ingress = destination === undefined ? 'allowed' : side(destination, 'ingress', tuple.source, tuple);
    if (egress === 'denied' || ingress === 'denied') return 'denied';
    return egress === 'redirected' || ingress === 'redirected' ? 'redirected' : 'allowed';
  }

  function side(pod: ModelEndpoint, direction: 'ingress' | 'egress', peer: string, tuple: Tuple): Verdict {
    const { protocol, destinationPort } = tuple;
    const key = `${pod.id} ${direction} ${peer} ${protocol} ${destinationPort}`;
    const found = verdicts.get(key);
    if (found !== undefined) return found;
    const probe: ModelProbe = {
      peer: peerAt(peer),
      protocol: nameOf(protocol),
      port: destinationPort,
      http: null,
    };
    const verdict = modelVerdict(docs, pod, direction, probe);
    verdicts.set(key, verdict);
    return verdict;
  }

  function peerAt(address: string): ModelPeer {
    const pod = byAddress.get(address);
    if (pod !== undefined) return { kind: 'endpoint', endpoint: pod, twins: twinsOf(pod, pods) };
    if (address === host) return { kind: 'reserved', name: 'host' };
    return address === remoteNode ? { kind: 'reserved', name: 'remote-node' } : { kind: 'address', address };
  }

  /** Whether a connection that the packet is of, in either direction, was judged so. */
  function stands(tuple: Tuple, verdict: Verdict): boolean {
    return known.has(`${verdict} ${keyOf(tuple)}`) || known.has(`${verdict} ${keyOf(reverse(tuple))}`);
  }

  /** Judges a packet as a new connection and remembers what it is let do. */
  function admit(frame: Frame & { kind: 'ip' }, sides: 'both' | 'ingress'): boolean {
    if (frame.fragment === 'later') return fragments.has(fragmentOf(frame));
    const passes = admitWhole(frame, sides);
    if (passes && frame.fragment === 'first') fragments.add(fragmentOf(frame));
    return passes;
  }

  function admitWhole(frame: Frame & { kind: 'ip' }, sides: 'both' | 'ingress'): boolean {
    // An error about what goes to the proxy tells its sender no more than any other.
    if (frame.quotes !== undefined)
      return stands(frame.quotes, 'allowed') || stands(frame.quotes, 'redirected');
    if (frame.answers !== undefined) return stands(frame.answers, 'allowed');
    if (frame.tuple === undefined) return false;
    const verdict = judge(frame.tuple, sides);
    if (verdict !== 'denied') known.add(`${verdict} ${keyOf(frame.tuple)}`);
    return stands(frame.tuple, 'allowed');
  }

  return {
    pods,
    cast: {
      v4: [
        ...pods.map(({ address }) => address),
        host,
        remoteNode,
        ...outside.filter((address) => !address.includes(':')),
        '10.0.0.9',
      ],
      v6: [
        ...pods.map(v6Of),
        '2001:db8:0:0:0:0:0:1',
        'fd00:10:0:0:0:0:0:99',
        'fe80:0:0:0:0:0:0:1',
        'ff02:0:0:0:0:0:0:1',
        '0:0:0:0:0:0:0:0',
      ],
      ports,
    },
    addressesOf: (pod) => ({ v4: pod.address, v6: v6Of(pod) }),
    linkOf,
    podAt: (address) => byAddress.get(address),
    maySend(pod, frame) {
      if (frame.kind === 'arp') return frame.sender === '0.0.0.0' || byAddress.get(frame.sender) === pod;
      if (frame.kind !== 'ip') return false;
      const owner = byAddress.get(frame.source);
      if (
        isNeighbourMessage(frame) &&
        (owner === pod || isOfLink(frame.source)) &&
        speaksForItself(frame, pod)
      )
        return true;
      return owner === pod && admit(frame, 'both');
    },
    mayReceive(pod, frame, cameThrough) {
      if (frame.kind === 'arp') return true;
      if (frame.kind !== 'ip') return false;
      if (isNeighbourMessage(frame)) return true;
      if (byAddress.get(frame.destination) !== pod) return false;
      const owner = byAddress.get(frame.source);
      // What the node sends it may send in anybody's name: the proxy does.
      const borrowed = owner !== undefined && cameThrough !== undefined && linkOf(owner) !== cameThrough;
      // An error comes from whoever is on the way, under whatever address.
      if (borrowed && frame.quotes === undefined) return false;
      return admit(frame, owner === undefined ? 'ingress' : 'both');
    },
    mayReachProxy(frame) {
      if (frame.kind !== 'ip') return false;
      const tuple = frame.tuple ?? frame.answers ?? frame.quotes;
      if (tuple === undefined) return false;
      return stands(tuple, 'redirected') || judge(tuple, 'both') === 'redirected';
    },
    mayComeFromProxy(pod, frame) {
      if (frame.kind === 'arp') return true;
      if (frame.kind !== 'ip') return false;
      if (isNeighbourMessage(frame)) return true;
      if (byAddress.get(frame.destination) !== pod) return false;
      if (frame.fragment === 'later') return fragments.has(fragmentOf(frame));
      if (frame.tuple !== undefined && frame.quotes === undefined && stands(frame.tuple, 'redirected')) {
        if (frame.fragment === 'first') fragments.add(fragmentOf(frame));
        return true;
      }
      // It opens connections on behalf of whom the policy lets; their answers go to it.
      if (
        frame.tuple !== undefined &&
        frame.answers === undefined &&
        judge(frame.tuple, 'both') !== 'denied'
      ) {
        known.add(`redirected ${keyOf(frame.tuple)}`);
        known.add(`allowed ${keyOf(frame.tuple)}`);
      }
      return admit(frame, 'both');
    },
    isRedirected: (tuple) => judge(tuple, 'both') === 'redirected',
    proxies: (tuple) => void known.add(`redirected ${keyOf(tuple)}`),
    isOwnReset(frame, sent) {
      if (frame.kind !== 'ip' || frame.tuple === undefined) return false;
      if (frame.isReset || !isResetOf(frame, readFrame(sent))) return false;
      return stands(frame.tuple, 'allowed') || stands(frame.tuple, 'redirected');
    },
  };

  /** An advertisement speaks for an address of the sender's. */
  function speaksForItself(frame: Frame & { kind: 'ip' }, pod: ModelEndpoint): boolean {
    if (frame.icmpType !== 136)
      return frame.icmpType !== 134 && frame.icmpType !== 137 && frame.icmpType !== 130;
    if (frame.target === undefined) return false;
    return byAddress.get(frame.target) === pod || (isOfLink(frame.target) && frame.target === frame.source);
  }
}

function isNeighbourMessage({ protocol, icmpType = 0, hopLimit, fragment }: Frame & { kind: 'ip' }): boolean {
  if (protocol !== 58 || fragment !== 'none') return false;
  if (icmpType >= 133 && icmpType <= 137) return hopLimit === 255;
  return ((icmpType >= 130 && icmpType <= 132) || icmpType === 143) && hopLimit === 1;
}

/** Unspecified, or fe80::/10. */
function isOfLink(address: string): boolean {
  return address === '0:0:0:0:0:0:0:0' || /^fe[89ab][0-9a-f]:/.test(address);
}

function fragmentOf({ source, destination, fragmentId }: Frame & { kind: 'ip' }): string {
  return `${source} ${destination} ${fragmentId}`;
}

function nameOf(protocol: number): ModelProbe['protocol'] {
  const names = { 6: 'TCP', 17: 'UDP', 132: 'SCTP', 1: 'ICMP', 58: 'ICMP' } as const;
  return protocol in names ? names[protocol as keyof typeof names] : 'other';
}

function twinsOf(pod: ModelEndpoint, pods: readonly ModelEndpoint[]): readonly ModelEndpoint[] {
  const who = ({ namespace, labels }: ModelEndpoint): string =>
    JSON.stringify([namespace, Object.entries(labels).sort()]);
  return pods.filter((other) => who(other) === who(pod));
}

function withV6(pod: ModelEndpoint): EngineChange {
  const fact = setEndpoint(pod);
  if (fact.kind !== 'set-endpoint') return fact;
  const { endpoint } = fact;
  return { ...fact, endpoint: { ...endpoint, addresses: [...endpoint.addresses, v6Of(pod)] } };
}

function v6Of({ address }: ModelEndpoint): string {
  return `fd00:10:0:0:0:0:0:${address.split('.').at(-1)}`;
}
