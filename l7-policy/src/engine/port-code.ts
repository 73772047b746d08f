import type { PortMatch } from '../model/policy.ts';

/**
 * Protocol, port and prefix length in one number, as the kernel's longest-prefix match orders them: sorted
 * ascending, a code comes after all codes that contain it. Code 0 is every protocol and port.
 */
export type PortCode = number;

const lengthSteps = 32;
const portSteps = 0x1_0000;

export function portCode(protocol: number, port: number, prefixLength: number): PortCode {
  return (protocol * portSteps + port) * lengthSteps + prefixLength;
}

export function codeProtocol(code: PortCode): number {
  return Math.floor(code / (portSteps * lengthSteps));
}

export function codePort(code: PortCode): number {
  return Math.floor(code / lengthSteps) % portSteps;
}

export function codePrefixLength(code: PortCode): number {
  return code % lengthSteps;
}

/** Whether everything `inner` covers is covered by `outer`. */
export function codeContains(outer: PortCode, inner: PortCode): boolean {
  const protocol = codeProtocol(outer);
  if (protocol === 0) return true;
  if (protocol !== codeProtocol(inner)) return false;
  const length = codePrefixLength(outer);
  if (length > codePrefixLength(inner)) return false;
  return codePort(outer) >>> (16 - length) === codePort(inner) >>> (16 - length);
}

/** Whether some packet is covered by both: prefixes are nested or apart. */
export function codesMeet(a: PortCode, b: PortCode): boolean {
  return codeContains(a, b) || codeContains(b, a);
}

/** The codes that together cover exactly what a range or `all` says. Named ports have none. */
export function portCodes(port: Exclude<PortMatch, { kind: 'named' }>): readonly PortCode[] {
  if (port.kind === 'all') return [portCode(0, 0, 0)];
  return port.protocols.flatMap((protocol) =>
    rangePrefixes(port.low, port.high).map(({ start, length }) => portCode(protocol, start, length)),
  );
}

/** The fewest prefixes that cover low..high. */
function rangePrefixes(low: number, high: number): { start: number; length: number }[] {
  const prefixes: { start: number; length: number }[] = [];
  let start = low;
  while (start <= high) {
    let size = 1;
    while (start % (size * 2) === 0 && start + size * 2 - 1 <= high && size < portSteps) size *= 2;
    prefixes.push({ start, length: 16 - Math.log2(size) });
    start += size;
  }
  return prefixes;
}
