import type { EngineOptions } from '../types/engine.ts';
import { type ParsedFile, parseDocuments } from './documents.ts';
import { createRegexCheck } from './regex-check.ts';

/** What reading a file depends on. */
export type FileParserOptions = Pick<EngineOptions, 'clusterName' | 'nodeSelectorLabels' | 'kafkaFilter'>;

/** Reads the policy documents of a file, elsewhere than in an engine: what comes out can be sent between threads. */
export type FileParser = (file: string, text: string) => ParsedFile;

/** Reads as an engine of the same options does. */
export function createFileParser(options: FileParserOptions): FileParser {
  const regexes = createRegexCheck();
  const { clusterName, nodeSelectorLabels, kafkaFilter } = options;
  return (file, text) =>
    parseDocuments(text, { file, clusterName, nodeSelectorLabels, kafkaFilter, regexes });
}
