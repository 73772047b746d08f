export interface HttpRequest {
  readonly kind: 'http';
  readonly method: string;
  /** With query. */
  readonly path: string;
  readonly host: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** Stands for `POST /service/method` with content type application/grpc. */
export interface GrpcRequest {
  readonly kind: 'grpc';
  readonly service: string;
  readonly method: string;
}

export interface KafkaRequest {
  readonly kind: 'kafka';
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly clientId: string;
  readonly topics: readonly string[];
}

export interface DnsRequest {
  readonly kind: 'dns';
  readonly name: string;
}

export interface TlsRequest {
  readonly kind: 'tls';
  /** '' when the client sent none. */
  readonly serverName: string;
  /** The request inside, where TLS is ended before it. */
  readonly inner: HttpRequest | GrpcRequest | null;
}

export type L7Request = HttpRequest | GrpcRequest | KafkaRequest | DnsRequest | TlsRequest;
