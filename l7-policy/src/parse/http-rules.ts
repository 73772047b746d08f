import type { HeaderMatchSpec, PendingHttpRule, RuleAt } from '../model/policy.ts';
import type { MismatchAction } from '../types/l7-rule.ts';
import { type Fields, optionalText, readFields, readList, readText, warnOfNulls } from './fields.ts';
import type { Refusals } from './refusals.ts';
import { ruleId } from './rule-id.ts';
import type { Value } from './value.ts';

const actions: readonly MismatchAction[] = ['FAIL', 'LOG', 'ADD', 'DELETE', 'REPLACE'];
const headerName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** `rules.http`. */
export function readHttpRules(refusals: Refusals, value: Value): RuleAt[] {
  return readList(refusals, value, 'rules.http').flatMap((item) => {
    const what = 'rules.http[]';
    const known = ['method', 'path', 'host', 'headers', 'headerMatches'];
    const fields = readFields(refusals, item, what, known);
    if (fields === null) return [];
    warnOfNulls(refusals, fields, known, what);
    const content = {
      method: readRegex(refusals, fields, 'method', what),
      path: readRegex(refusals, fields, 'path', what),
      host: readRegex(refusals, fields, 'host', what),
      headers: readHeaders(refusals, fields),
      headerMatches: readHeaderMatches(refusals, fields),
    };
    const rule: PendingHttpRule = Object.freeze({ kind: 'http', id: ruleId('http', content), ...content });
    return [{ rule, source: refusals.source(item.at) }];
  });
}

/** `rules.grpc`, Weir's own: exact names, or RE2 where a name holds more than letters, digits, "_" and ".". */
export function readGrpcRules(refusals: Refusals, value: Value): RuleAt[] {
  return readList(refusals, value, 'rules.grpc').flatMap((item) => {
    const what = 'rules.grpc[]';
    const fields = readFields(refusals, item, what, ['service', 'method']);
    if (fields === null) return [];
    warnOfNulls(refusals, fields, ['service', 'method'], what);
    const content = {
      service: exactOrRegex(readRegex(refusals, fields, 'service', what)),
      method: exactOrRegex(readRegex(refusals, fields, 'method', what)),
    };
    return [
      {
        rule: Object.freeze({ kind: 'grpc', id: ruleId('grpc', content), ...content }),
        source: refusals.source(item.at),
      },
    ];
  });
}

function exactOrRegex(text: string | null): string | null {
  return text !== null && /^[A-Za-z0-9_.]+$/.test(text) ? text.replaceAll('.', '[.]') : text;
}

/** A pattern that compiles as RE2. Empty is no condition, as in Cilium. */
function readRegex(refusals: Refusals, fields: Fields, name: string, what: string): string | null {
  const text = optionalText(refusals, fields, name, what);
  if (text === null || text === '') return null;
  const problem = refusals.regexes(text);
  if (problem !== null) {
    refusals.error(
      fields.get(name)?.at ?? fields.at,
      `${what}.${name} is not a valid RE2 pattern: ${problem}`,
      text.startsWith('*') ? `"*" repeats what stands before it; write ".*" for anything` : undefined,
    );
  }
  return text;
}

function readHeaders(refusals: Refusals, fields: Fields): readonly { name: string; value: string | null }[] {
  const list = fields.get('headers');
  if (list === null) return [];
  return readList(refusals, list, 'rules.http[].headers').flatMap((item) => {
    const text = readText(refusals, item, 'rules.http[].headers[]');
    if (text === null) return [];
    const space = text.indexOf(' ');
    const name = (space < 0 ? text : text.slice(0, space)).replace(/:+$/, '');
    if (!headerName.test(name)) {
      refusals.error(
        item.at,
        `"${text}" is not a header`,
        'write "Name" or "Name: value", with a space after the colon',
      );
      return [];
    }
    return [{ name, value: space < 0 ? null : text.slice(space + 1) }];
  });
}

function readHeaderMatches(refusals: Refusals, fields: Fields): readonly HeaderMatchSpec[] {
  const list = fields.get('headerMatches');
  if (list === null) return [];
  return readList(refusals, list, 'rules.http[].headerMatches').flatMap((item) => {
    const what = 'rules.http[].headerMatches[]';
    const entry = readFields(refusals, item, what, ['name', 'value', 'secret', 'mismatch']);
    if (entry === null) return [];
    const name = optionalText(refusals, entry, 'name', what) ?? '';
    if (name === '') {
      refusals.error(entry.at, 'Header name missing');
      return [];
    }
    if (!headerName.test(name)) refusals.error(entry.keyAt('name'), `"${name}" is not a header name`);
    const written = optionalText(refusals, entry, 'mismatch', what) ?? '';
    const mismatch = written === '' ? 'FAIL' : actions.find((action) => action === written);
    if (mismatch === undefined) {
      refusals.error(
        entry.keyAt('mismatch'),
        `Invalid header action: ${written}`,
        `use ${actions.join(', ')}`,
      );
      return [];
    }
    const value = optionalText(refusals, entry, 'value', what) ?? '';
    return [{ name, value, secret: readSecret(refusals, entry.get('secret'), `${what}.secret`), mismatch }];
  });
}

/** `namespace/name` of a secret. */
export function readSecret(refusals: Refusals, value: Value | null, what: string): string | null {
  if (value === null) return null;
  const fields = readFields(refusals, value, what, ['namespace', 'name']);
  if (fields === null) return null;
  const name = optionalText(refusals, fields, 'name', what) ?? '';
  if (name === '') refusals.error(fields.at, `${what} has no name`);
  const own = refusals.policy.includes('/')
    ? refusals.policy.slice(0, refusals.policy.indexOf('/'))
    : 'default';
  return `${optionalText(refusals, fields, 'namespace', what) ?? own}/${name}`;
}
