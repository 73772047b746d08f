/** Policy documents and facts in; subject policies, classes, deltas and explanations out. No I/O. */

export {
  PolicyTestFileError,
  type Probe,
  readPolicyTests,
} from './conformance/policy-test-case.ts';
export {
  engineOfCase,
  flowOfProbe,
  type PolicyTestResult,
  runPolicyTests,
} from './conformance/run-policy-tests.ts';
export { createEngine, defaultEngineOptions } from './engine/create-engine.ts';
export { createLocalAllocator, type KnownIdentity } from './engine/local-allocator.ts';
export { kindsAgree } from './engine/set-registry.ts';
export { judgeRequest, type RequestVerdict } from './judge/judge-request.ts';
export { type Lookup, type LookupKey, lookupVerdict } from './judge/lookup-verdict.ts';
export { rewriteHeaders } from './judge/match-http.ts';
export { createPatternMatcher, type PatternMatcher } from './judge/match-patterns.ts';
export { encodeKafkaRules } from './kafka/encode-rules.ts';
export * from './kafka/rule-table.ts';
export {
  apiKeyByName,
  apiKeyName,
  apiKeysByRole,
  carriesTopics,
  type KafkaApiClass,
  kafkaApiClass,
  kafkaClassNumber,
} from './model/kafka-api.ts';
export type { ParsedFile } from './parse/documents.ts';
export { createFileParser, type FileParser, type FileParserOptions } from './parse/file-parser.ts';
export { readYaml } from './parse/read-yaml.ts';
export type { Value } from './parse/value.ts';
export type { YamlFile } from './parse/yaml-file.ts';
export { reservedRef } from './reserved-ref.ts';
export type {
  DirectionChange,
  EndpointState,
  EngineDelta,
  EngineState,
  EngineUpdate,
  MovedPeer,
} from './types/delta.ts';
export type { Engine, EngineOptions, IdentityAllocator } from './types/engine.ts';
export type {
  Explanation,
  Flow,
  FlowVerdict,
  PeerRef,
  RuleNote,
  SideExplanation,
} from './types/explanation.ts';
export type { EndpointFact, EngineChange, Labels, NamedPort, ServiceFact } from './types/fact.ts';
export type { Identity, ReservedName } from './types/identity.ts';
export { anyIdentity, firstLocalIdentity, identity, reservedIdentities } from './types/identity.ts';
export type {
  DnsRule,
  GenericRule,
  GrpcRule,
  HeaderMatch,
  HeaderRequirement,
  HttpRule,
  KafkaRule,
  L7Kind,
  L7Rule,
  ListenerRule,
  MismatchAction,
  NamePattern,
  RuleId,
  TlsRule,
} from './types/l7-rule.ts';
export { ruleId } from './types/l7-rule.ts';
export type { Problem } from './types/problem.ts';
export type {
  DnsRequest,
  GrpcRequest,
  HttpRequest,
  KafkaRequest,
  L7Request,
  TlsRequest,
} from './types/request.ts';
export type { SourceRef } from './types/source-ref.ts';
export type {
  ClassId,
  Direction,
  DirectionId,
  DirectionPolicy,
  EntryVerdict,
  L7Class,
  L7Set,
  L7SetId,
  L7Slot,
  PortTable,
  SlotId,
  SlotTls,
  SubjectKey,
  SubjectPolicy,
  TableEntry,
  TableId,
} from './types/subject-policy.ts';
export { classId, directionId, l7SetId, subjectKey, tableId } from './types/subject-policy.ts';
