/** Called with each field of a message: its number, the bytes of its content, or its value when it is a varint. */
export type FieldVisitor = (field: number, start: number, end: number, value: number) => void;

/**
 * Walks over the fields of a protobuf message within `bytes`, decoding nothing: for messages of which little is
 * needed and that come by the thousand. Fixed-width fields are passed over. Varints above 2^53 lose digits.
 * @throws RangeError when the message is cut off or malformed.
 */
export function eachField(bytes: Buffer, from: number, to: number, visit: FieldVisitor): void {
  let at = from;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < to; scale *= 0x80) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a protobuf message ends inside a number');
  };
  while (at < to) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    switch (tag & 7) {
      case 0:
        visit(field, at, at, varint());
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const length = varint();
        const end = at + length;
        if (end > to) throw new RangeError('a protobuf message ends inside a field');
        visit(field, at, end, 0);
        at = end;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        throw new RangeError(`unknown wire type ${tag & 7}`);
    }
  }
}
