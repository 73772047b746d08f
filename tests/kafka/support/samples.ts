// Messages with everything in them, made from the schemas.
import { has, type SchemaField, type SchemaMessage, type Structure, type Value } from './kafka-codec.ts';

/** The id of a topic of these tests. */
export function topicId(name: string): Buffer {
  const id = Buffer.alloc(16);
  id.write(name.slice(0, 15), 1);
  id[0] = 1;
  return id;
}

/** A message that names these topics wherever it names topics, and is full elsewhere. */
export function sample(
  message: SchemaMessage,
  version: number,
  topics: readonly string[],
  fixed: Readonly<Record<string, Value>> = {},
): Structure {
  return full(message.fields, version, topics, fixed, topics[0] ?? '');
}

function full(
  fields: readonly SchemaField[],
  version: number,
  topics: readonly string[],
  fixed: Readonly<Record<string, Value>>,
  topic: string,
): Structure {
  return Object.fromEntries(
    fields
      .filter(({ versions }) => has(versions, version))
      .map((field) => [field.name, fixed[field.name] ?? sampleOf(field, version, topics, fixed, topic)]),
  );
}

function sampleOf(
  field: SchemaField,
  version: number,
  topics: readonly string[],
  fixed: Readonly<Record<string, Value>>,
  topic: string,
): Value {
  if (!field.type.startsWith('[]')) return single(field, version, topics, fixed, topic);
  const element = { ...field, type: field.type.slice(2) };
  const names = namesTopics(element, version);
  return (names ? topics : [topic]).map((name) => single(element, version, topics, fixed, name));
}

/** Whether an element names a topic itself, so that there is one for each. */
function namesTopics({ entity, fields = [] }: SchemaField, version: number): boolean {
  return (
    entity === 'topicName' ||
    fields.some(
      (each) =>
        has(each.versions, version) &&
        !each.type.startsWith('[]') &&
        (each.entity === 'topicName' || each.name === 'TopicId' || each.name === 'ResourceName'),
    )
  );
}

function single(
  field: SchemaField,
  version: number,
  topics: readonly string[],
  fixed: Readonly<Record<string, Value>>,
  topic: string,
): Value {
  if (field.entity === 'topicName' || field.name === 'ResourceName') return topic;
  if (/^Resource(Pattern)?Type(Filter)?$/.test(field.name)) return 2;
  if (/Regex$/.test(field.name) && field.type === 'string') return '';
  switch (field.type) {
    case 'bool':
      return true;
    case 'int8':
    case 'int16':
    case 'uint16':
    case 'int32':
    case 'uint32':
      return 1;
    case 'int64':
      return 1n;
    case 'float64':
      return 0;
    case 'uuid':
      return field.name === 'TopicId' ? topicId(topic) : Buffer.alloc(16, 7);
    case 'string':
      return `${field.name}-x`;
    case 'bytes':
    case 'records':
      return Buffer.from('records');
    default:
      return full(field.fields ?? [], version, topics, fixed, topic);
  }
}
