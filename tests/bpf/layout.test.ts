import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accelerationCounts, codes, describeTypes, layouts, reasons } from '@weir/bpf';

const objects = ['from-workload.bpf.o', 'to-workload.bpf.o', 'from-network.bpf.o'];
const described = objects.map((object) => describeTypes(object));

/** Values of a C enum by the last words of their names, `WEIR_POLICY_DENY` as `policydeny`. */
function valuesOf(name: string, prefix: RegExp): Map<string, number> {
  const type = described.map((types) => types[name]).find((found) => found !== undefined);
  assert.ok(type !== undefined && 'values' in type, `enum ${name} is in the object files`);
  return new Map(
    type.values.map(({ name: value, value: number }) => [plain(value.replace(prefix, '')), number]),
  );
}

const plain = (name: string) => name.toLowerCase().replaceAll(/[-_]/g, '');

describe('structures shared with C', () => {
  for (const layout of Object.values(layouts)) {
    test(layout.name, () => {
      const types = described.filter((found) => layout.name in found);
      assert.ok(types.length > 0, 'some object file has it');
      for (const { [layout.name]: type } of types) {
        assert.ok(type !== undefined && 'members' in type);
        assert.deepEqual(
          Object.entries(layout.offsets).map(([name, { offset, bytes }]) => ({ name, offset, size: bytes })),
          type.members,
        );
        assert.equal(layout.bytes, type.size);
      }
    });
  }
});

describe('numbers shared with C', () => {
  const tables: [string, Readonly<Record<string, number>>][] = [
    ['weir_reason', reasons],
    ['weir_direction', codes.direction],
    ['weir_hook', codes.hook],
    ['weir_generation', codes.generation],
    ['weir_verdict', codes.verdict],
    ['weir_event_kind', codes.event],
    ['weir_flow_flag', codes.flow],
    ['weir_acceleration', accelerationCounts],
  ];
  const prefixes: Readonly<Record<string, RegExp>> = {
    weir_event_kind: /^WEIR_EVENT_/,
    weir_generation: /^WEIR_GENERATION_/,
    weir_acceleration: /^WEIR_(ACCELERATION_)?/,
  };
  for (const [name, table] of tables) {
    test(name, () => {
      const values = valuesOf(name, prefixes[name] ?? /^WEIR_/);
      values.delete('reasons');
      values.delete('counts');
      const ours = Object.entries(table).map(([word, number]) => [plain(word), number] as const);
      assert.deepEqual(new Map(ours.sort(byNumber)), new Map([...values].sort(byNumber)));
    });
  }
});

function byNumber(left: readonly [string, number], right: readonly [string, number]): number {
  return left[1] - right[1];
}
