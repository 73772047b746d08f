/** One field of a C structure: how its bytes become a value and back. */
export interface Field<Value> {
  readonly bytes: number;
  readonly align: number;
  read(view: DataView, offset: number): Value;
  write(view: DataView, offset: number, value: Value): void;
}

/** A C structure, fields in memory order, with the padding the C compiler puts in. */
export interface Layout<Fields> extends Field<Fields> {
  /** Name of the structure in C. */
  readonly name: string;
  readonly offsets: Readonly<Record<string, { readonly offset: number; readonly bytes: number }>>;
}

/** BPF programs of this build run on the machine that built them: its byte order is theirs. */
const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

export const u8: Field<number> = {
  bytes: 1,
  align: 1,
  read: (view, offset) => view.getUint8(offset),
  write: (view, offset, value) => view.setUint8(offset, value),
};

export const u16: Field<number> = {
  bytes: 2,
  align: 2,
  read: (view, offset) => view.getUint16(offset, little),
  write: (view, offset, value) => view.setUint16(offset, value, little),
};

/** 16 bits in network order. */
export const be16: Field<number> = {
  bytes: 2,
  align: 2,
  read: (view, offset) => view.getUint16(offset, false),
  write: (view, offset, value) => view.setUint16(offset, value, false),
};

export const u32: Field<number> = {
  bytes: 4,
  align: 4,
  read: (view, offset) => view.getUint32(offset, little),
  write: (view, offset, value) => view.setUint32(offset, value, little),
};

export const u64: Field<bigint> = {
  bytes: 8,
  align: 8,
  read: (view, offset) => view.getBigUint64(offset, little),
  write: (view, offset, value) => view.setBigUint64(offset, value, little),
};

/** Bytes that carry nothing and are written as zeros. */
export function reserved(bytes: number, align = 1): Field<undefined> {
  return { bytes, align, read: () => undefined, write: () => undefined };
}

/** A structure named `name` in C. */
export function layout<Fields extends object>(
  name: string,
  fields: { readonly [Name in keyof Fields]: Field<Fields[Name]> },
): Layout<Fields> {
  const offsets: Record<string, { offset: number; bytes: number }> = {};
  const places: { key: string; field: Field<unknown>; offset: number }[] = [];
  let end = 0;
  let align = 1;
  for (const [key, field] of Object.entries<Field<unknown>>(fields)) {
    const offset = Math.ceil(end / field.align) * field.align;
    offsets[key] = Object.freeze({ offset, bytes: field.bytes });
    places.push({ key, field, offset });
    end = offset + field.bytes;
    align = Math.max(align, field.align);
  }
  return Object.freeze({
    name,
    offsets: Object.freeze(offsets),
    bytes: Math.ceil(end / align) * align,
    align,
    read(view: DataView, at: number): Fields {
      const values: Record<string, unknown> = {};
      for (const { key, field, offset } of places) values[key] = field.read(view, at + offset);
      return values as Fields;
    },
    write(view: DataView, at: number, value: Fields): void {
      for (const { key, field, offset } of places) field.write(view, at + offset, Reflect.get(value, key));
    },
  });
}
