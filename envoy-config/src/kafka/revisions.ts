import {
  type KafkaFilterContent,
  type KafkaFilterInput,
  kafkaFilterContent,
  withRevision,
} from './filter-config.ts';

/** Remembers which rules each class had last. */
export interface KafkaRevisions {
  /** The filter's configuration of a class with these rules. */
  configOf(input: Omit<KafkaFilterInput, 'revision'>): Uint8Array;
}

/** `next` gives a text that it has never given before. */
export function createKafkaRevisions(next: () => string): KafkaRevisions {
  const last = new Map<string, { readonly content: KafkaFilterContent; readonly config: Uint8Array }>();
  return {
    configOf(input) {
      const content = kafkaFilterContent(input);
      const before = last.get(input.id);
      if (before?.content.head.equals(content.head) && before.content.rules.equals(content.rules))
        return before.config;
      const config = withRevision(content, next());
      last.set(input.id, { content, config });
      return config;
    },
  };
}
