/** What the schemas do not say about an API. Keys are API keys. */

/** Response array: the request arrays whose elements it answers, where the names differ. */
export const answers: Readonly<Record<number, Readonly<Record<string, readonly string[]>>>> = {
  0: { Responses: ['TopicData'], PartitionResponses: ['PartitionData'] },
  1: { Responses: ['Topics'] },
  9: { Partitions: ['PartitionIndexes'] },
  10: { Coordinators: ['CoordinatorKeys'] },
  20: { Responses: ['Topics', 'TopicNames'] },
  24: {
    ResultsByTopicV3AndBelow: ['V3AndBelowTopics'],
    ResultsByTransaction: ['Transactions'],
    TopicResults: ['Topics'],
    ResultsByPartition: ['Partitions'],
  },
  27: { Partitions: ['PartitionIndexes'] },
  30: { Results: ['Creations'] },
  31: { FilterResults: ['Filters'] },
  32: { Results: ['Resources'] },
  33: { Responses: ['Resources'] },
  34: { Results: ['Topics'] },
  37: { Results: ['Topics'] },
  42: { Results: ['GroupsNames'] },
  43: { ReplicaElectionResults: ['TopicPartitions'], PartitionResult: ['Partitions'] },
  44: { Responses: ['Resources'] },
  45: { Responses: ['Topics'] },
  51: { Results: ['Deletions', 'Upsertions'] },
  61: { Partitions: ['PartitionIndexes'] },
  65: { TransactionStates: ['TransactionalIds'] },
  69: { Groups: ['GroupIds'] },
  77: { Groups: ['GroupIds'] },
  78: { Responses: ['Topics'] },
  79: { Responses: ['Topics'] },
  83: { Results: ['Topics'] },
  84: { Results: ['Topics'] },
  85: { Results: ['Topics'] },
  86: { Results: ['Topics'] },
  87: { Results: ['Topics'] },
  89: { Groups: ['GroupIds'] },
  91: { Responses: ['Topics'] },
  92: { Responses: ['Topics'] },
};

/** Request arrays that are looked into for those above. */
export const outer: Readonly<Record<number, string>> = { 34: 'Dirs' };

/** Response arrays that hold one element with the error where the version has no other place for it. */
export const lone: Readonly<Record<number, string>> = { 35: 'Results' };

/** Field names that mean the same in request and response. */
export const alike: readonly (readonly string[])[] = [
  ['Partition', 'PartitionIndex', 'PartitionId', 'Index'],
  ['User', 'Name'],
];

/** Names of the response field that repeats an element that is no structure itself. */
export const repeats: readonly string[] = ['PartitionIndex', 'PartitionId', 'Partition', 'Key'];

/** Fields that name topics without their being asked for: what a session forgets, what a member already owns. */
export const unasked: readonly string[] = [
  '1.ForgottenTopicsData',
  '78.ForgottenTopicsData',
  '68.TopicPartitions',
];

/** Answers that name topics which the request did not, and are filtered. */
export const filtered: readonly number[] = [3, 9, 35, 46, 65, 69, 75, 77, 89, 90];
/** Answers that pair names of topics with ids. */
export const learnt: readonly number[] = [3, 19, 75];
/** Requests from which refused topics are taken, and put back into the answer as errors. */
export const partial: readonly number[] = [1, 3, 75];

/** Error codes (Kafka's Errors) of a request refused for something else than a topic. */
const transactionalIdAuthorizationFailed = 53;
const groupAuthorizationFailed = 30;
export const clusterAuthorizationFailed = 31;
export const topicAuthorizationFailed = 29;

const transactional = [22, 25, 26, 65];

/** The error of a refused request that named no refused topic. */
export function refusalError(apiKey: number, apiClass: string): number {
  if (apiKey === 36) return 58;
  if (transactional.includes(apiKey)) return transactionalIdAuthorizationFailed;
  if (apiClass === 'group') return groupAuthorizationFailed;
  return ['topic', 'filtered', 'session'].includes(apiClass)
    ? topicAuthorizationFailed
    : clusterAuthorizationFailed;
}
