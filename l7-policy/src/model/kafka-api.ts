import { CLASS_EXPLICIT, CLASS_GROUP, CLASS_HARMLESS, CLASS_TOPIC } from '../kafka/rule-table.ts';

/**
 * What rules mean for a request of an API (docs/kafka.md has the table):
 * `topic` binds each topic that it names, and asking for all needs a rule without a topic;
 * `filtered` is the same, but asking for all is answered with what the rules let through;
 * `session` is the same, but naming none gets none: it opens, renews or ends a session;
 * `group` and `harmless` carry no topics or need none, so a rule's topic does not bind those that name none;
 * `explicit` has power over the cluster: a rule must name its key, or name no topic and no key at all.
 */
export type KafkaApiClass = 'topic' | 'filtered' | 'session' | 'group' | 'harmless' | 'explicit';

/** Names as policies spell them and classes, in the order of the API keys, from 0. */
const apis: readonly (readonly [name: string, apiClass: KafkaApiClass])[] = [
  ['produce', 'topic'],
  ['fetch', 'session'],
  ['offsets', 'topic'],
  ['metadata', 'filtered'],
  ['leaderandisr', 'explicit'],
  ['stopreplica', 'explicit'],
  ['updatemetadata', 'explicit'],
  ['controlledshutdown', 'explicit'],
  ['offsetcommit', 'topic'],
  ['offsetfetch', 'filtered'],
  ['findcoordinator', 'group'],
  ['joingroup', 'group'],
  ['heartbeat', 'group'],
  ['leavegroup', 'group'],
  ['syncgroup', 'group'],
  ['describegroups', 'group'],
  ['listgroups', 'group'],
  ['saslhandshake', 'harmless'],
  ['apiversions', 'harmless'],
  ['createtopics', 'topic'],
  ['deletetopics', 'topic'],
  ['deleterecords', 'topic'],
  ['initproducerid', 'group'],
  ['offsetforleaderepoch', 'topic'],
  ['addpartitionstotxn', 'topic'],
  ['addoffsetstotxn', 'group'],
  ['endtxn', 'group'],
  ['writetxnmarkers', 'explicit'],
  ['txnoffsetcommit', 'topic'],
  ['describeacls', 'explicit'],
  ['createacls', 'explicit'],
  ['deleteacls', 'explicit'],
  ['describeconfigs', 'topic'],
  ['alterconfigs', 'topic'],
  ['alterreplicalogdirs', 'topic'],
  ['describelogdirs', 'filtered'],
  ['saslauthenticate', 'harmless'],
  ['createpartitions', 'topic'],
  ['createdelegationtoken', 'explicit'],
  ['renewdelegationtoken', 'explicit'],
  ['expiredelegationtoken', 'explicit'],
  ['describedelegationtoken', 'explicit'],
  ['deletegroups', 'explicit'],
  ['electleaders', 'topic'],
  ['incrementalalterconfigs', 'topic'],
  ['alterpartitionreassignments', 'topic'],
  ['listpartitionreassignments', 'filtered'],
  ['offsetdelete', 'topic'],
  ['describeclientquotas', 'explicit'],
  ['alterclientquotas', 'explicit'],
  ['describeuserscramcredentials', 'explicit'],
  ['alteruserscramcredentials', 'explicit'],
  ['vote', 'explicit'],
  ['beginquorumepoch', 'explicit'],
  ['endquorumepoch', 'explicit'],
  ['describequorum', 'explicit'],
  ['alterpartition', 'explicit'],
  ['updatefeatures', 'explicit'],
  ['envelope', 'explicit'],
  ['fetchsnapshot', 'explicit'],
  ['describecluster', 'harmless'],
  ['describeproducers', 'topic'],
  ['brokerregistration', 'explicit'],
  ['brokerheartbeat', 'explicit'],
  ['unregisterbroker', 'explicit'],
  ['describetransactions', 'group'],
  ['listtransactions', 'explicit'],
  ['allocateproducerids', 'explicit'],
  ['consumergroupheartbeat', 'group'],
  ['consumergroupdescribe', 'group'],
  ['controllerregistration', 'explicit'],
  ['gettelemetrysubscriptions', 'harmless'],
  ['pushtelemetry', 'harmless'],
  ['assignreplicastodirs', 'explicit'],
  ['listconfigresources', 'explicit'],
  ['describetopicpartitions', 'topic'],
  ['sharegroupheartbeat', 'group'],
  ['sharegroupdescribe', 'group'],
  ['sharefetch', 'session'],
  ['shareacknowledge', 'session'],
  ['addraftvoter', 'explicit'],
  ['removeraftvoter', 'explicit'],
  ['updateraftvoter', 'explicit'],
  ['initializesharegroupstate', 'explicit'],
  ['readsharegroupstate', 'explicit'],
  ['writesharegroupstate', 'explicit'],
  ['deletesharegroupstate', 'explicit'],
  ['readsharegroupstatesummary', 'explicit'],
  ['streamsgroupheartbeat', 'group'],
  ['streamsgroupdescribe', 'group'],
  ['describesharegroupoffsets', 'filtered'],
  ['altersharegroupoffsets', 'topic'],
  ['deletesharegroupoffsets', 'topic'],
];

