import type { CidrGroupDocument, Document, DocumentId } from '../model/policy.ts';
import type { Problem } from '../types/problem.ts';
import { buildRules, type DraftRule } from './build-rule.ts';
import { readCidr } from './cidr.ts';
import { type RuleContext, readCiliumRule } from './cilium-policy.ts';
import { type Fields, optionalText, readFields, readList } from './fields.ts';
import { isSubdomain } from './label-selector.ts';
import { readNetworkPolicy } from './network-policy.ts';
import { readYaml } from './read-yaml.ts';
import { createPlaces, createRefusals, type Refusals } from './refusals.ts';
import type { RegexCheck } from './regex-check.ts';
import type { Value } from './value.ts';

export interface ParseOptions {
  readonly file: string;
  readonly clusterName: string;
  readonly nodeSelectorLabels: boolean;
  /** See `EngineOptions`. */
  readonly kafkaFilter: string;
  readonly regexes: RegexCheck;
}

/** What became of one document of a file. */
export interface ParsedDocument {
  /** null: not even its name could be read. */
  readonly id: DocumentId | null;
  /** null: refused. */
  readonly document: Document | null;
  readonly problems: readonly Problem[];
}

export interface ParsedFile {
  /** null: the text is no YAML at all. */
  readonly documents: readonly ParsedDocument[] | null;
  readonly problems: readonly Problem[];
}

/** Documents, or rules of plain lists, in one file. */
const maxDocuments = 10_000;

const metadataFields = [
  'name',
  'namespace',
  'uid',
  'labels',
  'annotations',
  'generation',
  'generateName',
  'resourceVersion',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'finalizers',
  'managedFields',
  'ownerReferences',
  'selfLink',
];

/** Reads every policy document of a text. Nothing that was refused comes back as a document. */
export function parseDocuments(text: string, options: ParseOptions): ParsedFile {
  const place = createPlaces(text);
  const yaml = readYaml(text);
  if (yaml.problems.length > 0) {
    const problems = yaml.problems.map(({ at, message }): Problem => {
      return { severity: 'error', file: options.file, ...place(at), message, hint: null };
    });
    return { documents: null, problems };
  }
  const fresh = () => createRefusals({ ...options, place });
  if (yaml.documents.length > maxDocuments) return tooMany(options, 'documents');
  const rules = yaml.documents.reduce(
    (sum, value) => sum + (value.kind === 'list' ? value.items.length : 0),
    0,
  );
  if (rules > maxDocuments) return tooMany(options, 'rules');
  const documents = yaml.documents.flatMap((value) => {
    if (value.kind === 'list') return readRuleList(value.items, options, fresh);
    if (
      value.kind === 'map' &&
      value.fields.get('kind') === undefined &&
      value.fields.has('endpointSelector')
    ) {
      return readRuleList([value], options, fresh);
    }
    return [readDocument(value, options, fresh())];
  });
  return { documents, problems: documents.flatMap((document) => document.problems) };
}

function tooMany({ file }: ParseOptions, what: string): ParsedFile {
  const message = `the file holds more than ${maxDocuments} ${what}`;
  return {
    documents: null,
    problems: [{ severity: 'error', file, line: 1, column: 1, message, hint: 'split it' }],
  };
}

type Fresh = () => Refusals;

/** Each rule of a plain list is a document of its own, called by its place among the file's rules. */
function readRuleList(items: readonly Value[], options: ParseOptions, fresh: Fresh): ParsedDocument[] {
  return items.map((item, index) => {
    const refusals = fresh();
    refusals.policy = `${options.file}[${index}]`;
    const id = `rule/${refusals.policy}` as DocumentId;
    const context: RuleContext = { namespace: null, kind: 'rule list', clusterName: options.clusterName };
    const draft = readCiliumRule(refusals, item, 'rule', context);
    return finish(refusals, id, draft === null ? [] : [draft], item.at);
  });
}

