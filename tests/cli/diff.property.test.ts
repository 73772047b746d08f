/** `weir policy diff` reports a connection exactly where its verdict changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffPolicies, type FlowChange } from '@weir/agent';
import { createEngine, type Engine, type PeerRef } from '@weir/l7-policy';
import fc from 'fast-check';
import { endpoints as pods, policies, setEndpoint, setFile } from '../l7-policy/model-world.ts';
import type { ModelEndpoint, ModelPolicy } from '../l7-policy/policy-model.ts';

const runs = Number(process.env['WEIR_PROPERTY_RUNS'] ?? '40');
const ports = [1, 79, 80, 81, 85, 86, 95, 100, 8080, 8082, 65_535];
const protocols = [
  ['TCP', 6],
  ['UDP', 17],
  ['SCTP', 132],
] as const;

function build(documents: readonly ModelPolicy[], endpoints: readonly ModelEndpoint[]): Engine {
  const engine = createEngine();
  engine.apply([...endpoints.map(setEndpoint), ...documents.map(setFile)]);
  return engine;
}

test('a row for every flow that changes, and none for others', () => {
  fc.assert(
    fc.property(policies, policies, pods, (old, now, endpoints) => {
      const before = build(old, endpoints);
      const after = build(now, endpoints);
      const changes = diffPolicies(before, after);
      const ends = [
        ...endpoints.map(({ id }) => ({ name: id, ref: { kind: 'endpoint', id } as const })),
        { name: 'world (0.0.0.0/0)', ref: { kind: 'address', address: '203.0.113.9' } as const },
      ];
      for (const from of ends) {
        for (const to of ends) {
          if (from === to) continue;
          for (const [protocolName, protocol] of protocols) {
            for (const port of ports) {
              const ask = (engine: Engine) => stateOf(engine, from.ref, to.ref, protocol, port);
              const [was, is] = [ask(before), ask(after)];
              const rows = changes.filter((row) => covers(row, from.name, to.name, port, protocolName));
              const told = rows
                .filter(({ request }) => request === null)
                .map((row) => [row.before, row.after]);
              const place = `${from.name} -> ${to.name} ${port}/${protocolName}: ${JSON.stringify(rows)}`;
              if (was !== is) assert.deepEqual(told, [[was, is]], place);
              else if (was !== 'rules') assert.deepEqual(rows, [], place);
              else assert.ok(told.length === 0 || told[0]?.join() === 'rules,rules', place);
            }
          }
        }
      }
    }),
    { numRuns: runs },
  );
});

function stateOf(engine: Engine, from: PeerRef, to: PeerRef, protocol: number, port: number): string {
  const { verdict } = engine.explain({ from, to, protocol, port, request: null, direction: null });
  return verdict === 'redirected' ? 'rules' : verdict;
}

function covers(row: FlowChange, from: string, to: string, port: number, protocol: string): boolean {
  if (!row.from.includes(from) || !row.to.includes(to)) return false;
  if (row.ports === 'any') return true;
  const [range = '', name] = row.ports.split('/');
  const [low = '', high = low] = range.split('-');
  return name === protocol && (range === 'any' || (port >= Number(low) && port <= Number(high)));
}