const classNumbers: Readonly<Record<KafkaApiClass, number>> = {
  topic: CLASS_TOPIC,
  filtered: CLASS_TOPIC,
  session: CLASS_TOPIC,
  group: CLASS_GROUP,
  harmless: CLASS_HARMLESS,
  explicit: CLASS_EXPLICIT,
};

const names: readonly string[] = apis.map(([name]) => name);

/** What any client needs before it can ask for anything. */
const session = ['apiversions', 'metadata', 'saslhandshake', 'saslauthenticate'];
const telemetry = ['gettelemetrysubscriptions', 'pushtelemetry'];

/** What clients of Kafka 2 to 4 use to produce (also idempotent, in transactions), and to consume. */
const roles: Readonly<Record<string, readonly string[]>> = {
  produce: [
    'produce',
    ...session,
    'findcoordinator',
    'initproducerid',
    'addpartitionstotxn',
    'addoffsetstotxn',
    'endtxn',
    'txnoffsetcommit',
    ...telemetry,
  ],
  consume: [
    'fetch',
    'offsets',
    ...session,
    'offsetcommit',
    'offsetfetch',
    'findcoordinator',
    'joingroup',
    'heartbeat',
    'leavegroup',
    'syncgroup',
    'offsetforleaderepoch',
    'consumergroupheartbeat',
    'sharegroupheartbeat',
    'sharefetch',
    'shareacknowledge',
    'describetopicpartitions',
    ...telemetry,
  ],
};

/** The number of an API key's name, whatever its case; null for an unknown one. */
export function apiKeyByName(name: string): number | null {
  const index = names.indexOf(name.toLowerCase());
  return index < 0 ? null : index;
}

/** The name of an API key, or its number as text. */
export function apiKeyName(key: number): string {
  return names[key] ?? String(key);
}

/** The API keys that a role needs; null for an unknown role. */
export function apiKeysByRole(role: string): readonly number[] | null {
  const name = role.toLowerCase();
  if (!Object.hasOwn(roles, name)) return null;
  return (roles[name] ?? []).map((api) => names.indexOf(api)).sort((a, b) => a - b);
}

/** The class of an API; an unknown one has power. */
export function kafkaApiClass(apiKey: number): KafkaApiClass {
  return apis[apiKey]?.[1] ?? 'explicit';
}

/** The class as rule tables and the filter know it. */
export function kafkaClassNumber(apiKey: number): number {
  return classNumbers[kafkaApiClass(apiKey)];
}

/** Whether requests of this key are about topics. */
export function carriesTopics(apiKey: number): boolean {
  return kafkaClassNumber(apiKey) === CLASS_TOPIC;
}

/** Whether a request of this key that names no topic asks for all of them. */
export function asksForAllTopics(apiKey: number): boolean {
  return kafkaApiClass(apiKey) === 'topic';
}
