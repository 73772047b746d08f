import type { GrpcRule, HttpRule, L7Class, L7Rule, L7Slot } from '@weir/l7-policy';
import type { TestClass } from './envoy-under-test.ts';

/** An HTTP rule with no condition but the given ones. */
export function httpRule(id: string, parts: Partial<Omit<HttpRule, 'id' | 'kind'>>): HttpRule {
  return {
    kind: 'http',
    id: id as HttpRule['id'],
    method: null,
    path: null,
    host: null,
    headers: [],
    headerMatches: [],
    ...parts,
  };
}

/** A gRPC rule. */
export function grpcRule(id: string, service: string | null, method: string | null): GrpcRule {
  return { kind: 'grpc', id: id as GrpcRule['id'], service, method };
}

/** A slot that holds the rules. */
export function slot(
  direction: 'egress' | 'ingress',
  rules: readonly L7Rule[],
  kind: L7Slot['kind'] = 'http',
): L7Slot {
  return {
    id: `slot-${direction}` as L7Slot['id'],
    direction,
    kind,
    rules,
    tls: null,
    source: { file: 'test.yaml', line: 1, column: 1, policy: 'test/test' },
    digest: JSON.stringify(rules),
  };
}

/** A class with rules on one side or both. */
export function testClass(
  id: string,
  port: number,
  sides: { readonly egress?: readonly L7Rule[]; readonly ingress?: readonly L7Rule[] },
): TestClass {
  return {
    id: id as L7Class['id'],
    kind: 'http',
    egress: sides.egress === undefined ? null : [slot('egress', sides.egress)],
    ingress: sides.ingress === undefined ? null : [slot('ingress', sides.ingress)],
    port,
  };
}
