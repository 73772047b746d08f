import { DurationSchema, StructSchema, ValueSchema } from '@bufbuild/protobuf/wkt';
import { AddressSchema, SocketAddressSchema } from '@weir/xds-ts/envoy/config/core/v3/address';
import { MetadataSchema } from '@weir/xds-ts/envoy/config/core/v3/base';
import {
  AccessLogCommonSchema,
  HTTPAccessLogEntrySchema,
  HTTPRequestPropertiesSchema,
  HTTPResponsePropertiesSchema,
  ResponseFlagsSchema,
} from '@weir/xds-ts/envoy/data/accesslog/v3/accesslog';
import {
  StreamAccessLogsMessage_HTTPAccessLogEntriesSchema,
  StreamAccessLogsMessageSchema,
} from '@weir/xds-ts/envoy/service/accesslog/v3/als';
import { classTag, methodTag } from './access-log-config.ts';
import type { Peer, RequestRecord, RequestVerdict } from './access-record.ts';
import { headerNamespace } from './http/header-log.ts';
import { parseRouteName, type RouteName } from './http/route-name.ts';
import { verdictFilter } from './http/verdict-filter-name.ts';
import { eachField } from './wire-reader.ts';

/** Where the RBAC filter leaves the name of the rule that allowed. */
const enforcedPolicy = 'enforced_effective_policy_id';

/** By HTTPAccessLogEntry.HTTPVersion. */
const protocols = ['unknown', 'HTTP/1.0', 'HTTP/1.1', 'HTTP/2', 'HTTP/3'] as const;

const message = StreamAccessLogsMessageSchema.field;
const entries = StreamAccessLogsMessage_HTTPAccessLogEntriesSchema.field;
const entryFields = HTTPAccessLogEntrySchema.field;
const common = AccessLogCommonSchema.field;
const requestFields = HTTPRequestPropertiesSchema.field;
const responseFields = HTTPResponsePropertiesSchema.field;
const flagFields = ResponseFlagsSchema.field;
const addressFields = AddressSchema.field;
const socketAddress = SocketAddressSchema.field;
const duration = DurationSchema.field;
const metadata = MetadataSchema.field;
const struct = StructSchema.field;
const value = ValueSchema.field;
/** Key and value of an entry of a protobuf map. */
const mapKey = 1;
const mapValue = 2;
/** UInt32Value.value */
const wrapped = 1;

/** Short names of response flags (Envoy's access log documentation, `%RESPONSE_FLAGS%`), by field number. */
const flagNames: ReadonlyMap<number, string> = new Map([
  [flagFields.noHealthyUpstream.number, 'UH'],
  [flagFields.upstreamConnectionFailure.number, 'UF'],
  [flagFields.upstreamOverflow.number, 'UO'],
  [flagFields.noRouteFound.number, 'NR'],
  [flagFields.upstreamRequestTimeout.number, 'UT'],
  [flagFields.localReset.number, 'LR'],
  [flagFields.upstreamRemoteReset.number, 'UR'],
  [flagFields.upstreamConnectionTermination.number, 'UC'],
  [flagFields.downstreamConnectionTermination.number, 'DC'],
  [flagFields.downstreamProtocolError.number, 'DPE'],
  [flagFields.downstreamRemoteReset.number, 'DR'],
  [flagFields.upstreamProtocolError.number, 'UPE'],
  [flagFields.upstreamMaxStreamDurationReached.number, 'UMSDR'],
  [flagFields.streamIdleTimeout.number, 'SI'],
  [flagFields.durationTimeout.number, 'DT'],
  [flagFields.noClusterFound.number, 'NC'],
  [flagFields.overloadManager.number, 'OM'],
]);

/**
 * The records of a StreamAccessLogsMessage. Fields that Envoy left out are empty or zero. Reads only the
 * fields that a record has: decoding whole entries took the agent 15 µs a request, this takes 5.
 * @throws RangeError when the message is malformed.
 */
