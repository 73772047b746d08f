import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createRequestCounters, metricsText } from '@weir/agent';

const rule = (id: string) => ({ rule: id, places: [] });

it('counts outcomes and rules, and forgets rules that are gone', () => {
  const counters = createRequestCounters();
  counters.add({ verdict: 'allowed', reason: null, rules: [rule('a'), rule('b')] });
  counters.add({ verdict: 'allowed', reason: null, rules: [rule('a')] });
  counters.add({ verdict: 'denied', reason: 'ingress-rules', rules: [{ rule: null, places: ['f:1'] }] });
  counters.add({ verdict: 'failed', reason: 'any words of the proxy', rules: [] });
  counters.add({ verdict: 'failed', reason: 'other words', rules: [] });
  assert.deepEqual(counters.outcomes(), [
    { verdict: 'allowed', reason: null, requests: 2 },
    { verdict: 'denied', reason: 'ingress-rules', requests: 1 },
    { verdict: 'failed', reason: null, requests: 2 },
  ]);
  counters.keep(new Set(['a']));
  assert.deepEqual([...counters.byRule()], [['a', 2]]);
});

it('writes what Prometheus reads, with its escapes and without what nobody knows', () => {
  const text = metricsText({
    status: {
      healthy: false,
      flows: { total: 3, accessLogUndecoded: 1, accessLogDropped: null },
      envoy: { state: 'ready', pid: 1, connected: true },
      datapath: {
        adopted: false,
        counters: { redirected: 2 },
        acceleration: { kind: 'off', reason: 'switched off' },
        accelerationCounters: {},
        turns: 1,
        failure: null,
        maps: [{ map: 'policy_peers', entries: 12, maxEntries: 100 }],
        held: [],
      },
      instance: 'i',
      version: '0',
      pid: 1,
      startedAt: '',
      workloads: [
        {
          name: 'star',
          namespace: 'default',
          origin: 'file',
          addresses: [],
          identity: 256,
          ifindex: 3,
          protected: true,
          enforced: { ingress: true, egress: false },
          outcomes: [{ direction: 'ingress', reason: 'policy-deny', packets: 5 }],
        },
      ],
      policies: { directory: '', files: 0, problems: [] },
      classes: [],
    },
    rules: [{ rule: 'a', places: ['a "b"\\c\n.yaml:1'], requests: 7 }],
    outcomes: [],
  });
  assert.ok(text.includes('weir_rule_requests_total{rule="a",place="a \\"b\\"\\\\c\\n.yaml:1"} 7\n'), text);
  assert.match(text, /^# TYPE weir_healthy gauge\nweir_healthy 0\n/m);
  assert.match(text, /^weir_datapath_total\{outcome="redirected"\} 2$/m);
  assert.match(
    text,
    /^weir_workload_packets_total\{workload="star",direction="ingress",outcome="policy-deny"\} 5$/m,
  );
  assert.match(text, /^weir_map_entries\{map="policy_peers"\} 12$/m);
  assert.match(text, /^weir_map_max_entries\{map="policy_peers"\} 100$/m);
  assert.doesNotMatch(text, /^weir_access_log_dropped_total/m);
});
