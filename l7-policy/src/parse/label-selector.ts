import type { LabelRequirement, LabelSelector } from '../model/policy.ts';
import { type Fields, readFields, readList, readText } from './fields.ts';
import type { Refusals } from './refusals.ts';
import type { Value } from './value.ts';

/** Labels by which Kubernetes names a pod's namespace, and its namespace's own labels. */
export const namespaceLabel = 'io.kubernetes.pod.namespace';
export const namespaceLabelsPrefix = 'io.cilium.k8s.namespace.labels.';

/**
 * Splits a selector key at its source: `k8s:app` takes that source only, `app` and `any:app` take all.
 * `defaultSource` is what a bare key means.
 */
export function splitKey(key: string, defaultSource = 'any'): { source: string; key: string } {
  const colon = key.indexOf(':');
  if (colon < 0) return { source: defaultSource, key };
  const source = key.slice(0, colon);
  return { source: source === '' ? 'any' : source, key: key.slice(colon + 1) };
}

/** Reads matchLabels and matchExpressions. */
export function readSelector(
  refusals: Refusals,
  value: Value,
  what: string,
  { defaultSource = 'any', keyPrefix = '', sources = true } = {},
): LabelSelector {
  const fields = readFields(refusals, value, what, ['matchLabels', 'matchExpressions']);
  if (fields === null) return { requirements: [] };
  const locate: Locate = (text, at) => {
    if (!validKey(text, sources)) {
      refusals.error(
        at,
        `"${text}" is not a valid label key`,
        `write [prefix/]name${sources ? ', behind a source and ":" if it has one' : ''}`,
      );
    }
    const { source, key } = splitKey(text, defaultSource);
    return { source, key: keyPrefix + key };
  };
  return Object.freeze({
    requirements: Object.freeze([
      ...readMatchLabels(refusals, fields, what, locate),
      ...readMatchExpressions(refusals, fields, what, locate),
    ]),
  });
}

/** Checks a key as it is written and splits it. */
type Locate = (text: string, at: number) => { source: string; key: string };

function readMatchLabels(
  refusals: Refusals,
  fields: Fields,
  what: string,
  locate: Locate,
): LabelRequirement[] {
  const labels = fields.get('matchLabels');
  if (labels === null) return [];
  if (labels.kind !== 'map') {
    refusals.error(labels.at, `${what}.matchLabels must be a map of label to value`);
    return [];
  }
  const requirements: LabelRequirement[] = [];
  for (const [name, field] of labels.fields) {
    const text = readText(refusals, field.value, `${what}.matchLabels["${name}"]`);
    const label = locate(name, field.at);
    if (text === null) continue;
    if (!validValue(text)) refusals.error(field.value.at, `"${text}" is not a valid label value`);
    requirements.push({ kind: 'in', ...label, values: [text] });
  }
  return requirements;
}

function readMatchExpressions(
  refusals: Refusals,
  fields: Fields,
  what: string,
  locate: Locate,
): LabelRequirement[] {
  const list = fields.get('matchExpressions');
  if (list === null) return [];
  return readList(refusals, list, `${what}.matchExpressions`).flatMap((item) => {
    const expression = readFields(refusals, item, `${what}.matchExpressions[]`, [
      'key',
      'operator',
      'values',
    ]);
    if (expression === null) return [];
    const requirement = readExpression(refusals, expression, what, locate);
    return requirement === null ? [] : [requirement];
  });
}

function readExpression(
  refusals: Refusals,
  fields: Fields,
  what: string,
  locate: Locate,
): LabelRequirement | null {
  const keyValue = fields.get('key');
  const operatorValue = fields.get('operator');
  if (keyValue === null) refusals.error(fields.at, `${what}.matchExpressions[] has no key`);
  if (operatorValue === null) refusals.error(fields.at, `${what}.matchExpressions[] has no operator`);
  if (keyValue === null || operatorValue === null) return null;
  const name = readText(refusals, keyValue, `${what}.matchExpressions[].key`);
  const operator = readText(refusals, operatorValue, `${what}.matchExpressions[].operator`);
  if (name === null || operator === null) return null;
  const label = locate(name, keyValue.at);
  const valuesValue = fields.get('values');
  const values =
    valuesValue === null
      ? []
      : readList(refusals, valuesValue, `${what}.matchExpressions[].values`).flatMap((item) => {
          const text = readText(refusals, item, `${what}.matchExpressions[].values[]`);
          if (text !== null && !validValue(text))
            refusals.error(item.at, `"${text}" is not a valid label value`);
          return text === null ? [] : [text];
        });
  const at = fields.keyAt('values');
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0) {
        refusals.error(at, "values must be specified when `operator` is 'In' or 'NotIn'");
        return null;
      }
      return {
        kind: operator === 'In' ? 'in' : 'not-in',
        ...label,
        values: [...new Set(values)].sort(),
      };
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0) {
        refusals.error(at, "values may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        return null;
      }
      return { kind: operator === 'Exists' ? 'exists' : 'absent', ...label };
    default:
      refusals.error(
        operatorValue.at,
        `"${operator}" is not a valid selector operator`,
        'use In, NotIn, Exists or DoesNotExist',
      );
      return null;
  }
}

/** A Kubernetes label key (qualified name), in Cilium's documents with a source before it. */
function validKey(text: string, sources: boolean): boolean {
  const colon = sources ? text.indexOf(':') : -1;
  if (colon >= 0 && !/^[A-Za-z0-9]+$/.test(text.slice(0, colon))) return false;
  const [name = '', prefix, ...rest] = text
    .slice(colon + 1)
    .split('/')
    .reverse();
  return (
    rest.length === 0 &&
    name.length <= 63 &&
    /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/.test(name) &&
    (prefix === undefined || isSubdomain(prefix))
  );
}

/** A name of Kubernetes objects (RFC 1123 subdomain). */
export function isSubdomain(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text);
}

function validValue(value: string): boolean {
  return value.length <= 63 && /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/.test(value);
}

/** Whether a selector says something about a key, whatever about. `source` null: of any source. */
export function mentionsKey(selector: LabelSelector, key: string): boolean {
  return selector.requirements.some(
    (requirement) =>
      requirement.key === key && (requirement.source === 'k8s' || requirement.source === 'any'),
  );
}

/** Whether some key of these sources starts so. */
export function mentionsPrefix(selector: LabelSelector, sources: readonly string[], prefix: string): boolean {
  return selector.requirements.some(
    (requirement) => sources.includes(requirement.source) && requirement.key.startsWith(prefix),
  );
}

/** The selector with one more requirement. */
export function withRequirement(selector: LabelSelector, requirement: LabelRequirement): LabelSelector {
  return { requirements: [...selector.requirements, requirement] };
}

/** A text that is the same for selectors of the same meaning, whatever the order of their parts. */
export function selectorKey(selector: LabelSelector): string {
  return selector.requirements
    .map((requirement) =>
      JSON.stringify([
        requirement.kind,
        requirement.source,
        requirement.key,
        'values' in requirement ? requirement.values : [],
      ]),
    )
    .sort()
    .join('&');
}