export function requestRecords(bytes: Buffer): readonly RequestRecord[] {
  const records: RequestRecord[] = [];
  eachField(bytes, 0, bytes.length, (field, from, to) => {
    if (field !== message.httpLogs.number) return;
    eachField(bytes, from, to, (inner, start, end) => {
      if (inner === entries.logEntry.number) records.push(requestRecord(bytes, start, end));
    });
  });
  return records;
}

function requestRecord(bytes: Buffer, from: number, to: number): RequestRecord {
  let protocol = 0;
  let [classId, method, path, host, routeName, details] = ['', '', '', '', '', ''];
  let [source, destination]: [Peer, Peer] = [nobody, nobody];
  let [startedAtMs, durationMs, lastByteMs, status, requestBytes, responseBytes] = [0, 0, 0, 0, 0, 0];
  let flags: readonly string[] = [];
  let secondRule: string | null = null;
  let headers: Readonly<Record<string, string>> = none;

  const takeCommon = (field: number, start: number, end: number): void => {
    switch (field) {
      case common.downstreamRemoteAddress.number:
        source = peer(bytes, start, end);
        break;
      case common.downstreamLocalAddress.number:
        destination = peer(bytes, start, end);
        break;
      case common.startTime.number:
        startedAtMs = milliseconds(bytes, start, end);
        break;
      case common.duration.number:
        durationMs = milliseconds(bytes, start, end);
        break;
      case common.timeToLastDownstreamTxByte.number:
        lastByteMs = milliseconds(bytes, start, end);
        break;
      case common.routeName.number:
        routeName = text(bytes, start, end);
        break;
      case common.responseFlags.number:
        flags = flagsOf(bytes, start, end);
        break;
      case common.metadata.number:
        ({ secondRule, headers } = filterMetadata(bytes, start, end));
        break;
      case common.customTags.number: {
        const [key, value] = mapEntry(bytes, start, end);
        if (key === classTag) classId = value;
        else if (key === methodTag) method = value;
        break;
      }
    }
  };
  const takeRequest = (field: number, start: number, end: number, value: number): void => {
    switch (field) {
      case requestFields.path.number:
        path = text(bytes, start, end);
        break;
      case requestFields.authority.number:
        host = text(bytes, start, end);
        break;
      case requestFields.requestHeadersBytes.number:
      case requestFields.requestBodyBytes.number:
        requestBytes += value;
        break;
    }
  };
  const takeResponse = (field: number, start: number, end: number, value: number): void => {
    switch (field) {
      case responseFields.responseCode.number:
        eachField(bytes, start, end, (inner, _from, _to, code) => {
          if (inner === wrapped) status = code;
        });
        break;
      case responseFields.responseCodeDetails.number:
        details = text(bytes, start, end);
        break;
      case responseFields.responseHeadersBytes.number:
      case responseFields.responseBodyBytes.number:
        responseBytes += value;
        break;
    }
  };
  eachField(bytes, from, to, (field, start, end, value) => {
    if (field === entryFields.commonProperties.number) eachField(bytes, start, end, takeCommon);
    else if (field === entryFields.request.number) eachField(bytes, start, end, takeRequest);
    else if (field === entryFields.response.number) eachField(bytes, start, end, takeResponse);
    else if (field === entryFields.protocolVersion.number) protocol = value;
  });

  const route = parseRouteName(routeName);
  return {
    kind: 'request',
    classId,
    source,
    destination,
    startedAtMs,
    durationMs: durationMs === 0 ? lastByteMs : durationMs,
    protocol: protocols[protocol] ?? 'unknown',
    method,
    path,
    host,
    status,
    verdict: verdict(route, details, secondRule),
    mismatches: route?.kind === 'allow' ? route.mismatches : [],
    headers,
    details,
    flags,
    requestBytes,
    responseBytes,
  };
}

