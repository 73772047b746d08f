/** Names of API keys in the order of their numbers, from 0 (Kafka protocol guide, as policies spell them). */
const names = [
  'produce',
  'fetch',
  'offsets',
  'metadata',
  'leaderandisr',
  'stopreplica',
  'updatemetadata',
  'controlledshutdown',
  'offsetcommit',
  'offsetfetch',
  'findcoordinator',
  'joingroup',
  'heartbeat',
  'leavegroup',
  'syncgroup',
  'describegroups',
  'listgroups',
  'saslhandshake',
  'apiversions',
  'createtopics',
  'deletetopics',
  'deleterecords',
  'initproducerid',
  'offsetforleaderepoch',
  'addpartitionstotxn',
  'addoffsetstotxn',
  'endtxn',
  'writetxnmarkers',
  'txnoffsetcommit',
  'describeacls',
  'createacls',
  'deleteacls',
  'describeconfigs',
  'alterconfigs',
  'alterreplicalogdirs',
  'describelogdirs',
  'saslauthenticate',
  'createpartitions',
] as const;

/** Requests that name topics: a rule's topic binds them. */
const topicKeys = new Set([0, 1, 2, 3, 4, 5, 6, 8, 9, 19, 20, 21, 23, 24, 27, 28, 34, 35, 37]);

const roles: Readonly<Record<string, readonly number[]>> = {
  produce: [0, 3, 18],
  consume: [1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 18],
};

/** The number of an API key's name, whatever its case; null for an unknown one. */
export function apiKeyByName(name: string): number | null {
  const wanted = name.toLowerCase();
  const index = names.map(String).indexOf(wanted);
  return index < 0 ? null : index;
}

/** The name of an API key, or its number as text. */
export function apiKeyName(key: number): string {
  return names[key] ?? String(key);
}

/** The API keys that a role needs; null for an unknown role. */
export function apiKeysByRole(role: string): readonly number[] | null {
  const name = role.toLowerCase();
  return Object.hasOwn(roles, name) ? (roles[name] ?? null) : null;
}

/** Whether requests of this key carry topics. */
export function carriesTopics(apiKey: number): boolean {
  return topicKeys.has(apiKey);
}
