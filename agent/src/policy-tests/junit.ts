import type { PolicyTestResult } from '@weir/l7-policy';
import type { TestFileOutcome, TestReport } from './run-test-files.ts';

/** The report as JUnit XML: a suite per file, a test per probe. Uncertain cases that differ count as skipped. */
export function junitReport({ files, passed, failed, uncertain }: TestReport): string {
  const tests = passed + failed + uncertain.agree + uncertain.differ;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="weir policy test" tests="${tests}" failures="${failed}" skipped="${uncertain.differ}">`,
    ...files.map(suite),
    '</testsuites>',
    '',
  ].join('\n');
}

function suite(outcome: TestFileOutcome): string {
  const name = escapeXml(outcome.file);
  switch (outcome.kind) {
    case 'skipped':
      return `  <testsuite name="${name}" tests="0" failures="0" skipped="0"/>`;
    case 'unreadable': {
      const failure = `<failure message="${escapeXml(outcome.message)}"/>`;
      return `  <testsuite name="${name}" tests="1" failures="1" skipped="0">\n    <testcase classname="${name}" name="file">${failure}</testcase>\n  </testsuite>`;
    }
    case 'run': {
      const { results } = outcome;
      const lost = results.filter((item) => !item.passed);
      const skipped = lost.filter((item) => item.uncertain).length;
      return [
        `  <testsuite name="${name}" tests="${results.length}" failures="${lost.length - skipped}" skipped="${skipped}">`,
        ...results.map(testCase),
        '  </testsuite>',
      ].join('\n');
    }
  }
}

function testCase({ test, title, file, line, passed, uncertain, message }: PolicyTestResult): string {
  const head = `classname="${escapeXml(test)}" name="${escapeXml(title)}" file="${escapeXml(file)}" line="${line}"`;
  if (passed) return `    <testcase ${head}/>`;
  const element = uncertain ? 'skipped' : 'failure';
  return `    <testcase ${head}><${element} message="${escapeXml(message)}"/></testcase>`;
}

/** Text for an attribute. XML 1.0 has no way to write most control characters, so they become U+FFFD. */
function escapeXml(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    '\n': '&#10;',
    '\r': '&#13;',
    '\t': '&#9;',
  };
  return text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\uFFFE\uFFFF]/gu, (char) => names[char] ?? '\uFFFD')
    .replaceAll(/[&<>"]/g, (char) => (char === '&' ? '&amp;' : (names[char] ?? char)));
}
