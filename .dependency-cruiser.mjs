// Arrows point only downward (ARCHITECTURE.md): each workspace lists what it may import.
const mayImport = {
  agent: ['redirect', 'envoy-config', 'xds-server', 'l7-policy', 'bpf', 'xds-ts'],
  redirect: ['bpf', 'l7-policy'],
  'envoy-config': ['l7-policy', 'xds-ts'],
  'xds-server': ['xds-ts'],
  'l7-policy': [],
  bpf: [],
  'xds-ts': [],
};

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...Object.entries(mayImport).map(([folder, allowed]) => ({
      name: `${folder}-imports-downward`,
      comment: `${folder} may import only: ${allowed.join(', ') || 'nothing of ours'}`,
      severity: 'error',
      from: { path: `^${folder}/` },
      to: {
        path: `^(${[...Object.keys(mayImport), 'tests', 'bench'].join('|')})/`,
        pathNot: `^(${[folder, ...allowed].join('|')})/`,
      },
    })),
    {
      name: 'public-entry-only',
      comment:
        'another workspace is reached through its src/index.ts; of xds-ts the generated types are public too, and the Kafka filter is compiled with the evaluator of l7-policy',
      severity: 'error',
      from: { path: '^([^/]+)/' },
      to: {
        path: `^(${Object.keys(mayImport).join('|')})/`,
        pathNot: ['^$1/', '^[^/]+/src/index\\.ts$', '^xds-ts/gen/', '^l7-policy/src/kafka/rule-table\\.ts$'],
      },
    },
    {
      name: 'policy-is-pure',
      comment: 'l7-policy does no I/O and reads no clock',
      severity: 'error',
      from: { path: '^l7-policy/src/' },
      to: { dependencyTypes: ['core'] },
    },
    { name: 'no-cycle', severity: 'error', from: {}, to: { circular: true } },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true, pathNot: '/gen/' } },
  ],
  options: {
    doNotFollow: { path: '(node_modules|^xds-ts/gen)/' },
    exclude: { path: '(^|/)build/|^envoy-config/kafka-filter/envoy/' },
    preserveSymlinks: false,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.js', '.mjs'],
    },
  },
};
