import { forgetOldest } from '../forget-oldest.ts';
import { decodeHuffman } from './huffman.ts';

export type Header = readonly [name: string, value: string];

/** Decodes header blocks of one connection, in their order (RFC 7541). */
export interface HpackDecoder {
  /** Throws when the block is malformed or too large; the connection's state is lost then. */
  readonly decode: (block: Buffer) => readonly Header[];
}

interface TableState {
  /** Newest first. */
  readonly table: readonly Header[];
  readonly tableLimit: number;
}

/** What a connection's first header block says, and the table that it leaves behind. */
export interface FirstBlock extends TableState {
  readonly headers: readonly Header[];
}

/** First header blocks of connections: clients of one kind all begin with the same bytes. */
export interface FirstBlocks {
  readonly find: (block: Buffer) => FirstBlock | undefined;
  readonly remember: (block: Buffer, decoded: FirstBlock) => void;
}

/** Appendix A: names, with a value where the table has one. */
const staticTable: readonly Header[] = [
  [':authority', ''],
  ...pairs(':method', 'GET', 'POST'),
  ...pairs(':path', '/', '/index.html'),
  ...pairs(':scheme', 'http', 'https'),
  ...pairs(':status', '200', '204', '206', '304', '400', '404', '500'),
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...(
    'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control ' +
    'content-disposition content-encoding content-language content-length content-location content-range ' +
    'content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range ' +
    'if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range ' +
    'referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary ' +
    'via www-authenticate'
  )
    .split(' ')
    .map((name): Header => [name, '']),
];

const noHeader: Header = ['', ''];
/** What an entry counts for besides its text (4.1). */
const entryOverhead = 32;

function pairs(name: string, ...values: readonly string[]): readonly Header[] {
  return values.map((value): Header => [name, value]);
}

/**
 * `tableBytes` is the dynamic table's limit as our settings say it. A list larger than `listBytes` is
 * refused while it is decoded: a small block can name a large entry many times.
 */
export function createHpackDecoder(
  tableBytes: number,
  listBytes: number,
  firstBlocks: FirstBlocks,
): HpackDecoder {
  let begun = false;
  let start: TableState = { table: [], tableLimit: tableBytes };
  // Most connections carry one stream, which begins as that of others did: they need none.
  let decoder: TableDecoder | null = null;
  return {
    decode: (block) => {
      const first = !begun;
      begun = true;
      const known = first ? firstBlocks.find(block) : undefined;
      if (known !== undefined) {
        start = known;
        return known.headers;
      }
      decoder ??= tableDecoder(tableBytes, listBytes, start);
      const headers = decoder.decode(block);
      if (first) firstBlocks.remember(block, { headers, ...decoder.state() });
      return headers;
    },
  };
}

interface TableDecoder extends HpackDecoder {
  readonly state: () => TableState;
}

function tableDecoder(tableBytes: number, listBytes: number, start: TableState): TableDecoder {
  /** Connections that began alike share it until they differ. */
  let dynamic = start.table;
  let limit = start.tableLimit;
  let size = dynamic.reduce((sum, header) => sum + sizeOf(header), 0);

  function evict(most: number): void {
    let kept = dynamic.length;
    for (; size > most && kept > 0; kept -= 1) size -= sizeOf(dynamic[kept - 1] ?? noHeader);
    if (kept < dynamic.length) dynamic = dynamic.slice(0, kept);
  }

  function remember(header: Header): void {
    const bytes = sizeOf(header);
    evict(limit - bytes);
    if (bytes > limit) return;
    dynamic = [header, ...dynamic];
    size += bytes;
  }

  function entry(index: number): Header {
    const found =
      index <= staticTable.length ? staticTable[index - 1] : dynamic[index - staticTable.length - 1];
    if (found === undefined) throw new Error(`the header table has no entry ${index}`);
    return found;
  }

  function decoded(block: Buffer): readonly Header[] {
    const headers: Header[] = [];
    let [at, total] = [0, 0];

    function integer(prefixBits: number): number {
      const mask = 2 ** prefixBits - 1;
      const start = block[at];
      if (start === undefined) throw new Error('a header block is cut short');
      let value = start & mask;
      at += 1;
      if (value < mask) return value;
      for (let shift = 0; ; shift += 7) {
        const byte = block[at];
        if (byte === undefined || shift > 21) throw new Error('a header integer is too long');
        at += 1;
        value += (byte & 0x7f) * 2 ** shift;
        if (byte < 0x80) return value;
      }
    }

    function text(): string {
      const huffman = ((block[at] ?? 0) & 0x80) !== 0;
      const length = integer(7);
      const bytes = block.subarray(at, at + length);
      if (bytes.length < length) throw new Error('a header string is cut short');
      at += length;
      return huffman ? decodeHuffman(bytes) : Buffer.from(bytes).toString('latin1');
    }

    function literal(prefixBits: number): Header {
      const index = integer(prefixBits);
      return [index === 0 ? text() : entry(index)[0], text()];
    }

    while (at < block.length) {
      const first = block[at] ?? 0;
      if (first >= 0x20 && first < 0x40) {
        if (headers.length > 0) throw new Error('the header table changes its size too late');
        limit = integer(5);
        if (limit > tableBytes) throw new Error('the header table may not be that large');
        evict(limit);
        continue;
      }
      let header: Header;
      if (first >= 0x80) header = entry(integer(7));
      else if (first >= 0x40) {
        header = literal(6);
        remember(header);
      } else header = literal(4);
      total += sizeOf(header);
      if (total > listBytes) throw new Error(`headers of more than ${listBytes} bytes`);
      headers.push(header);
    }
    return headers;
  }

  return { decode: decoded, state: () => ({ table: dynamic, tableLimit: limit }) };
}

function sizeOf([name, value]: Header): number {
  return name.length + value.length + entryOverhead;
}

const rememberedBlocks = 32;
const longestBlock = 512;

export function createFirstBlocks(): FirstBlocks {
  const known = new Map<string, FirstBlock>();
  return {
    find: (block) => (block.length > longestBlock ? undefined : known.get(block.toString('latin1'))),
    remember: (block, decoded) => {
      if (block.length > longestBlock) return;
      known.set(block.toString('latin1'), decoded);
      forgetOldest(known, rememberedBlocks);
    },
  };
}

/** Encodes headers as literals that touch no table: small, stateless, the same for every connection. */
export function encodeHeaders(headers: readonly Header[]): Buffer {
  return Buffer.concat(
    headers.flatMap(([name, value]) => [Buffer.of(0), encodedText(name), encodedText(value)]),
  );
}

function encodedText(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 0x7f) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const prefix = [0x7f];
  let rest = bytes.length - 0x7f;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) prefix.push((rest % 0x80) | 0x80);
  return Buffer.concat([Buffer.from([...prefix, rest]), bytes]);
}
