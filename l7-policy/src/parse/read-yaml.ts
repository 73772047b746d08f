import { readAnyYaml } from './any-yaml.ts';
import { isPlain, readPlainYaml } from './plain-yaml.ts';
import { refuse, type YamlFile, yamlLimits } from './yaml-file.ts';

/**
 * Reads all YAML (or JSON) documents of a text. One that is no YAML makes the whole text a problem. Takes half a second
 * at the most: what is not plain may not be large.
 */
export function readYaml(text: string): YamlFile {
  if (text.length > yamlLimits.textBytes) {
    return refuse(0, `the file is larger than ${yamlLimits.textBytes >> 20} MiB`);
  }
  const read = readPlainYaml(text, yamlLimits);
  if (isPlain(read)) return withoutEmpty({ documents: read, problems: [], plain: true });
  if (text.length <= yamlLimits.unusualBytes) return withoutEmpty(readAnyYaml(text));
  return refuse(
    read.at,
    read.message ??
      `a file of more than ${yamlLimits.unusualBytes >> 10} KiB must be plain YAML, which this is not: ` +
        'no anchors, aliases, tags, folded texts or texts over several lines, and no mistakes',
  );
}

function withoutEmpty(file: YamlFile): YamlFile {
  return { ...file, documents: file.documents.filter(({ kind }) => kind !== 'null') };
}
