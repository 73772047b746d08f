// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { int16, int32, RuleTable } from '../../l7-policy/src/kafka/rule-table.ts';
import { Host } from './host.ts';
import { TopicIds } from './topic-ids.ts';

/** First bytes of a configuration: the format. */
const FORMAT: i32 = 0x574b0002;
const EGRESS: i32 = 1;
const INGRESS: i32 = 2;

/**
 * The rules of one class as they are in force now, shared by all its connections in a VM. `configure` takes a new
 * version, and the next request of every connection meets that.
 */
export class Policy {
  /** Goes up with every new version. */
  generation: i32 = 0;
  /** Null: that side has no rules and allows everything. */
  egress: RuleTable | null = null;
  ingress: RuleTable | null = null;
  classId: Uint8Array = new Uint8Array(0);
  ids: TopicIds;
  private readonly host: Host;
  private scope: Uint8Array = new Uint8Array(0);

  constructor(host: Host) {
    this.host = host;
    this.ids = new TopicIds(host, new Uint8Array(0));
  }

  /** Takes the configuration that `kafkaFilterConfig` writes; false, and nothing changed, when it is malformed. */
  configure(bytes: Uint8Array): boolean {
    if (bytes.length < 6 || int32(bytes, 0) !== FORMAT) return false;
    const classId = textAt(bytes, 4);
    if (classId === null) return false;
    const scopeAt: i32 = 6 + classId.length;
    const scope = textAt(bytes, scopeAt);
    if (scope === null) return false;
    const revisionAt: i32 = scopeAt + 2 + scope.length;
    const revision = textAt(bytes, revisionAt);
    if (revision === null) return false;
    let at: i32 = revisionAt + 2 + revision.length;
    if (at >= bytes.length) return false;
    const sides: i32 = bytes[at] as i32;
    at++;
    if (sides < EGRESS || sides > (EGRESS | INGRESS)) return false;
    let egress: RuleTable | null = null;
    let ingress: RuleTable | null = null;
    if ((sides & EGRESS) !== 0) {
      const table = new RuleTable(bytes, at);
      at = table.end;
      egress = table;
    }
    if (at >= 0 && (sides & INGRESS) !== 0) {
      const table = new RuleTable(bytes, at);
      at = table.end;
      ingress = table;
    }
    if (at !== bytes.length) return false;
    this.egress = egress;
    this.ingress = ingress;
    this.classId = classId;
    this.generation++;
    if (this.generation === 1 || !equal(scope, this.scope)) {
      this.scope = scope;
      this.ids = new TopicIds(this.host, scope);
    }
    return true;
  }
}

/** A length of 16 bits and so many bytes; null when they are not there. */
export function textAt(bytes: Uint8Array, at: i32): Uint8Array | null {
  if (at + 2 > bytes.length) return null;
  const size: i32 = int16(bytes, at);
  if (size < 0 || at + 2 + size > bytes.length) return null;
  return bytes.slice(at + 2, at + 2 + size);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index: i32 = 0; index < a.length; index++) {
    if ((a[index] as i32) !== (b[index] as i32)) return false;
  }
  return true;
}
