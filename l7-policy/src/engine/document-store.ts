import type { Document, DocumentId } from '../model/policy.ts';
import type { ParsedFile } from '../parse/documents.ts';
import type { Problem } from '../types/problem.ts';
import type { ConflictIndex } from './conflict-index.ts';

/** What a file brought about: documents that come into force and go out of it. */
export interface FileChange {
  /** `before` null: new. `after` null: gone. */
  readonly changes: readonly { readonly before: Document | null; readonly after: Document | null }[];
  readonly problems: readonly Problem[];
}

export interface DocumentStore {
  setFile(file: string, parsed: ParsedFile): FileChange;
  removeFile(file: string): FileChange;
  problems(): readonly Problem[];
  /** In force, sorted by id. */
  documents(): readonly Document[];
}

interface FileState {
  readonly documents: Map<DocumentId, Document>;
  problems: readonly Problem[];
}

/**
 * Documents by file. A document that is refused keeps its last good version; a file that is no YAML, or one
 * where a document's name cannot be read, keeps what it does not replace.
 */
export function createDocumentStore(conflicts: ConflictIndex): DocumentStore {
  const files = new Map<string, FileState>();
  const owners = new Map<DocumentId, string>();

  function drop(file: string, state: FileState, id: DocumentId): Document | null {
    const document = state.documents.get(id) ?? null;
    if (document !== null) conflicts.remove(document);
    state.documents.delete(id);
    if (owners.get(id) === file) owners.delete(id);
    return document;
  }

  return {
    setFile(file, parsed) {
      const state = files.get(file) ?? { documents: new Map(), problems: [] };
      files.set(file, state);
      if (parsed.documents === null) {
        state.problems = parsed.problems;
        return { changes: [], problems: parsed.problems };
      }
      return replaceDocuments(file, state, parsed, { owners, drop, conflicts });
    },
    removeFile(file) {
      const state = files.get(file);
      if (state === undefined) return { changes: [], problems: [] };
      files.delete(file);
      const changes = [...state.documents.keys()].map((id) => ({
        before: drop(file, state, id),
        after: null,
      }));
      return { changes, problems: [] };
    },
    problems: () => [...files.values()].flatMap((state) => state.problems),
    documents: () =>
      [...files.values()]
        .flatMap((state) => [...state.documents.values()])
        .sort((a, b) => (a.id < b.id ? -1 : 1)),
  };
}

interface Replacement {
  readonly owners: Map<DocumentId, string>;
  readonly drop: (file: string, state: FileState, id: DocumentId) => Document | null;
  readonly conflicts: ConflictIndex;
}

function replaceDocuments(
  file: string,
  state: FileState,
  parsed: ParsedFile,
  { owners, drop, conflicts }: Replacement,
): FileChange {
  const documents = parsed.documents ?? [];
  const changes: FileChange['changes'][number][] = [];
  const problems = [...parsed.problems];
  const seen = new Set<DocumentId>();
  const nameless = documents.some((item) => item.id === null);
  const named = new Set(documents.map((item) => item.id));
  // Those that go make room first: a document may move within the file or change its name.
  if (!nameless) {
    for (const id of [...state.documents.keys()]) {
      if (!named.has(id)) changes.push({ before: drop(file, state, id), after: null });
    }
  }
  for (const { id, document } of documents) {
    if (id === null || document === null) continue;
    const owner = owners.get(id);
    if (seen.has(id) || (owner !== undefined && owner !== file)) {
      problems.push(duplicate(document, seen.has(id) ? file : (owner ?? file)));
      continue;
    }
    seen.add(id);
    const clashes = conflicts.check(document);
    problems.push(...clashes);
    if (clashes.length > 0) continue;
    const before = state.documents.get(id) ?? null;
    if (before !== null) conflicts.remove(before);
    conflicts.add(document);
    changes.push({ before, after: document });
    state.documents.set(id, document);
    owners.set(id, file);
  }
  state.problems = problems;
  return { changes, problems };
}

function duplicate(document: Document, owner: string): Problem {
  const { file, line, column, policy } = document.source;
  return {
    severity: 'error',
    file,
    line,
    column,
    message: `"${policy}" stands in ${owner} already; this one is not used`,
    hint: 'give one of the two another name',
  };
}