function verdict(route: RouteName | null, details: string, secondRule: string | null): RequestVerdict {
  if (details === 'upgrade_failed') return { kind: 'denied', reason: 'upgrade' };
  if (details === 'route_not_found' || details === 'absolute_path_rejected') {
    return { kind: 'denied', reason: 'unroutable' };
  }
  if (route?.kind === 'deny') return { kind: 'denied', reason: route.reason };
  if (details.startsWith('rbac_access_denied')) return { kind: 'denied', reason: 'ingress-rules' };
  if (route === null) return { kind: 'failed' };
  return route.side === 'egress'
    ? { kind: 'allowed', egressRule: route.rule, ingressRule: secondRule }
    : { kind: 'allowed', egressRule: null, ingressRule: route.rule };
}

const none: Readonly<Record<string, string>> = Object.freeze({});

/** What filters left with the request: the rule that the verdict filter found, and the headers that rules name. */
function filterMetadata(bytes: Buffer, from: number, to: number) {
  let secondRule: string | null = null;
  let headers = none;
  eachField(bytes, from, to, (inner, entryStart, entryEnd) => {
    if (inner !== metadata.filterMetadata.number) return;
    let filter = '';
    let found = none;
    eachField(bytes, entryStart, entryEnd, (part, start, end) => {
      if (part === mapKey) filter = text(bytes, start, end);
      else if (part === mapValue) found = texts(bytes, start, end);
    });
    if (filter === verdictFilter) secondRule = found[enforcedPolicy] ?? null;
    else if (filter === headerNamespace) headers = found;
  });
  return { secondRule, headers };
}

/** The entries of a Struct whose values are texts. */
function texts(bytes: Buffer, from: number, to: number): Readonly<Record<string, string>> {
  const found: [string, string][] = [];
  eachField(bytes, from, to, (inner, entryStart, entryEnd) => {
    if (inner !== struct.fields.number) return;
    let key = '';
    eachField(bytes, entryStart, entryEnd, (part, start, end) => {
      if (part === mapKey) key = text(bytes, start, end);
      else if (part === mapValue) {
        eachField(bytes, start, end, (kind, textStart, textEnd) => {
          if (kind === value.stringValue.number) found.push([key, text(bytes, textStart, textEnd)]);
        });
      }
    });
  });
  return Object.fromEntries(found);
}

const nobody: Peer = Object.freeze({ address: '', port: 0 });

function peer(bytes: Buffer, from: number, to: number): Peer {
  let found = nobody;
  eachField(bytes, from, to, (field, start, end) => {
    if (field !== addressFields.socketAddress.number) return;
    let address = '';
    let port = 0;
    eachField(bytes, start, end, (inner, textStart, textEnd, value) => {
      if (inner === socketAddress.address.number) address = text(bytes, textStart, textEnd);
      else if (inner === socketAddress.portValue.number) port = value;
    });
    found = { address, port };
  });
  return found;
}

/** Of a Timestamp or a Duration; they have the same fields. */
function milliseconds(bytes: Buffer, from: number, to: number): number {
  let total = 0;
  eachField(bytes, from, to, (field, _start, _end, value) => {
    if (field === duration.seconds.number) total += value * 1000;
    else if (field === duration.nanos.number) total += value / 1_000_000;
  });
  return total;
}

function flagsOf(bytes: Buffer, from: number, to: number): readonly string[] {
  const names: string[] = [];
  eachField(bytes, from, to, (field, _start, _end, value) => {
    const name = flagNames.get(field);
    if (name !== undefined && value !== 0) names.push(name);
  });
  return names;
}

function mapEntry(bytes: Buffer, from: number, to: number): readonly [key: string, value: string] {
  let key = '';
  let value = '';
  eachField(bytes, from, to, (field, start, end) => {
    if (field === mapKey) key = text(bytes, start, end);
    else if (field === mapValue) value = text(bytes, start, end);
  });
  return [key, value];
}

function text(bytes: Buffer, from: number, to: number): string {
  return bytes.toString('utf8', from, to);
}
