/** A process that can be recognised after its pid was given to another: pid and start time. */
export interface ProcessRecord {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, clock ticks since boot, as text. */
  readonly startTime: string;
  /** /proc/sys/kernel/random/boot_id of the boot that `startTime` counts from. */
  readonly bootId: string;
  /** SHA-256 (hex) of the bootstrap that it was started with. */
  readonly bootstrapDigest: string;
}

/** Keeps the record over restarts of the agent. */
export interface ProcessStore {
  load(): ProcessRecord | null;
  save(record: ProcessRecord | null): void;
}

/** Watches a process that may not be our child (a pidfd); `exited` resolves when it is gone. */
export interface ProcessWatch {
  readonly exited: Promise<void>;
  close(): void;
}

/** Where the process stands. */
export type EnvoyState =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'starting'; readonly pid: number }
  | { readonly kind: 'ready'; readonly pid: number }
  | { readonly kind: 'backing-off'; readonly untilMs: number; readonly failures: number };

/** What happened to the process, for logs and metrics. */
export type EnvoyEvent =
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'adopted'; readonly pid: number }
  | { readonly kind: 'ready'; readonly pid: number; readonly afterMs: number }
  | { readonly kind: 'exited'; readonly pid: number; readonly restartInMs: number }
  | { readonly kind: 'unable-to-start'; readonly message: string; readonly restartInMs: number };

/** What the supervisor needs from outside. */
export interface EnvoyProcessOptions {
  /** The Envoy executable. */
  readonly binaryPath: string;
  /** Written before each start; see `envoyBootstrap`. */
  readonly bootstrap: string;
  readonly bootstrapPath: string;
  /** Gets standard output and error, appended. */
  readonly logPath: string;
  /** The admin socket that the bootstrap names. */
  readonly adminSocketPath: string;
  /** Worker threads. */
  readonly concurrency: number;
  /** trace, debug, info, warning, error, critical, off. */
  readonly logLevel: string;
  /** Network namespace to run in (a path that nsenter takes); null stays in ours. */
  readonly netnsPath: string | null;
  readonly store: ProcessStore;
  readonly watchProcess: (pid: number) => ProcessWatch;
  readonly onEvent: (event: EnvoyEvent) => void;
}

/** One supervised Envoy, which outlives the supervisor. */
export interface EnvoyProcess {
  readonly state: EnvoyState;
  /**
   * Adopts the recorded process when it still lives, else starts one. Resolves when the process
   * exists; see {@link EnvoyProcess.ready} for more. From then on it is restarted whenever it ends.
   */
  start(): Promise<'adopted' | 'started'>;
  /** Resolves when the admin socket answers /ready with LIVE; rejects after the deadline with what was seen. */
  ready(deadlineMs: number): Promise<void>;
  /** Ends it: SIGTERM, then SIGKILL after the deadline. It stays ended. */
  stop(deadlineMs: number): Promise<void>;
  /** Stops watching and leaves Envoy running, for the next agent. */
  detach(): void;
}

/** Makes a supervisor; nothing runs before `start`. */
export function createEnvoyProcess(_options: EnvoyProcessOptions): EnvoyProcess {
  throw new Error('not built yet');
}
