import { createEngine } from '../engine/create-engine.ts';
import { headerValue } from '../judge/match-http.ts';
import { apiKeyName } from '../model/kafka-api.ts';
import { reservedRef } from '../reserved-ref.ts';
import type { Engine } from '../types/engine.ts';
import type { Explanation, Flow, PeerRef } from '../types/explanation.ts';
import type { EngineChange } from '../types/fact.ts';
import type { Problem } from '../types/problem.ts';
import type { L7Request } from '../types/request.ts';
import { type PolicyTestCase, type Probe, readPolicyTests } from './policy-test-case.ts';

/** How one probe, or one expectation about errors, came out. */
export interface PolicyTestResult {
  readonly file: string;
  /** Of the probe, or of the case for expectations about the documents. */
  readonly line: number;
  readonly test: string;
  /** What was tried, for people. */
  readonly title: string;
  readonly passed: boolean;
  /** A failure here tells nothing: the case itself says that nobody knows. */
  readonly uncertain: boolean;
  /** What was expected, what came and why. */
  readonly message: string;
  readonly explanation: Explanation | null;
}

/**
 * Runs the cases of one file, each in an engine of its own: the documents are compiled as for the kernel, and
 * probes are judged by what was compiled. A case that is not in the format fails; a file that is no list of
 * cases throws `PolicyTestFileError`.
 */
export function runPolicyTests(text: string, file: string): readonly PolicyTestResult[] {
  return readPolicyTests(text, file).flatMap((testCase): readonly PolicyTestResult[] => {
    if (testCase.kind === 'case') return runCase(testCase, file);
    const { name: test, line, message } = testCase;
    return [
      { file, line, test, title: 'format', passed: false, uncertain: false, message, explanation: null },
    ];
  });
}

/** An engine with the facts and documents of a case. */
export function engineOfCase(testCase: PolicyTestCase): Engine {
  const engine = createEngine({
    enforcement: testCase.enforcement,
    nodeSelectorLabels: testCase.nodeSelectorLabels,
    // The labels of a case are the complete set that matters.
    identityLabels: [],
  });
  engine.apply(factsOf(testCase));
  engine.setFile(testCase.policies.file, testCase.policies.text);
  return engine;
}

/** The connection that a probe is about. */
export function flowOfProbe(probe: Probe, engine: Engine): Flow {
  return {
    from: peerRef(probe.from, engine),
    to: peerRef(probe.to, engine),
    protocol: probe.protocol,
    port: probe.port,
    request: probe.request,
    direction: probe.direction,
  };
}

function runCase(testCase: PolicyTestCase, file: string): PolicyTestResult[] {
  const engine = engineOfCase(testCase);
  const problems = engine.problems().filter((problem) => problem.severity === 'error');
  const result = (
    line: number,
    title: string,
    passed: boolean,
    message: string,
    explanation: Explanation | null,
  ) => ({
    file,
    line,
    test: testCase.name,
    title,
    passed,
    uncertain: testCase.uncertain,
    message,
    explanation,
  });
  const { errors } = testCase;
  if (errors !== null) {
    const missing = errors.filter(
      (fragment) => !problems.some((problem) => problemText(problem).includes(fragment)),
    );
    const passed = problems.length > 0 && missing.length === 0;
    const seen = problems.length === 0 ? 'the documents were accepted' : problems.map(problemText).join('; ');
    return [
      result(
        testCase.line,
        'errors',
        passed,
        passed ? seen : `expected errors with "${missing.join('", "')}": ${seen}`,
        null,
      ),
    ];
  }
  if (problems.length > 0) {
    return [
      result(testCase.line, 'documents', false, `refused: ${problems.map(problemText).join('; ')}`, null),
    ];
  }
  return [
    result(testCase.line, 'documents', true, 'accepted', null),
    ...testCase.probes.map((probe) => {
      const title = probeTitle(probe);
      const explanation = engine.explain(flowOfProbe(probe, engine));
      const fault = judge(probe, explanation);
      return result(probe.line, title, fault === null, fault ?? explanation.summary, explanation);
    }),
  ];
}

function factsOf(testCase: PolicyTestCase): EngineChange[] {
  return [
    ...[...testCase.secrets].map(([name, value]): EngineChange => {
      const slash = name.indexOf('/');
      return { kind: 'set-secret', namespace: name.slice(0, slash), name: name.slice(slash + 1), value };
    }),
    ...testCase.services.map((service): EngineChange => ({ kind: 'set-service', service })),
    ...[...testCase.dns].map(([name, addresses]): EngineChange => ({ kind: 'set-dns', name, addresses })),
    ...testCase.endpoints.map(
      ({ name, labels, addresses, namedPorts, managed }): EngineChange => ({
        kind: 'set-endpoint',
        endpoint: { id: name, labels, addresses, namedPorts, local: managed },
      }),
    ),
  ];
}

function peerRef(text: string, engine: Engine): PeerRef {
  if (text.startsWith('ip:')) return { kind: 'address', address: text.slice(3) };
  return text.startsWith('reserved:') ? reservedRef(engine, text) : { kind: 'endpoint', id: text };
}

/**
 * null: as expected. Where every request would pass the proxy anyway, leaving it out is as good: a probe that
 * expects `redirected` is content with `allowed` where rules on L4 alone allow it.
 */
function judge(probe: Probe, explanation: Explanation): string | null {
  const { verdict } = explanation;
  const bypass =
    probe.verdict === 'redirected' &&
    verdict === 'allowed' &&
    explanation.sides.every((side) => side.verdict.kind === 'allow');
  if (verdict !== probe.verdict && !bypass) {
    return `expected ${probe.verdict}, but it is ${verdict}: ${explanation.summary}`;
  }
  const headers = explanation.headers ?? [];
  for (const [name, value] of probe.headers) {
    const found = headerValue(headers, name);
    if (found !== value) return `expected header ${name}: ${value}, but it is ${found ?? 'missing'}`;
  }
  const unwanted = probe.absentHeaders.find((name) => headerValue(headers, name) !== null);
  return unwanted === undefined ? null : `expected no header ${unwanted}`;
}

function probeTitle({ from, to, protocol, port, request }: Probe): string {
  const names: Readonly<Record<number, string>> = {
    6: 'TCP',
    17: 'UDP',
    132: 'SCTP',
    1: 'ICMP',
    58: 'ICMPv6',
  };
  const what = request === null ? '' : ` ${requestText(request)}`;
  return `${from} -> ${to} ${port}/${names[protocol] ?? protocol}${what}`;
}

function requestText(request: L7Request): string {
  switch (request.kind) {
    case 'http': {
      const headers = request.headers.map(([name, value]) => ` ${name}:${value}`).join('');
      return `${request.method} ${request.path}${request.host === '' ? '' : ` host:${request.host}`}${headers}`;
    }
    case 'grpc':
      return `gRPC ${request.service}/${request.method}`;
    case 'kafka':
      return `Kafka ${apiKeyName(request.apiKey)} v${request.apiVersion} client:${request.clientId} ${request.topics.join(',')}`;
    case 'dns':
      return `DNS ${request.name}`;
    case 'tls':
      return `TLS ${request.serverName}${request.inner === null ? '' : ` ${requestText(request.inner)}`}`;
  }
}

function problemText({ file, line, column, message }: Problem): string {
  return `${file}:${line}:${column}: ${message}`;
}
