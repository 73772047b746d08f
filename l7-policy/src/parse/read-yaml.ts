import { readAnyYaml } from './any-yaml.ts';
import { isPlain, readPlainYaml } from './plain-yaml.ts';
import { refuse, type YamlFile, type YamlLimits, yamlLimits } from './yaml-file.ts';

/**
 * Reads all YAML (or JSON) documents of a text. One that is no YAML makes the whole text a problem. With the limits of
 * policies it takes half a second at the most: what is not plain may not be large.
 */
export function readYaml(text: string, limits: YamlLimits = yamlLimits): YamlFile {
  if (text.length > limits.textBytes) {
    return refuse(0, `the file is larger than ${limits.textBytes >> 20} MiB`);
  }
  const read = readPlainYaml(text, limits);
  if (isPlain(read)) return withoutEmpty({ documents: read, problems: [], plain: true });
  // Documents inside test files stand behind many empty lines.
  if (text.trimStart().length <= limits.unusualBytes) return withoutEmpty(readAnyYaml(text, limits));
  return refuse(
    read.at,
    read.message ??
      `a file of more than ${limits.unusualBytes >> 10} KiB must be plain YAML, which this is not: ` +
        'no anchors, aliases, tags, folded texts or texts over several lines, and no mistakes',
  );
}

function withoutEmpty(file: YamlFile): YamlFile {
  return { ...file, documents: file.documents.filter(({ kind }) => kind !== 'null') };
}
