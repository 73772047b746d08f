// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
// How the numbers of tables.ts are laid out; scripts/compile-kafka-tables.ts writes them.

/** Numbers of an API's record, one for each range of versions. */
export const API_STRIDE: i32 = 10;
export const API_KEY: i32 = 0;
export const API_FIRST: i32 = 1;
export const API_LAST: i32 = 2;
/** First flexible version; 32767 where there is none. */
export const API_FLEXIBLE: i32 = 3;
/** Numbers of structures. */
export const API_REQUEST: i32 = 4;
export const API_RESPONSE: i32 = 5;
/** CLASS_… of rule-table.ts. */
export const API_CLASS: i32 = 6;
/** Error of a refusal that is not for a topic. */
export const API_ERROR: i32 = 7;
export const API_FLAGS: i32 = 8;
/** First version of the API that some range covers. */
export const API_LEAST: i32 = 9;

/** A request of the class for topics that names none needs any rule that takes its API. */
export const FLAG_ANY_RULE: i32 = 1;
/** The answer names topics that the request may not have named. */
export const FLAG_FILTERED: i32 = 2;
/** The answer pairs names and ids of topics. */
export const FLAG_LEARNT: i32 = 4;
/** Refused topics leave the request and come back as errors. */
export const FLAG_PARTIAL: i32 = 8;

/** Numbers of a structure's record: first field, number of fields. */
export const STRUCT_STRIDE: i32 = 2;

/** Numbers of a field's record. */
export const FIELD_STRIDE: i32 = 12;
export const FIELD_TYPE: i32 = 0;
/** Type of an array's elements. */
export const FIELD_ELEMENT: i32 = 1;
/** Structure of the field or of its elements. */
export const FIELD_STRUCT: i32 = 2;
export const FIELD_FIRST: i32 = 3;
export const FIELD_LAST: i32 = 4;
export const FIELD_NULL_FIRST: i32 = 5;
export const FIELD_NULL_LAST: i32 = 6;
/** -1: not a tagged field. */
export const FIELD_TAG: i32 = 7;
export const FIELD_MARK: i32 = 8;
/** Ties what a response repeats of a request to where it stands there; 0: nothing. */
export const FIELD_LINK: i32 = 9;
/** Of a number: its value; of what may be null: 1 when it is. */
export const FIELD_DEFAULT: i32 = 10;
export const FIELD_FLAGS: i32 = 11;

/** Types; a small one is its own size in bytes. */
export const TYPE_STRUCT: i32 = 0;
export const TYPE_UUID: i32 = 16;
export const TYPE_TEXT: i32 = 20;
export const TYPE_BYTES: i32 = 21;
export const TYPE_ARRAY: i32 = 30;

/** What a field means to the filter. */
export const MARK_TOPIC: i32 = 1;
export const MARK_TOPIC_ID: i32 = 2;
export const MARK_RESOURCE_TYPE: i32 = 3;
export const MARK_RESOURCE_NAME: i32 = 4;
/** A pattern of topics. */
export const MARK_PATTERN: i32 = 5;
export const MARK_ACKS: i32 = 6;
export const MARK_SESSION_ID: i32 = 7;
export const MARK_SESSION_EPOCH: i32 = 8;
export const MARK_ERROR: i32 = 9;
export const MARK_API_KEY: i32 = 10;
export const MARK_MIN_VERSION: i32 = 11;
export const MARK_MAX_VERSION: i32 = 12;

/** The element of an array of the request that is no structure, repeated. */
export const LINK_ELEMENT: i32 = 255;

/** An error that stands only where no element of a linked array carries it. */
export const FIELD_ERROR_IF_ALONE: i32 = 1;
/** An array of which one element carries the error where nothing else does. */
export const FIELD_LONE: i32 = 2;
/** An array of the request whose elements hold linked arrays. */
export const FIELD_OUTER: i32 = 4;