function readDocument(value: Value, options: ParseOptions, refusals: Refusals): ParsedDocument {
  if (value.kind !== 'map') {
    refusals.error(value.at, 'a policy document must be a map or a list of rules');
    return { id: null, document: null, problems: refusals.problems };
  }
  const kindValue = value.fields.get('kind')?.value;
  const kind = kindValue?.kind === 'text' ? kindValue.text : '';
  switch (kind) {
    case 'CiliumNetworkPolicy':
    case 'CiliumClusterwideNetworkPolicy':
      return readCiliumDocument(value, kind, options, refusals);
    case 'NetworkPolicy':
      return readKubernetesDocument(value, refusals);
    case 'CiliumCIDRGroup':
      return readCidrGroup(value, refusals);
    default:
      refusals.error(
        kindValue?.at ?? value.at,
        kind === '' ? 'the document has no kind' : `documents of kind "${kind}" are not policies`,
        'CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy, NetworkPolicy, CiliumCIDRGroup or a list of rules',
      );
      return { id: null, document: null, problems: refusals.problems };
  }
}

interface Metadata {
  readonly name: string;
  readonly namespace: string | null;
  readonly labels: readonly string[];
}

function readCiliumDocument(
  value: Value,
  kind: 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy',
  options: ParseOptions,
  refusals: Refusals,
): ParsedDocument {
  const known = ['apiVersion', 'kind', 'metadata', 'spec', 'specs', 'status', 'description'];
  const fields = readFields(refusals, value, kind, known);
  if (fields === null) return { id: null, document: null, problems: refusals.problems };
  checkApiVersion(refusals, fields, ['cilium.io/v2']);
  const metadata = readMetadata(refusals, fields, kind);
  if (metadata === null) return { id: null, document: null, problems: refusals.problems };
  const clusterwide = kind === 'CiliumClusterwideNetworkPolicy';
  if (clusterwide && metadata.namespace !== null) {
    refusals.error(fields.keyAt('metadata'), 'a CiliumClusterwideNetworkPolicy has no namespace');
  }
  const namespace = clusterwide ? null : (metadata.namespace ?? 'default');
  refusals.policy = namespace === null ? metadata.name : `${namespace}/${metadata.name}`;
  const spec = fields.get('spec');
  const specs = fields.get('specs');
  const list = specs === null ? [] : readList(refusals, specs, 'specs');
  if (spec === null && specs === null) refusals.error(fields.at, `${kind} must have spec or specs`);
  else if (spec === null && list.length === 0) {
    refusals.warn(fields.keyAt('specs'), 'specs is empty: the document says nothing');
  }
  const context: RuleContext = { namespace, kind, clusterName: options.clusterName };
  const drafts = [
    ...(spec === null ? [] : [readCiliumRule(refusals, spec, 'spec', context)]),
    ...list.map((item, index) => readCiliumRule(refusals, item, `specs[${index}]`, context)),
  ];
  const id = `${kind}/${refusals.policy}` as DocumentId;
  return finish(
    refusals,
    id,
    drafts.filter((draft) => draft !== null),
    fields.at,
  );
}

function readKubernetesDocument(value: Value, refusals: Refusals): ParsedDocument {
  const fields = readFields(refusals, value, 'NetworkPolicy', [
    'apiVersion',
    'kind',
    'metadata',
    'spec',
    'status',
  ]);
  if (fields === null) return { id: null, document: null, problems: refusals.problems };
  checkApiVersion(refusals, fields, ['networking.k8s.io/v1']);
  const metadata = readMetadata(refusals, fields, 'NetworkPolicy');
  if (metadata === null) return { id: null, document: null, problems: refusals.problems };
  const namespace = metadata.namespace ?? 'default';
  refusals.policy = `${namespace}/${metadata.name}`;
  const spec = fields.get('spec');
  if (spec === null) refusals.error(fields.at, 'NetworkPolicy must have spec');
  const draft = spec === null ? null : readNetworkPolicy(refusals, spec, namespace);
  return finish(
    refusals,
    `NetworkPolicy/${refusals.policy}` as DocumentId,
    draft === null ? [] : [draft],
    fields.at,
  );
}

