// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import {
  API_FIRST,
  API_KEY,
  API_LAST,
  API_LEAST,
  API_STRIDE,
  FIELD_FIRST,
  FIELD_LAST,
  FIELD_STRIDE,
  STRUCT_STRIDE,
} from './layout.ts';
import { apiTable, fieldTable, structTable } from './tables.ts';

/** Kafka's message schemas, as the filter walks them. */
export class Schema {
  readonly apis: Int32Array = decode(apiTable);
  readonly structs: Int32Array = decode(structTable);
  readonly fields: Int32Array = decode(fieldTable);
  /** By API key: the last version that is understood, -1 for an unknown key. */
  private last: Int32Array = new Int32Array(128);

  constructor() {
    this.last.fill(-1);
    for (let at: i32 = 0; at < this.apis.length; at += API_STRIDE) {
      this.last[this.apis[at + API_KEY] as i32] = this.apis[at + API_LAST] as i32;
    }
  }

  /** The record of an API in a version; -1 when it is not understood. */
  find(apiKey: i32, version: i32): i32 {
    for (let at: i32 = 0; at < this.apis.length; at += API_STRIDE) {
      if ((this.apis[at + API_KEY] as i32) !== apiKey) continue;
      if (version >= (this.apis[at + API_FIRST] as i32) && version <= (this.apis[at + API_LAST] as i32))
        return at;
    }
    return -1;
  }

  /** The last version of an API that is understood; -1 for an unknown API. */
  lastVersion(apiKey: i32): i32 {
    return apiKey < 0 || apiKey > 127 ? -1 : (this.last[apiKey] as i32);
  }

  /** The first version of an API that is understood. */
  firstVersion(apiKey: i32): i32 {
    const at: i32 = this.find(apiKey, this.lastVersion(apiKey));
    return at < 0 ? 0 : (this.apis[at + API_LEAST] as i32);
  }

  api(at: i32, part: i32): i32 {
    return this.apis[at + part] as i32;
  }

  /** The first field of a structure, as an index into `fields`. */
  firstField(struct: i32): i32 {
    return (this.structs[struct * STRUCT_STRIDE] as i32) * FIELD_STRIDE;
  }

  /** The index behind a structure's last field. */
  endField(struct: i32): i32 {
    return this.firstField(struct) + (this.structs[struct * STRUCT_STRIDE + 1] as i32) * FIELD_STRIDE;
  }

  field(at: i32, part: i32): i32 {
    return this.fields[at + part] as i32;
  }

  /** Whether a field is there in a version. */
  active(at: i32, version: i32): boolean {
    return (
      version >= (this.fields[at + FIELD_FIRST] as i32) && version <= (this.fields[at + FIELD_LAST] as i32)
    );
  }
}

/** A character is a small number, `~` is -1, `}` is 32767, and `!` comes before eight hex digits. */
function decode(text: string): Int32Array {
  const values = new Int32Array(text.length);
  let count: i32 = 0;
  let at: i32 = 0;
  while (at < text.length) {
    const code: i32 = text.charCodeAt(at);
    at++;
    let value: i32 = code - 0x30;
    if (code === 0x7e) value = -1;
    if (code === 0x7d) value = 32767;
    if (code === 0x21) {
      value = 0;
      for (let digit: i32 = 0; digit < 8; digit++) {
        const hex: i32 = text.charCodeAt(at + digit);
        value = (value << 4) | (hex > 0x39 ? hex - 0x57 : hex - 0x30);
      }
      at += 8;
    }
    values[count] = value;
    count++;
  }
  return values.slice(0, count);
}
