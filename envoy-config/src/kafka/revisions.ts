import { type KafkaFilterInput, kafkaFilterConfig } from './filter-config.ts';

/** Remembers which rules each class had last. */
export interface KafkaRevisions {
  /** The revision of a class with these rules. */
  of(input: Omit<KafkaFilterInput, 'revision'>): string;
}

/** `next` gives a text that it has never given before. */
export function createKafkaRevisions(next: () => string): KafkaRevisions {
  const last = new Map<string, { readonly config: Buffer; readonly revision: string }>();
  return {
    of(input) {
      const config = Buffer.from(kafkaFilterConfig({ ...input, revision: '' }));
      const before = last.get(input.id);
      if (before?.config.equals(config) === true) return before.revision;
      const revision = next();
      last.set(input.id, { config, revision });
      return revision;
    },
  };
}