function readCidrGroup(value: Value, refusals: Refusals): ParsedDocument {
  const fields = readFields(refusals, value, 'CiliumCIDRGroup', [
    'apiVersion',
    'kind',
    'metadata',
    'spec',
    'status',
  ]);
  if (fields === null) return { id: null, document: null, problems: refusals.problems };
  checkApiVersion(refusals, fields, ['cilium.io/v2', 'cilium.io/v2alpha1']);
  const metadata = readMetadata(refusals, fields, 'CiliumCIDRGroup');
  if (metadata === null) return { id: null, document: null, problems: refusals.problems };
  refusals.policy = metadata.name;
  const spec = fields.get('spec');
  const inner = spec === null ? null : readFields(refusals, spec, 'spec', ['externalCIDRs']);
  if (spec === null) refusals.error(fields.at, 'CiliumCIDRGroup must have spec');
  const list = inner?.get('externalCIDRs') ?? null;
  const prefixes =
    list === null
      ? []
      : readList(refusals, list, 'externalCIDRs').flatMap((item) => {
          const prefix = readCidr(refusals, item, 'externalCIDRs[]');
          return prefix === null ? [] : [prefix];
        });
  const id = `CiliumCIDRGroup/${metadata.name}` as DocumentId;
  if (refusals.refused) return { id, document: null, problems: refusals.problems };
  const document: CidrGroupDocument = Object.freeze({
    kind: 'cidr-group',
    id,
    name: metadata.name,
    labels: metadata.labels,
    prefixes,
    source: refusals.source(fields.at),
  });
  return { id, document, problems: refusals.problems };
}

function finish(
  refusals: Refusals,
  id: DocumentId,
  drafts: readonly DraftRule[],
  at: number,
): ParsedDocument {
  const { problems } = refusals;
  if (refusals.refused) return { id, document: null, problems };
  const document = Object.freeze({
    kind: 'policy',
    id,
    rules: buildRules(id, drafts, refusals.kafkaFilter),
    source: refusals.source(at),
  } as const);
  return { id, document, problems };
}

function checkApiVersion(refusals: Refusals, fields: Fields, expected: readonly string[]): void {
  const text = optionalText(refusals, fields, 'apiVersion', 'document');
  if (text === null)
    refusals.error(fields.at, 'the document has no apiVersion', `write apiVersion: ${expected[0]}`);
  else if (!expected.includes(text)) {
    refusals.error(
      fields.keyAt('apiVersion'),
      `apiVersion "${text}" is not supported`,
      `use ${expected.join(' or ')}`,
    );
  }
}

function readMetadata(refusals: Refusals, document: Fields, kind: string): Metadata | null {
  const value = document.get('metadata');
  const fields = value === null ? null : readFields(refusals, value, 'metadata', metadataFields);
  const name = fields === null ? null : optionalText(refusals, fields, 'name', 'metadata');
  if (fields === null || name === null || name === '') {
    refusals.error(value?.at ?? document.at, `${kind} must have name`, 'add metadata.name');
    return null;
  }
  if (!isSubdomain(name)) {
    refusals.error(
      fields.keyAt('name'),
      `"${name}" is not a valid name`,
      'lower-case letters, digits, "-" and "."',
    );
  }
  const namespace = optionalText(refusals, fields, 'namespace', 'metadata');
  return {
    name,
    namespace: namespace === '' ? null : namespace,
    labels: readObjectLabels(fields.get('labels')),
  };
}

function readObjectLabels(value: Value | null): readonly string[] {
  if (value?.kind !== 'map') return [];
  return [...value.fields].map(
    ([key, field]) => `k8s:${key}=${'text' in field.value ? field.value.text : ''}`,
  );
}
