import type { ParsedFile } from '../parse/documents.ts';
import type { Identity } from './identity.ts';

/** `source:key=value`, the whole set, for example `k8s:app=web`. A text without source counts as `unspec`. */
export type Labels = readonly string[];

export interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
}

/** A workload. `local` ones are subjects of policy here; others are only peers. */
export interface EndpointFact {
  readonly id: string;
  readonly labels: Labels;
  readonly addresses: readonly string[];
  readonly namedPorts: readonly NamedPort[];
  readonly local: boolean;
}

/** A Kubernetes service, for toServices. */
export interface ServiceFact {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The pods behind it, or null for a service without selector. */
  readonly selector: Readonly<Record<string, string>> | null;
  /** Backend addresses. */
  readonly addresses: readonly string[];
}

/** One change of what the engine knows. `set-*` adds or replaces by id. */
export type EngineChange =
  | { readonly kind: 'set-file'; readonly file: string; readonly text: string }
  /** A file that a `FileParser` with the engine's options has read. */
  | { readonly kind: 'set-parsed-file'; readonly file: string; readonly parsed: ParsedFile }
  | { readonly kind: 'remove-file'; readonly file: string }
  | { readonly kind: 'set-endpoint'; readonly endpoint: EndpointFact }
  | { readonly kind: 'remove-endpoint'; readonly id: string }
  /** An identity that another node or a cluster store knows, whose addresses come by `set-address`. */
  | { readonly kind: 'set-identity'; readonly identity: Identity; readonly labels: Labels }
  | { readonly kind: 'remove-identity'; readonly identity: Identity }
  /** An address or prefix elsewhere in the cluster (other nodes, their workloads). */
  | { readonly kind: 'set-address'; readonly prefix: string; readonly identity: Identity }
  | { readonly kind: 'remove-address'; readonly prefix: string }
  | { readonly kind: 'set-service'; readonly service: ServiceFact }
  | { readonly kind: 'remove-service'; readonly namespace: string; readonly name: string }
  /** Addresses that a name has resolved to, the whole list; an empty one forgets the name. */
  | { readonly kind: 'set-dns'; readonly name: string; readonly addresses: readonly string[] }
  /** The value of a secret key, or null when it is gone. */
  | {
      readonly kind: 'set-secret';
      readonly namespace: string;
      readonly name: string;
      readonly value: string | null;
    };
