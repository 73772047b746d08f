import type { Brand } from './brand.ts';

/** Digest of a rule's content; equal rules in different places have equal ids. */
export type RuleId = Brand<string, 'RuleId'>;

/** Names again what an engine named before: for an access log that carried the text. */
export const ruleId = (text: string): RuleId => text as RuleId;

/** What a header that does not have the wanted value leads to. `FAIL` refuses the request. */
export type MismatchAction = 'FAIL' | 'LOG' | 'ADD' | 'DELETE' | 'REPLACE';

/** One entry of `headers`: the header exists, or has exactly this value. Names ignore case. */
export interface HeaderRequirement {
  readonly name: string;
  /** null: any value will do. */
  readonly value: string | null;
}

/** One entry of `headerMatches`. */
export interface HeaderMatch {
  readonly name: string;
  /**
   * The value, a secret's already put in; '' asks for presence.
   * null: the secret is not known, and the rule matches no request whatever `mismatch` says.
   */
  readonly value: string | null;
  /** The value is a secret's: it is shown to nobody. */
  readonly secret: boolean;
  readonly mismatch: MismatchAction;
}

/** All conditions must hold; patterns are RE2 and match the whole text. null: no condition. */
export interface HttpRule {
  readonly kind: 'http';
  readonly id: RuleId;
  readonly method: string | null;
  /** Matches the `:path` pseudo header, query included. */
  readonly path: string | null;
  /** Matches the host without its port. */
  readonly host: string | null;
  readonly headers: readonly HeaderRequirement[];
  readonly headerMatches: readonly HeaderMatch[];
}

/** Weir's extension: calls by service and method. Lives in slots of kind `http`. */
export interface GrpcRule {
  readonly kind: 'grpc';
  readonly id: RuleId;
  /** RE2 over `package.Service`, whole text; null: any. */
  readonly service: string | null;
  /** RE2 over the method name, whole text; null: any. */
  readonly method: string | null;
}

/** null: no condition. A topic condition holds for every topic of the request. */
export interface KafkaRule {
  readonly kind: 'kafka';
  readonly id: RuleId;
  /** API keys by number; a role stands here as the keys it means. */
  readonly apiKeys: readonly number[] | null;
  readonly apiVersion: number | null;
  readonly clientId: string | null;
  readonly topic: string | null;
}

/** A name in DNS queries, lower case, without the last dot. */
export interface DnsRule {
  readonly kind: 'dns';
  readonly id: RuleId;
  readonly match: NamePattern;
}

/** A server name (SNI) of a TLS connection. */
export interface TlsRule {
  readonly kind: 'tls';
  readonly id: RuleId;
  readonly match: NamePattern;
}

/** A listener of a CiliumEnvoyConfig that takes the connection. */
export interface ListenerRule {
  readonly kind: 'listener';
  readonly id: RuleId;
  readonly resourceKind: string;
  readonly resourceName: string;
  readonly listener: string;
  /** From 1, the highest, to 100; 0 is not set. */
  readonly priority: number;
}

/** A rule of a parser that only old Cilium proxies knew (`l7proto`); no request matches it. */
export interface GenericRule {
  readonly kind: 'generic';
  readonly id: RuleId;
  readonly protocol: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** A domain name, or a pattern of one with `regex` (RE2, whole text) standing for its stars. */
export type NamePattern =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'pattern'; readonly pattern: string; readonly regex: string };

export type L7Rule = HttpRule | GrpcRule | KafkaRule | DnsRule | TlsRule | ListenerRule | GenericRule;

/** What a proxy must speak; `grpc` rules are `http`, `l7proto` is `generic`. */
export type L7Kind = 'http' | 'kafka' | 'dns' | 'tls' | 'listener' | 'generic';
